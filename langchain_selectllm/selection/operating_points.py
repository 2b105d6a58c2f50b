"""Operating points: how many members to call first, and what it is worth to go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.further_rounds import Extension

Ranking = Literal["query", "fixed"]
Unit = Literal["calls", "cost_usd", "latency_s"]
UNIT_NAMES = {"calls": "call", "cost_usd": "USD", "latency_s": "second"}


@dataclass(frozen=True)
class OperatingPoint:
    """Rounds of calls, with what they took and gave on training queries that nothing had seen.

    Round one calls `first` members. After each round the extension is called whose expected gain in accuracy is most above
    its price; where none is above it, the answer stands.
    """

    ranking: Ranking
    """Either "query": the members most worth their price for the query; "fixed": the best fixed sets, whatever the query."""
    price_weight: float
    """Probability that a call as dear as the average one must add to be worth it in round one; 0 = price does not matter."""
    first: int
    vote: Literal["learned", "weighted"]
    extensions: tuple[Extension, ...] = ()
    """What further rounds may call."""
    rounds: int = 1
    """Rounds at most, of the budget that it was the best for; fewer may be all that it makes."""
    unit: Unit = "calls"
    """What the price of an extension is counted in: its calls, their mean cost, or the mean latency of the slowest."""
    exchange: float = 0.0
    """Accuracy that one unit must add."""
    accuracy: float = float("nan")
    """Expected accuracy: the share of right answers, averaged with the mean confidence where a vote was learned."""
    calls: float = float("nan")
    """Mean calls of a query."""
    cost_usd: float = float("nan")
    """Mean cost of a query; NaN where unknown."""
    latency_s: float = float("nan")
    """Mean parallel latency of a query, the rounds summed; NaN where unknown."""
    evidence: str = ""
    """Why this one, in words."""

    @property
    def most(self) -> int:
        """Most members of the ranking that any query has called."""
        return max([self.first, *(way.size for way in self.extensions)])


def rank_members(
    probabilities: NDArray[np.float64], costs: NDArray[np.float64], price_weight: float
) -> NDArray[np.float64]:
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
    rounds: int | None = None,
) -> OperatingPoint | None:
    """The most accurate operating point within the bounds; None when none is.

    Args:
        points: Operating points.
        calls: Most calls in the mean.
        cost_usd: Most cost in the mean; points of unknown cost are left out.
        latency_s: Most seconds in the mean; points of unknown latency are left out.
        rounds: Most rounds of calls; where points are known for fewer at most, these are taken.
    """
    most = max((point.rounds for point in points), default=1)
    within = [
        point
        for point in points
        if (calls is None or point.calls <= calls + 1e-9)
        and (cost_usd is None or point.cost_usd <= cost_usd * (1 + 1e-9))
        and (latency_s is None or point.latency_s <= latency_s * (1 + 1e-9))
        and (rounds is None or point.rounds == min(rounds, most))
    ]
    return max(within, key=lambda point: (point.accuracy, -point.calls), default=None)
