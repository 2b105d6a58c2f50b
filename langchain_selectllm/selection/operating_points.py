"""Operating points: rules for calling members, with their accuracy and costs on validation queries."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ranking = Literal["query", "fixed"]
Unit = Literal["calls", "cost_usd", "latency_s"]
UNITS: tuple[Unit, ...] = ("calls", "cost_usd", "latency_s")
"""Units of budgets, in the order of every array with one entry per unit."""
MAX_ROUNDS = 2
"""Rounds of calls for any query; a third one gained nothing on five splits, see
docs/explanation/research-log.md."""


@dataclass(frozen=True, kw_only=True)
class CallingRule:
    """Members that are called, in one round or two.

    Round one calls the `first` best members of a ranking. Where the learned vote's confidence in their answer
    is below `threshold`, round two calls the others of the `size` best members.
    """

    ranking: Ranking
    """Either "query": members by probability less cost; or "fixed": best fixed sets, the same for all
    queries."""
    first: int
    size: int
    """Members called after both rounds; equal to `first` where there is one round."""
    vote: Literal["learned", "weighted"]
    cost_weight: float = 0.0
    """Weight of a member's relative cost in the ranking by query; see `rank_members`."""
    threshold: float = 0.0

    @property
    def rounds(self) -> int:
        """Rounds of calls at most."""
        return 1 + int(self.size > self.first)


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """A rule that was best within some budget, and its means over validation queries."""

    rule: CallingRule
    accuracy: float
    """Mean of score and confidence; the score alone where no vote was learned."""
    calls: float
    """Upper bound of the mean calls per query, one-sided 95 %; cost and latency likewise, NaN where
    unknown."""
    cost_usd: float
    latency_s: float
    evidence: str
    """Reason for the choice, in words."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Level of confidence from which the outstanding members are not waited for, with its measured loss."""

    level: float
    loss: float
    """Mean accuracy lost on training queries by votes that had not seen them, at most over the set sizes."""
    limit: float
    """Upper bound of the mean loss over the set sizes, one-sided 95 %."""


def rank_members(
    probabilities: NDArray[np.float64], costs: NDArray[np.float64], cost_weight: float
) -> NDArray[np.float64]:
    """Score of calling each member, (n, K): probability - cost_weight * cost / mean cost of the members."""
    if cost_weight == 0.0 or np.isnan(costs).any() or costs.mean() == 0:
        return probabilities
    score: NDArray[np.float64] = probabilities - cost_weight * costs / costs.mean()
    return score


def best_point(
    points: Iterable[OperatingPoint],
    *,
    calls: float | None = None,
    cost_usd: float | None = None,
    latency_s: float | None = None,
    max_rounds: int = MAX_ROUNDS,
) -> OperatingPoint | None:
    """The most accurate operating point within upper bounds on calls, cost, latency and rounds, if any."""
    within = []
    for point in points:
        used = ((point.calls, calls), (point.cost_usd, cost_usd), (point.latency_s, latency_s))
        # An unknown cost or latency, NaN, keeps no bound.
        keeps_all = all(bound is None or mean <= bound * (1 + 1e-9) for mean, bound in used)
        if keeps_all and point.rule.rounds <= max_rounds:
            within.append(point)
    return max(within, key=lambda point: (point.accuracy, -point.calls), default=None)
