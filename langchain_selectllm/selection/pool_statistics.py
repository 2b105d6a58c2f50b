"""What is known of the members before any query is seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.exceptions import MemberMismatchError
from langchain_selectllm.voting.ballots import CallMatrix

if TYPE_CHECKING:
    from langchain_selectllm.outcomes import OutcomeTable
    from langchain_selectllm.selection.operating_points import OperatingPoint
    from langchain_selectllm.voting.learned_vote import LearnedVote


@dataclass(frozen=True, eq=False)
class CallCosts:
    """Cost and latency of each call on n recorded queries."""

    costs: NDArray[np.float64]
    """`cost_usd`, (n, K); NaN where unknown."""
    latencies: NDArray[np.float64]
    """`latency_s`, (n, K); NaN where unknown."""

    def cost(self, calls: CallMatrix) -> NDArray[np.float64]:
        """Summed cost of the calls per member (n, K) of each query, (n,)."""
        total: NDArray[np.float64] = np.where(calls > 0, calls * self.costs, 0.0).sum(axis=1)
        return total

    def total(self, calls: CallMatrix) -> NDArray[np.float64]:
        """Summed latency of the calls per member (n, K) of each query, (n,)."""
        summed: NDArray[np.float64] = np.where(calls > 0, calls * self.latencies, 0.0).sum(axis=1)
        return summed

    def slowest(self, calls: CallMatrix) -> NDArray[np.float64]:
        """Latency of the slowest called member of each query, (n,); 0 where no member is called.

        The recorded latency is a mean over a member's samples: for parallel samples a lower bound.
        """
        longest: NDArray[np.float64] = np.where(calls > 0, self.latencies, 0.0).max(axis=1)
        return longest

    def per_query(self, calls: CallMatrix) -> NDArray[np.float64]:
        """Calls, US dollars and seconds of one round with these calls (n, K), one row per unit, (3, n)."""
        return np.stack([calls.sum(axis=1).astype(np.float64), self.cost(calls), self.slowest(calls)])


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Level of the lead from which the outstanding members are not waited for, with its measured loss."""

    level: float
    """P(the winning answer is right, if it or the strongest other one is)."""
    after_s: float = 0.0
    """Seconds from the start of a round of calls before which the level does not count."""
    loss: float
    """Mean accuracy lost on training queries by votes that had not seen them, at most over the set sizes."""
    limit: float
    """Upper bound of the mean loss over the set sizes, one-sided 95 %."""


@dataclass(frozen=True, eq=False)
class PoolStatistics:
    """What is known of the K members before any query is seen; all of it from training outcomes."""

    members: tuple[str, ...]
    base_rates: NDArray[np.float64]
    """Training accuracy of each member, (K,)."""
    costs: NDArray[np.float64]
    """Mean `cost_usd` of one call, (K,); NaN when unknown."""
    latencies: NDArray[np.float64]
    """Mean `latency_s` of one call, (K,); NaN when unknown."""
    fixed_sets: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Best fixed set of each size by training vote accuracy."""
    vote: "LearnedVote | None" = None
    """The vote learned from the members' replies; None where there was nothing to learn it from."""
    operating_points: "tuple[OperatingPoint, ...]" = ()
    """The best per budget, of all rules and of those by query, and the one that calls the single best."""
    patience: Patience | None = None
    """Lead from which stragglers are not waited for; None where none was tuned."""

    @property
    def single_best(self) -> int:
        """Index of the member with the best training accuracy; the first in pool order on a tie."""
        return int(np.argmax(self.base_rates))

    @property
    def costs_differ(self) -> bool:
        """Whether the costs of all members are known and differ."""
        return bool(self.costs.max() > self.costs.min())

    def call_costs(self, outcomes: "OutcomeTable") -> CallCosts:
        """What each recorded call took; the member's training mean where that was not recorded."""
        return CallCosts(
            np.where(np.isnan(outcomes.costs), self.costs, outcomes.costs),
            np.where(np.isnan(outcomes.latencies), self.latencies, outcomes.latencies),
        )

    def fixed_mask(self, size: int) -> NDArray[np.bool_]:
        """The best fixed set of that size, (K,).

        Raises:
            KeyError: If no set of that size was learned.
        """
        return self.mask(self.fixed_sets[size])

    def mask(self, members: tuple[str, ...]) -> NDArray[np.bool_]:
        """Which members are named, (K,).

        Raises:
            MemberMismatchError: If a name is not in the pool.
        """
        missing = [name for name in members if name not in self.members]
        if missing:
            raise MemberMismatchError(
                f"{', '.join(map(repr, missing))} is not in the pool. "
                f"Members of the pool: {', '.join(self.members)}."
            )
        return np.array([name in members for name in self.members])


def added_calls(after: CallMatrix, before: CallMatrix) -> CallMatrix:
    """Calls that come on top of earlier ones, (n, K)."""
    if after.dtype == np.bool_:
        return np.asarray(after > before)
    return after.astype(np.int64) - before


def learn_pool(outcomes: "OutcomeTable", fixed_sets: Mapping[int, tuple[str, ...]]) -> PoolStatistics:
    """The pool of the training outcomes, with fixed sets found elsewhere."""
    return PoolStatistics(
        members=outcomes.members,
        base_rates=_column_means(outcomes.scores),
        fixed_sets=fixed_sets,
        costs=_column_means(outcomes.costs),
        latencies=_column_means(outcomes.latencies),
    )


def _column_means(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the observed cells of each column; NaN where there is none."""
    observed = ~np.isnan(cells)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = np.where(observed, cells, 0.0).sum(axis=0) / observed.sum(axis=0)
    return means
