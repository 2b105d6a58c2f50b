"""Operating points: rules for calling members, their means on validation queries, and budgets for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

from langchain_selectllm.exceptions import PolicyError

Ranking = Literal["query", "fixed", "samples"]
UNITS = ("calls", "cost_usd", "latency_s")
"""Units of budgets, in the order of every array with one entry per unit."""
MAX_ROUNDS = 2
"""Rounds of calls for any query; a third one gained nothing on five splits, see
docs/explanation/research-log.md."""


@dataclass(frozen=True, kw_only=True)
class CallingRule:
    """Members that are called, in one round or two, and vote by the learned vote.

    Round one calls the `first` best members of a ranking. Where the learned vote's confidence in their answer
    is below `threshold`, round two calls the others of the `size` best members. With the ranking "samples"
    the most probable member is called `first` times, and `size` times in all.
    """

    ranking: Ranking
    """Either "query": members by probability less cost; or "fixed": best fixed sets, the same for all
    queries; or "samples": calls of the most probable member."""
    first: int
    size: int
    """Calls after both rounds; equal to `first` where there is one round."""
    cost_weight: float = 0.0
    """Weight of a member's cost, relative to the mean cost, in the ranking by query."""
    threshold: float = 0.0

    @property
    def rounds(self) -> int:
        """Rounds of calls at most."""
        return 1 + int(self.size > self.first)


SINGLE_BEST = CallingRule(ranking="fixed", first=1, size=1)
"""The rule that calls the single best member."""


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """A rule that was best within some budget, and its means over validation queries."""

    rule: CallingRule
    accuracy: float
    """Mean of score and confidence; the score alone where no vote was learned."""
    calls: float
    """Upper bound of the mean calls per query, one-sided 99 %; cost and latency likewise, NaN where
    unknown."""
    cost_usd: float
    latency_s: float
    evidence: str = ""
    """Gain over the single best member, in words; empty where validation gave no evidence for one."""


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


Point = TypeVar("Point", bound=OperatingPoint)


@dataclass(frozen=True, kw_only=True)
class OperatingBudget:
    """Upper bounds on the means per query and on the rounds of calls."""

    calls: float | None = None
    """Mean calls per query at most; no bound when None."""
    cost_usd: float | None = None
    """Mean US dollars per query at most; no bound when None."""
    latency_s: float | None = None
    """Mean seconds per query at most, by the latencies recorded in training; no bound when None."""
    max_rounds: int = MAX_ROUNDS
    """Rounds of calls for any query, 1 or 2. Each round takes as long as its slowest member."""

    def __post_init__(self) -> None:
        """Check the number of rounds.

        Raises:
            PolicyError: If it is neither 1 nor 2.
        """
        if not 1 <= self.max_rounds <= MAX_ROUNDS:
            raise PolicyError(
                f"max_rounds={self.max_rounds} is out of range: members are called in one round or two. "
                "Use 1 or 2."
            )

    def bounds(self) -> dict[str, float]:
        """The bounds that are set, by unit."""
        bounds = {unit: getattr(self, unit) for unit in UNITS}
        return {unit: bound for unit, bound in bounds.items() if bound is not None}

    def best(self, points: Iterable[Point]) -> Point | None:
        """The most accurate operating point within the budget, if any; of equal ones that of fewest calls."""
        return self.first(ranked(points))

    def first(self, points: Iterable[Point]) -> Point | None:
        """The first point that keeps the bounds, if any; an unknown cost or latency, NaN, keeps none."""
        # The factor allows for rounding.
        limits = [(unit, bound * (1 + 1e-9)) for unit, bound in self.bounds().items()]
        for point in points:
            rounds_kept = point.rule.rounds <= self.max_rounds
            if rounds_kept and all(getattr(point, unit) <= limit for unit, limit in limits):
                return point
        return None


def ranked(points: Iterable[Point]) -> list[Point]:
    """Points by accuracy, the highest first; of equal ones that of fewest calls."""
    return sorted(points, key=lambda point: (point.accuracy, -point.calls), reverse=True)
