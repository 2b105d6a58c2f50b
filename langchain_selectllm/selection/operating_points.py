"""Rules for calling members in one round or two, their means on validation queries, and budgets for them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.voting.ballots import CallMatrix

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
class OperatingBudget:
    """Upper bounds on the means per query, none where None, and on the rounds of calls."""

    calls: float | None = None
    cost_usd: float | None = None
    latency_s: float | None = None
    """Mean seconds per query at most, by the latencies recorded in training."""
    max_rounds: int = MAX_ROUNDS
    """Rounds of calls for any query, 1 or 2. Each round takes as long as its slowest member."""

    def __post_init__(self) -> None:
        """Raise a PolicyError where the number of rounds is neither 1 nor 2."""
        if not 1 <= self.max_rounds <= MAX_ROUNDS:
            raise PolicyError(
                f"max_rounds={self.max_rounds} is out of range: members are called in one round or two. "
                "Use 1 or 2."
            )

    def bounds(self) -> dict[str, float]:
        """The bounds that are set, by unit."""
        return {unit: getattr(self, unit) for unit in UNITS if getattr(self, unit) is not None}

    def first(self, points: Iterable[OperatingPoint]) -> OperatingPoint | None:
        """The first point within the budget, if any; an unknown cost or latency, NaN, keeps no bound."""
        # The factor allows for rounding.
        limits = [(unit, bound * (1 + 1e-9)) for unit, bound in self.bounds().items()]
        for point in points:
            rounds_kept = point.rule.rounds <= self.max_rounds
            if rounds_kept and all(getattr(point, unit) <= limit for unit, limit in limits):
                return point
        return None


def ranked(points: Iterable[OperatingPoint]) -> list[OperatingPoint]:
    """Points by accuracy, the highest first; of equal ones that of fewest calls."""
    return sorted(points, key=lambda point: (point.accuracy, -point.calls), reverse=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class FurtherRounds:
    """The second round of n queries, for those whose first answer is not sure enough."""

    threshold: float
    """It is made where the confidence after the first round is below this."""
    added: CallMatrix
    """Members that it calls, or further calls of each member, (n, K)."""

    @property
    def repeats(self) -> bool:
        """Whether members may be called again."""
        return self.added.dtype != np.bool_

    def next_members(self, confidence: float, called: Collection[int], rounds_made: int) -> tuple[int, ...]:
        """Members that the next round calls for one query, once per call; none where the answer stands.

        Args:
            confidence: P(the answer so far is right).
            called: Pool indices of the members called so far, those that failed included.
            rounds_made: Rounds of calls so far, the first one included.
        """
        if rounds_made >= MAX_ROUNDS or confidence >= self.threshold:
            return ()
        members = np.repeat(np.arange(self.added.shape[1]), self.added[0]).tolist()
        return tuple(k for k in members if self.repeats or k not in called)

    def of(self, row: int) -> "FurtherRounds":
        """The second round of one query."""
        return replace(self, added=self.added[[row]])

    def without(self, members: NDArray[np.bool_]) -> "FurtherRounds":
        """The same without some of the members, (K,)."""
        return replace(self, added=np.where(members, self.added.dtype.type(0), self.added))
