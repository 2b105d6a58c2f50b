"""Policies of one round: the most probable members, sets that ignore the query, and controls."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.policies import Policy, Selection, get_pool_vote, top
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.voting.votes import VoteStrategy


@dataclass(frozen=True)
class MaxConf:
    """The `size` most probable members, voting by majority."""

    size: int = 3
    vote: str | VoteStrategy = "majority"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """Top-s of each row; equal probabilities in pool order."""
        _check_size(self, self.size, pool)
        reason = f"the {self.size} most probable members"
        if self.size == 1:
            reason = "the most probable member"
        vote = get_pool_vote(self.vote, pool)
        return Selection(top(probabilities, self.size), probabilities, (reason,) * len(probabilities), vote)


@dataclass(frozen=True)
class WeightedMaxConf(MaxConf):
    """The `size` most probable members, their ballots weighted by probability."""

    vote: str | VoteStrategy = "weighted"


@dataclass(frozen=True)
class LearnedMaxConf(MaxConf):
    """The `size` most probable members, voting by the learned vote."""

    vote: str | VoteStrategy = "learned"


@dataclass(frozen=True)
class LabelledMaxConf:
    """Up to `size` most probable members among those predicted right, or the most probable member."""

    size: int = 3
    threshold: float = 0.5
    """A member is predicted right when its probability is greater than this."""
    vote: str | VoteStrategy = "majority"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """Top-s of the predicted labels of each row."""
        _check_size(self, self.size, pool)
        labelled = probabilities > self.threshold
        none = np.asarray(~labelled.any(axis=1))
        mask = top(probabilities, self.size) & labelled
        mask[none] = top(probabilities[none], 1)
        passed = f"up to {self.size} most probable members above {self.threshold:g}"
        fallback = f"no member above {self.threshold:g}: the most probable one"
        reasons = tuple(np.where(none, fallback, passed).tolist())
        return Selection(mask, probabilities, reasons, get_pool_vote(self.vote, pool))


@dataclass(frozen=True)
class AllMembers:
    """Every member, voting by majority: the reference system that asks everybody."""

    vote: str | VoteStrategy = "majority"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """Everybody, whatever the query."""
        return _constant(self, np.ones(len(pool.members), dtype=np.bool_), probabilities, pool, "all members")


@dataclass(frozen=True)
class SingleBest:
    """The member with the best training accuracy, always."""

    vote: str | VoteStrategy = "majority"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """One member, whatever the query."""
        name = pool.members[pool.single_best]
        return _constant(
            self, pool.mask((name,)), probabilities, pool, "the member with the best training accuracy"
        )


@dataclass(frozen=True)
class PriorOnly:
    """The `size` members with the best training accuracy, ballots weighted by it, whatever the query."""

    size: int = 3
    vote: str | VoteStrategy = "weighted"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """The same members whatever the query."""
        _check_size(self, self.size, pool)
        mask = top(pool.base_rates[None, :], self.size)[0]
        return _constant(
            self, mask, probabilities, pool, f"the {self.size} members with the best training accuracy"
        )


@dataclass(frozen=True)
class FixedBest:
    """The set of `size` members with the best training vote accuracy, ballots weighted by base rates."""

    size: int = 3
    vote: str | VoteStrategy = "weighted"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """The same set whatever the query."""
        _check_size(self, self.size, pool)
        if self.size not in pool.fixed_sets:
            raise PolicyError(
                f"No fixed set of size {self.size} was learned. Sizes learned: "
                f"{', '.join(map(str, sorted(pool.fixed_sets))) or 'none'}. "
                "Fit on outcomes with replies to vote on."
            )
        mask = pool.mask(pool.fixed_sets[self.size])
        return _constant(self, mask, probabilities, pool, f"the best fixed set of size {self.size}")


@dataclass(frozen=True)
class RandomK:
    """`size` members drawn uniformly, voting by majority: the control that any choice must beat."""

    size: int = 3
    seed: int = 0
    vote: str | VoteStrategy = "majority"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """A draw of its own for each row, the same again for the same seed."""
        _check_size(self, self.size, pool)
        noise = np.random.default_rng(self.seed).random(probabilities.shape)
        rates = np.broadcast_to(pool.base_rates, probabilities.shape)
        reasons = (f"{self.size} members at random",) * len(probabilities)
        return Selection(top(noise, self.size), rates, reasons, get_pool_vote(self.vote, pool))


def _check_size(policy: Policy, size: int, pool: PoolStatistics) -> None:
    if not 1 <= size <= len(pool.members):
        raise PolicyError(
            f"{type(policy).__name__}(size={size}) does not fit the pool ({len(pool.members)} members). "
            f"Use a size between 1 and {len(pool.members)}."
        )


def _constant(
    policy: "AllMembers | SingleBest | PriorOnly | FixedBest",
    mask: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    pool: PoolStatistics,
    reason: str,
) -> Selection:
    n = len(probabilities)
    rates = np.tile(pool.base_rates, (n, 1))
    return Selection(np.tile(mask, (n, 1)), rates, (reason,) * n, get_pool_vote(policy.vote, pool))
