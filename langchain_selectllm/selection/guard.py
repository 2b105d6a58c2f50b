"""Choice of operating points: the best rule per budget, and the guard."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.operating_point_search import ONE_SIDED_90, ONE_SIDED_95, Candidate
from langchain_selectllm.selection.operating_points import (
    MAX_ROUNDS,
    UNITS,
    CallingRule,
    OperatingPoint,
    Unit,
)

# Budgets of cost and of latency, from the cheapest rule to the dearest one.
_STEPS = 30


@dataclass(frozen=True, kw_only=True)
class OperatingBudget:
    """Upper bounds on the mean number of units and on the rounds of calls per query."""

    unit: Unit
    most: float
    max_rounds: int

    def allows(self, candidate: Candidate) -> bool:
        """Whether the candidate keeps the budget, with its margin."""
        limit = float(candidate.limits[UNITS.index(self.unit)])
        return candidate.rule.rounds <= self.max_rounds and limit <= self.most * (1 + 1e-9)


def budgets_of(candidates: Sequence[Candidate], single_best: Candidate) -> list[OperatingBudget]:
    """Budgets that operating points are kept for.

    Whole numbers of calls; of cost and latency the single best's own, and steps of equal ratio.
    """
    limits = np.stack([candidate.limits for candidate in candidates], axis=1)
    budgets: list[OperatingBudget] = []
    for unit, used, own in zip(UNITS, limits, single_best.limits, strict=True):
        if unit == "calls":
            budgets += _budgets(unit, np.arange(1.0, np.ceil(used.max()) + 1.0))
        elif used.min() > 0:
            budgets += _budgets(unit, np.append(np.geomspace(used.min(), used.max(), _STEPS), own))
    return budgets


def _budgets(unit: Unit, steps: NDArray[np.float64]) -> Iterator[OperatingBudget]:
    for max_rounds in range(1, MAX_ROUNDS + 1):
        for most in steps.tolist():
            yield OperatingBudget(unit=unit, most=most, max_rounds=max_rounds)


def best_point_within(candidates: Iterable[Candidate], budget: OperatingBudget) -> OperatingPoint | None:
    """The most accurate operating point within a budget; None when none is."""
    found = _best_within(candidates, budget)
    if found is None:
        return None
    return _point(found, found.accuracy, "best on validation within its budget")


def _best_within(candidates: Iterable[Candidate], budget: OperatingBudget) -> Candidate | None:
    within = filter(budget.allows, candidates)
    return max(within, key=lambda candidate: (candidate.accuracy, -candidate.limits[0]), default=None)


def guarded(
    by_query: Sequence[Candidate],
    fixed: Sequence[Candidate],
    baselines: Sequence[Candidate],
    budget: OperatingBudget,
) -> OperatingPoint | None:
    """The single best, unless another rule within the budget beats it with paired evidence.

    Larger fixed sets, then fixed sets with the learned vote, then selection by query are compared in this
    order, each with the rule chosen so far.

    Args:
        by_query: Rules that rank members by query.
        fixed: Best fixed sets with the learned vote.
        baselines: Best fixed sets with ballots weighted by base rates, ascending in size; the first is the
            single best.
        budget: The budget.
    """
    chosen: Candidate | None = None
    reason = "no fixed set is within this budget"
    if any(map(budget.allows, baselines)):
        reason = "best fixed set"
    for rival in (*baselines, _best_within(fixed, budget), _best_within(by_query, budget)):
        if rival is None or not budget.allows(rival):
            continue
        evidence = "" if chosen is None else _evidence(rival, chosen)
        if evidence is not None:
            chosen, reason = rival, evidence or reason
    if chosen is None:
        return None
    accuracy = chosen.accuracy
    if not budget.allows(baselines[0]):
        # Not compared with the single best, so that a larger budget must not prefer it to the single best.
        accuracy = min(accuracy, baselines[0].accuracy - 1e-6)
    return _point(chosen, accuracy, reason)


def _evidence(rival: Candidate, chosen: Candidate) -> str | None:
    """Gain of a rival in points, in words; None without evidence that it is better.

    Expected accuracy has to be higher by a one-sided test at 95 %, and so has the share of right answers at
    90 %: confidence alone may favour rules that call more members. Chosen by eight random pools and five
    splits of RouterBench; see docs/explanation/research-log.md.
    """
    gain, error = _paired(rival.expected() - chosen.expected())
    lead, lead_error = _paired(rival.score() - chosen.score())
    if gain <= ONE_SIDED_95 * error or lead <= ONE_SIDED_90 * lead_error:
        return None
    name = {"fixed": "the fixed set", "query": "the top"}[chosen.rule.ranking]
    gained = f"{100 * gain:.1f} +- {100 * ONE_SIDED_95 * error:.1f} points"
    return f"beats {name} of {chosen.rule.size} by {gained} on validation"


def _paired(difference: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(difference.mean()), float(difference.std() / np.sqrt(len(difference)))


def _point(candidate: Candidate, accuracy: float, evidence: str) -> OperatingPoint:
    used = dict(zip(UNITS, candidate.limits.tolist(), strict=True))
    return OperatingPoint(rule=candidate.rule, accuracy=accuracy, evidence=evidence, **used)


def distinct(points: Iterable[OperatingPoint | None]) -> tuple[OperatingPoint, ...]:
    """Each rule once, with the highest accuracy that it was given."""
    kept: dict[CallingRule, OperatingPoint] = {}
    for point in points:
        if point is not None and (point.rule not in kept or point.accuracy > kept[point.rule].accuracy):
            kept[point.rule] = point
    return tuple(kept.values())
