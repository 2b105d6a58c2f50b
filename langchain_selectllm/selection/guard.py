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


def guarded(stages: Sequence[Sequence[ReplayedPoint]], budget: OperatingBudget) -> ReplayedPoint | None:
    """The best point of the first stage, unless that of a later one beats it with paired evidence.

    Args:
        stages: Points in the order in which they have to prove themselves: those of each stage, the best
            first, are compared with the point chosen so far.
        budget: The budget; points beyond it are left out.
    """
    chosen: ReplayedPoint | None = None
    for stage in stages:
        rival = budget.first(stage)
        if rival is None:
            continue
        evidence: str | None = "best on validation within its budget"
        if chosen is not None:
            evidence = _evidence(rival, chosen)
        if evidence is not None:
            chosen = replace(rival, evidence=evidence)
    if chosen is None or budget.first(stages[0]):
        return chosen
    # Not compared with the first stage, so that a larger budget must not prefer it to that.
    return replace(chosen, accuracy=min(chosen.accuracy, stages[0][0].accuracy - 1e-6))


def _evidence(rival: ReplayedPoint, chosen: ReplayedPoint) -> str | None:
    """Gain of a rival in points, in words; None without evidence that it is better.

    Expected accuracy has to be higher by a one-sided test at 95 %, and so has the share of right answers at
    90 %: confidence alone may favour rules that call more members. Chosen by eight random pools and five
    splits of RouterBench; see docs/explanation/research-log.md.
    """
    gain, error = _paired(rival.expected() - chosen.expected())
    lead, lead_error = _paired(rival.score() - chosen.score())
    if gain <= ONE_SIDED_95 * error or lead <= _ONE_SIDED_90 * lead_error:
        return None
    name = {"fixed": "the fixed set", "query": "the top", "samples": "samples"}[chosen.rule.ranking]
    gained = f"{100 * gain:.1f} +- {100 * ONE_SIDED_95 * error:.1f} points"
    return f"beats {name} of {chosen.rule.size} by {gained} on validation"


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
