"""Self-consistency: one member called several times, voting by majority (Wang et al., 2023)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.policies import Selection, get_pool_vote, top
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.voting.votes import VoteStrategy


@dataclass(frozen=True)
class SelfConsistency:
    """`size` samples of the member with the best training accuracy, voting by majority."""

    size: int = 3
    vote: str | VoteStrategy = "majority"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """The same member for every query."""
        rates = np.tile(pool.base_rates, (len(probabilities), 1))
        mask = np.tile(pool.mask((pool.members[pool.single_best],)), (len(probabilities), 1))
        reason = f"{self.size} samples of the member with the best training accuracy"
        return Selection(
            mask=mask,
            probabilities=rates,
            reasons=(reason,) * len(mask),
            vote=get_pool_vote(self.vote, pool),
            samples=self.size * mask.astype(np.int64),
        )


@dataclass(frozen=True)
class RoutedSelfConsistency:
    """`size` samples of the most probable member of each query, voting by majority."""

    size: int = 3
    vote: str | VoteStrategy = "majority"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """One member per query; of equally probable ones the first in pool order."""
        mask = top(probabilities, 1)
        reason = f"{self.size} samples of the most probable member"
        return Selection(
            mask=mask,
            probabilities=probabilities,
            reasons=(reason,) * len(mask),
            vote=get_pool_vote(self.vote, pool),
            samples=self.size * mask.astype(np.int64),
        )
