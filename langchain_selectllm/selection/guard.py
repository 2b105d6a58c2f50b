"""Which operating points are kept: the best one within each budget, and the guard."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.operating_points import OperatingPoint, Unit

# What is called evidence, of what is expected and of what was right: one-sided 95 and 90 %.
_Z, _Z_RIGHT = 1.645, 1.282
_STEPS = 25


@dataclass(frozen=True, eq=False)
class Called:
    """What calling a set of members for each of n queries gave."""

    mask: NDArray[np.bool_]
    """Called members, (n, K)."""
    worth: NDArray[np.float64]
    """Worth of the final answer, (n,)."""
    confidence: NDArray[np.float64]
    """P(it is right), (n,), as told by a vote that had not seen the query; its worth where no vote tells that."""

    @property
    def expected(self) -> NDArray[np.float64]:
        """Mean of worth and confidence, (n,).

        Among hundreds of points the luckiest has the largest share of right answers; confidence is not lucky with it.
        """
        return (self.worth + self.confidence) / 2


@dataclass(frozen=True, eq=False)
class Trial:
    """An operating point as it went on n queries."""

    point: OperatingPoint
    replay: Callable[[], Called]
    """What it gave: gone through again when asked for, since hundreds of points are tried."""

    @cached_property
    def called(self) -> Called:
        """What it gave."""
        return self.replay()


class Budget(NamedTuple):
    """What an operating point may take in the mean."""

    unit: Unit
    most: float
    rounds: int
    """Most rounds of calls for any query."""


def budgets_of(trials: Sequence[Trial]) -> list[Budget]:
    """The budgets that operating points are kept for: whole numbers of calls, and steps of cost and of latency."""
    most = round(max(trial.point.calls for trial in trials))
    rounds = range(1, max(trial.point.rounds for trial in trials) + 1)
    bounds: list[tuple[Unit, float]] = [("calls", float(calls)) for calls in range(1, most + 1)]
    units: tuple[Unit, ...] = ("cost_usd", "latency_s")
    for unit in units:
        spent = np.array([getattr(trial.point, unit) for trial in trials])
        if not np.isnan(spent).any() and spent.min() > 0:
            bounds += [
                (unit, float(bound)) for bound in np.geomspace(spent.min() * 1.0001, spent.max(), _STEPS)
            ]
    return [Budget(*bound, most) for bound in bounds for most in rounds]


def _within(trials: Sequence[Trial], budget: Budget) -> list[Trial]:
    few = [trial for trial in trials if trial.point.rounds <= budget.rounds]
    return [trial for trial in few if getattr(trial.point, budget.unit) <= budget.most + 1e-12]


def _most_accurate(trials: Sequence[Trial]) -> Trial | None:
    return max(trials, key=lambda trial: (trial.point.accuracy, -trial.point.calls), default=None)


def best_within(trials: Sequence[Trial], budget: Budget) -> OperatingPoint | None:
    """The most accurate operating point within a budget; None when none is."""
    found = _most_accurate(_within(trials, budget))
    if found is None:
        return None
    return replace(found.point, rounds=budget.rounds, evidence="best on validation within its budget")


def guarded(
    by_query: Sequence[Trial], fixed: Sequence[Trial], baselines: Sequence[Trial], budget: Budget
) -> OperatingPoint | None:
    """The single best, unless another point of the budget beats it with paired evidence.

    Larger fixed sets, then fixed sets with the learned vote, then what looks at the query, have to beat what stands.
    """
    rivals = sorted(_within(baselines, budget), key=lambda trial: trial.point.first)
    rivals += [
        trial for trial in (_most_accurate(_within(trials, budget)) for trials in (fixed, by_query)) if trial
    ]
    if not rivals:
        return None
    chosen = rivals[0]
    for rival in rivals[1:]:
        evidence = _evidence(rival.called, chosen.called)
        if evidence is not None:
            words = f"beats {_describe(chosen.point)} by {evidence} on validation"
            chosen = replace(rival, point=replace(rival.point, evidence=words))
    evidence = chosen.point.evidence or "no fixed set is within this budget"
    return replace(chosen.point, rounds=budget.rounds, evidence=evidence)


def _evidence(rival: Called, chosen: Called) -> str | None:
    """By how many points a rival is better, in words; None without evidence that it is.

    What is expected has to be more by a one-sided test at 95 %, and so has the share of right answers at 90 %: confidence alone
    may favour whoever asks more members.
    """
    gain, error = _paired(rival.expected - chosen.expected)
    lead, chance = _paired(rival.worth - chosen.worth)
    if gain <= _Z * error or lead <= _Z_RIGHT * chance:
        return None
    return f"{100 * gain:.1f} +- {100 * _Z * error:.1f} points"


def _paired(difference: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(difference.mean()), float(difference.std() / np.sqrt(len(difference)))


def _describe(point: OperatingPoint) -> str:
    return f"the fixed set of {point.most}" if point.ranking == "fixed" else f"the top {point.most}"


def kept(points: Iterable[OperatingPoint | None]) -> tuple[OperatingPoint, ...]:
    """Each point once, by calls and accuracy."""
    known = [point for point in points if point is not None]
    different = {
        (p.ranking, p.price_weight, p.first, p.vote, p.extensions, p.rounds, p.unit, p.exchange): p
        for p in known
    }
    return tuple(sorted(different.values(), key=lambda p: (p.calls, p.accuracy, p.rounds, p.exchange)))
