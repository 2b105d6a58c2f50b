"""Which operating points are kept: the best one within each budget, and the guard."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.operating import OperatingPoint

# One-sided 95 %: what is called evidence.
_Z = 1.645
_STEPS = 25


@dataclass(frozen=True, eq=False)
class Call:
    """What calling one set of members a query was worth, on n queries."""

    worth: NDArray[np.float64]
    mask: NDArray[np.bool_]
    """Called members, (n, K)."""
    confidence: NDArray[np.float64] | None = None
    """P(the answer is right), (n,), by a learned vote that had not seen the query."""


@dataclass(frozen=True, eq=False)
class Trial:
    """An operating point as it went on n queries."""

    point: OperatingPoint
    early: Call
    late: Call | None = None
    """Round one and two together."""

    @cached_property
    def worth(self) -> NDArray[np.float64]:
        """Worth of the final answer, (n,)."""
        if self.late is None or self.early.confidence is None:
            return self.early.worth
        return np.where(self.early.confidence < self.point.threshold, self.late.worth, self.early.worth)


def budgets_of(trials: Sequence[Trial]) -> list[tuple[str, float]]:
    """The budgets that operating points are kept for: whole numbers of calls, and steps of cost and of latency."""
    most = round(max(trial.point.calls for trial in trials))
    budgets: list[tuple[str, float]] = [("calls", float(calls)) for calls in range(1, most + 1)]
    for name in ("cost_usd", "latency_s"):
        spent = np.array([getattr(trial.point, name) for trial in trials])
        if not np.isnan(spent).any() and spent.min() > 0:
            budgets += [(name, float(most)) for most in np.geomspace(spent.min() * 1.0001, spent.max(), _STEPS)]
    return budgets


def _within(trials: Sequence[Trial], budget: tuple[str, float]) -> list[Trial]:
    return [trial for trial in trials if getattr(trial.point, budget[0]) <= budget[1] + 1e-12]


def _most_accurate(trials: Sequence[Trial]) -> Trial | None:
    return max(trials, key=lambda trial: (trial.point.accuracy, -trial.point.calls), default=None)


def best_within(trials: Sequence[Trial], budget: tuple[str, float]) -> OperatingPoint | None:
    """The most accurate operating point within a budget; None when none is."""
    found = _most_accurate(_within(trials, budget))
    return None if found is None else replace(found.point, evidence="best on validation within its budget")


def guarded(
    by_query: Sequence[Trial], fixed: Sequence[Trial], baselines: Sequence[Trial], budget: tuple[str, float]
) -> OperatingPoint | None:
    """The single best, unless another point of the budget beats it with paired evidence.

    Larger fixed sets, then fixed sets with the learned vote, then what looks at the query, have to beat what stands.
    """
    rivals = sorted(_within(baselines, budget), key=lambda trial: trial.point.first)
    rivals += [trial for trial in (_most_accurate(_within(trials, budget)) for trials in (fixed, by_query)) if trial]
    if not rivals:
        return None
    chosen = rivals[0]
    for rival in rivals[1:]:
        difference = rival.worth - chosen.worth
        error = float(difference.std() / np.sqrt(len(difference)))
        if difference.mean() > _Z * error:
            words = f"beats {_describe(chosen.point)} by {100 * difference.mean():.1f} +- {100 * _Z * error:.1f} points"
            chosen = replace(rival, point=replace(rival.point, evidence=f"{words} on validation"))
    return chosen.point if chosen.point.evidence else replace(chosen.point, evidence="no fixed set is within this budget")


def _describe(point: OperatingPoint) -> str:
    return f"the fixed set of {point.final}" if point.ranking == "fixed" else f"the top {point.final}"


def kept(points: Iterable[OperatingPoint | None]) -> tuple[OperatingPoint, ...]:
    """Each point once, by calls and accuracy."""
    known = [point for point in points if point is not None]
    different = {(p.ranking, p.price_weight, p.second_price_weight, p.first, p.final, p.threshold, p.vote): p for p in known}
    return tuple(sorted(different.values(), key=lambda p: (p.calls, p.accuracy, p.threshold)))
