"""Operating points: how many members to call first, when to stop, and how many to call in all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ranking = Literal["query", "fixed"]


@dataclass(frozen=True)
class OperatingPoint:
    """At most two rounds of calls, with what they took and gave on training queries that nothing had seen.

    Round one calls `first` members. Where the winning answer's confidence is below `threshold`, round two calls those of
    the `final` members that were not called yet.
    """

    ranking: Ranking
    """Either "query": the members most worth their price for the query; "fixed": the best fixed sets, whatever the query."""
    price_weight: float
    """Probability that a call as dear as the average one must add to be worth it in round one; 0 = price does not matter."""
    second_price_weight: float
    """The same in round two."""
    first: int
    final: int
    """How many members of round two's ranking are called in all, beside those of round one."""
    threshold: float
    vote: Literal["learned", "weighted"]
    accuracy: float
    """Expected accuracy: the share of right answers, averaged with the mean confidence where the vote is learned."""
    calls: float
    """Mean calls of a query."""
    cost_usd: float
    """Mean cost of a query; NaN where unknown."""
    latency_s: float
    """Mean parallel latency of a query, the rounds summed; NaN where unknown."""
    evidence: str
    """Why this one, in words."""


def rank_members(probabilities: NDArray[np.float64], costs: NDArray[np.float64], price_weight: float) -> NDArray[np.float64]:
    """Worth of calling each member, (n, K): its probability less its price in units of the average member's price."""
    if price_weight == 0.0 or np.isnan(costs).any() or costs.mean() == 0:
        return probabilities
    worth: NDArray[np.float64] = probabilities - price_weight * costs / costs.mean()
    return worth


def best_point(
    points: Sequence[OperatingPoint],
    *,
    calls: float | None = None,
    cost_usd: float | None = None,
    latency_s: float | None = None,
    ranking: Ranking | None = None,
) -> OperatingPoint | None:
    """The most accurate operating point within the bounds; None when none is.

    Args:
        points: Operating points.
        calls: Most calls in the mean.
        cost_usd: Most cost in the mean; points of unknown cost are left out.
        latency_s: Most seconds in the mean; points of unknown latency are left out.
        ranking: Only points of this ranking.
    """
    within = [
        point
        for point in points
        if (calls is None or point.calls <= calls + 1e-9)
        and (cost_usd is None or point.cost_usd <= cost_usd * (1 + 1e-9))
        and (latency_s is None or point.latency_s <= latency_s * (1 + 1e-9))
        and (ranking is None or point.ranking == ranking)
    ]
    return max(within, key=lambda point: (point.accuracy, -point.calls), default=None)
