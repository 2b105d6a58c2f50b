"""The adaptive policies: a first round of calls, and a second one where the answer is not sure enough."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.operating import OperatingPoint, best_point, rank_members
from langchain_selectllm.policies import Escalation, Selection, get_pool_vote, top
from langchain_selectllm.pool import Pool


@dataclass(frozen=True)
class Adaptive:
    """At most two rounds of parallel calls, with the operating point that was best on validation within the budget.

    The members most worth their price are called first; where the learned vote's confidence in the winning answer stays
    below the operating point's threshold, the next ones are called too.
    """

    calls: float | None = None
    """Most calls a query in the mean; no bound when None."""
    cost_usd: float | None = None
    """Most US dollars a query in the mean; no bound when None."""
    latency_s: float | None = None
    """Most seconds a query in the mean, by the latencies recorded in training; no bound when None."""
    guarded: bool = False
    """Whether the best fixed sets are used where validation gave no evidence that looking at the query beats them."""

    @property
    def vote(self) -> str:
        """The learned vote."""
        return "learned"

    def point(self, pool: Pool) -> OperatingPoint:
        """The operating point within the budget.

        Raises:
            PolicyError: If none is.
        """
        points = pool.guarded_points if self.guarded else pool.adaptive_points
        found = best_point(points, calls=self.calls, cost_usd=self.cost_usd, latency_s=self.latency_s)
        if found is None:
            raise PolicyError(
                f"No operating point within calls={self.calls}, cost_usd={self.cost_usd}, latency_s={self.latency_s} was "
                f"learned ({len(points)} are known). Raise the budget, or fit on outcomes with replies to vote on (and costs, "
                "and latencies)."
            )
        return found

    def select(self, probabilities: NDArray[np.float64], pool: Pool) -> Selection:
        """The first round of each query, and whom a second round adds.

        Raises:
            PolicyError: If no operating point is within the budget.
        """
        point = self.point(pool)
        vote = get_pool_vote(point.vote, pool)
        if point.ranking == "fixed":
            first, final = (np.tile(pool.fixed_mask(size), (len(probabilities), 1)) for size in (point.first, point.final))
        else:
            first = top(rank_members(probabilities, pool.costs, point.price_weight), point.first)
            final = top(rank_members(probabilities, pool.costs, point.second_price_weight), point.final)
        weights = np.tile(pool.base_rates, (len(probabilities), 1)) if point.vote == "weighted" else probabilities
        escalation = Escalation(point.threshold, final | first) if point.threshold > 0 else None
        return Selection(first, weights, (_reason(point),) * len(probabilities), vote, escalation)


def _reason(point: OperatingPoint) -> str:
    whom = "the best fixed set" if point.ranking == "fixed" else "the members most worth their call"
    start = f"{whom} ({point.first})"
    if point.threshold == 0:
        return start
    whoever = "the most probable " if point.second_price_weight != point.price_weight else "up to "
    return f"{start}, and {whoever}{point.final} below confidence {point.threshold:.2f}"
