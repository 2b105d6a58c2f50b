"""Choice of operating points: the best one per budget, and the guard."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.operating_point_search import ONE_SIDED_95, ReplayedPoint
from langchain_selectllm.selection.operating_points import (
    MAX_ROUNDS,
    UNITS,
    CallingRule,
    OperatingBudget,
    OperatingPoint,
)

_ONE_SIDED_90 = 1.282
"""Quantile of the standard normal distribution: one-sided 90 %."""
_STEPS = 30
"""Budgets of cost and of latency, from the cheapest rule to the dearest one. Bounds the size of an artefact;
not searched."""


def budgets_of(points: Sequence[OperatingPoint], single_best: OperatingPoint) -> Iterator[OperatingBudget]:
    """Budgets that operating points are kept for, each for one round and for two.

    Whole numbers of calls; of cost and latency the single best's own, and steps of equal ratio.
    """
    for unit in UNITS:
        used = np.array([getattr(point, unit) for point in points])
        if unit == "calls":
            steps = np.arange(1.0, np.ceil(used.max()) + 1.0)
        elif used.min() > 0:
            steps = np.append(np.geomspace(used.min(), used.max(), _STEPS), getattr(single_best, unit))
        else:
            continue
        for max_rounds in range(1, MAX_ROUNDS + 1):
            for most in steps.tolist():
                yield OperatingBudget(max_rounds=max_rounds, **{unit: most})


def unguarded(points: Sequence[ReplayedPoint], budget: OperatingBudget) -> ReplayedPoint | None:
    """The best point within the budget; points are given best first."""
    best = budget.first(points)
    if best is None:
        return None
    return replace(best, evidence="best on validation within its budget")


def guarded(
    points: Sequence[ReplayedPoint], single_best: ReplayedPoint, budget: OperatingBudget
) -> ReplayedPoint | None:
    """The best point within the budget if there is paired evidence for it, else the single best member.

    Args:
        points: Points of all rules, the single best's among them, the best first.
        single_best: The point that calls the single best member.
        budget: The budget; points beyond it are left out.
    """
    best = unguarded(points, budget)
    if best is None:
        return None
    if budget.first([single_best]) is None:
        # Not compared with the single best, so that a larger budget must not prefer it to that.
        return replace(best, accuracy=min(best.accuracy, single_best.accuracy - 1e-6))
    evidence = _evidence(best, single_best)
    if evidence is None:
        return replace(single_best, evidence="no rule within its budget beats it on validation")
    return replace(best, evidence=evidence)


def _evidence(rival: ReplayedPoint, single_best: ReplayedPoint) -> str | None:
    """Gain over the single best member in points, in words; None without evidence that the rival is better.

    Expected accuracy has to be higher by a one-sided test at 95 %, and so has the share of right answers at
    90 %: confidence alone may favour rules that call more members. Chosen by eight random pools and five
    splits of RouterBench; see docs/explanation/research-log.md.
    """
    gain, error = _paired(rival.expected() - single_best.expected())
    lead, lead_error = _paired(rival.score() - single_best.score())
    if gain <= ONE_SIDED_95 * error or lead <= _ONE_SIDED_90 * lead_error:
        return None
    gained = f"{100 * gain:.1f} +- {100 * ONE_SIDED_95 * error:.1f} points"
    return f"beats the single best member by {gained} on validation"


def _paired(difference: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(difference.mean()), float(difference.std() / np.sqrt(len(difference)))


def distinct(points: Iterable[ReplayedPoint | None]) -> tuple[OperatingPoint, ...]:
    """Each rule once, with the highest accuracy that it was given."""
    kept: dict[CallingRule, OperatingPoint] = {}
    for point in points:
        if point is not None and (point.rule not in kept or point.accuracy > kept[point.rule].accuracy):
            kept[point.rule] = point.without_replays()
    return tuple(kept.values())
