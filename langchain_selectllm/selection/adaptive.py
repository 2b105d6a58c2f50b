"""The adaptive policies: a first round of calls, and further ones where they are expected to be worth it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.further_rounds import LAST, FurtherRounds, anybody
from langchain_selectllm.selection.operating_points import (
    UNIT_NAMES,
    OperatingPoint,
    Unit,
    best_point,
    rank_members,
)
from langchain_selectllm.selection.policies import Selection, get_pool_vote, top
from langchain_selectllm.selection.pool_statistics import PoolStatistics


@dataclass(frozen=True)
class Adaptive:
    """Rounds of parallel calls, with the operating point that was best on validation within the budget.

    The members most worth their price are called first. After each round the learned vote's confidence in the winning
    answer tells what more members are expected to add to the accuracy; those are called that add most beyond their price.
    """

    calls: float | None = None
    """Most calls a query in the mean; no bound when None."""
    cost_usd: float | None = None
    """Most US dollars a query in the mean; no bound when None."""
    latency_s: float | None = None
    """Most seconds a query in the mean, by the latencies recorded in training; no bound when None."""
    max_rounds: int = 2
    """Most rounds of calls for any query. People wait: each round takes as long as its slowest member."""
    guarded: bool = False
    """Whether the best fixed sets are used where validation gave no evidence that looking at the query beats them."""

    def __post_init__(self) -> None:
        """Check the bound on rounds.

        Raises:
            PolicyError: If not even one round is allowed.
        """
        if self.max_rounds < 1:
            raise PolicyError(f"max_rounds={self.max_rounds} allows no call. Use at least 1.")

    @property
    def vote(self) -> str:
        """The learned vote."""
        return "learned"

    def point(self, pool: PoolStatistics) -> OperatingPoint:
        """The operating point within the budget.

        Raises:
            PolicyError: If none is.
        """
        found = self.find(pool)
        if found is None:
            raise PolicyError(
                f"No operating point within calls={self.calls}, cost_usd={self.cost_usd}, latency_s={self.latency_s} and "
                f"max_rounds={self.max_rounds} was learned ({len(self._points(pool))} are known). Raise the budget, or fit on "
                "outcomes with replies to vote on (and costs, and latencies)."
            )
        return found

    def find(self, pool: PoolStatistics) -> OperatingPoint | None:
        """The operating point within the budget; None when none is."""
        bounds = {"calls": self.calls, "cost_usd": self.cost_usd, "latency_s": self.latency_s}
        return best_point(self._points(pool), **bounds, rounds=self.max_rounds)

    def _points(self, pool: PoolStatistics) -> tuple[OperatingPoint, ...]:
        return pool.guarded_points if self.guarded else pool.adaptive_points

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """The first round of each query, and what further rounds may add.

        Raises:
            PolicyError: If no operating point is within the budget.
        """
        point = self.point(pool)
        mask = called_after(point, point.price_weight, point.first, probabilities, pool)
        weights = (
            np.tile(pool.base_rates, (len(probabilities), 1)) if point.vote == "weighted" else probabilities
        )
        further = further_rounds(point, probabilities, pool) if point.extensions else None
        return Selection(
            mask, weights, (_reason(point),) * len(probabilities), get_pool_vote(point.vote, pool), further
        )


def called_after(
    point: OperatingPoint,
    price_weight: float,
    size: int,
    probabilities: NDArray[np.float64],
    pool: PoolStatistics,
) -> NDArray[np.bool_]:
    """The first `size` members of a point's ranking at a price weight, for each query, (n, K)."""
    if point.ranking == "fixed":
        return np.tile(pool.fixed_mask(size), (len(probabilities), 1))
    return top(rank_members(probabilities, pool.costs, price_weight), size)


def further_rounds(
    point: OperatingPoint, probabilities: NDArray[np.float64], pool: PoolStatistics
) -> FurtherRounds:
    """What a point's extensions would call for each query, and what that must add to the accuracy."""
    added = []
    for extension in point.extensions:
        before = called_after(point, point.price_weight, extension.start, probabilities, pool)
        after = called_after(point, extension.price_weight, extension.size, probabilities, pool)
        added.append(after & ~before)
    stacked = np.stack(added, axis=1)
    follows = [extension.price_weight == point.price_weight for extension in point.extensions]
    return FurtherRounds(
        first=point.first,
        most=point.rounds,
        starts=np.array([extension.start for extension in point.extensions]),
        ends=np.array([e.size if more else LAST for e, more in zip(point.extensions, follows, strict=True)]),
        gains=np.array([extension.gain for extension in point.extensions]),
        added=stacked,
        able=anybody(stacked),
        prices=units(stacked, pool, point.unit),
        exchange=point.exchange,
    )


def units(added: NDArray[np.bool_], pool: PoolStatistics, unit: Unit) -> NDArray[np.float64]:
    """What calling members (…, K) is expected to take, (…): calls, US dollars, or seconds until the slowest replies."""
    if unit == "latency_s":
        slowest: NDArray[np.float64] = np.where(added, pool.latencies, 0.0).max(axis=-1)
        return slowest
    each = np.ones(len(pool.members)) if unit == "calls" else pool.costs
    total: NDArray[np.float64] = np.where(added, each, 0.0).sum(axis=-1)
    return total


def _reason(point: OperatingPoint) -> str:
    whom = "the best fixed set" if point.ranking == "fixed" else "the members most worth their call"
    start = f"{whom} ({point.first})"
    if not point.extensions:
        return start
    if point.exchange == 0.0:
        return f"{start}, and more where they are expected to add to the accuracy"
    price = f"each {UNIT_NAMES[point.unit]} is expected to add at least {point.exchange:.2g} to the accuracy"
    return f"{start}, and more where {price}"
