"""The learned vote and the operating points of a pool, fitted on training queries."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.guard import evidence
from langchain_selectllm.selection.operating_point_search import OperatingPointSearch
from langchain_selectllm.selection.operating_points import (
    MAX_ROUNDS,
    UNITS,
    OperatingBudget,
    OperatingPoint,
    ranked,
)
from langchain_selectllm.selection.patience import tune_patience
from langchain_selectllm.selection.pool_statistics import CallCosts, PoolStatistics
from langchain_selectllm.voting.cross_fitting import cross_fit_votes
from langchain_selectllm.voting.recorded_votes import RecordedSamples, RecordedVotes

_FOLDS = 3
"""Folds of the votes that operating points are chosen by. Bounds training time, not searched."""
_COST_WEIGHTS = (0.0, 0.02, 0.06, 0.2)
"""From no weight to one that outdoes most differences in probability, in steps of a factor of about three.
Ten weights gained nothing over these, see docs/explanation/research-log.md."""
_STEPS = 30
"""Budgets of cost and of latency, from the cheapest rule to the dearest one. Bounds the size of an artefact;
not searched."""
_MIN_COST_RATIO = 1.1
"""Highest cost over lowest cost from which cost weights are tried. Set by hand, not searched."""


def tune(
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    costs: CallCosts,
    pool: PoolStatistics,
    *,
    seed: int,
    learn_vote: bool = True,
    samples: RecordedSamples | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> PoolStatistics:
    """The pool with a learned vote and operating points.

    Args:
        recorded: Votes on n fully observed training queries.
        probabilities: P(correct) of heads that had not seen the query, (n, K).
        costs: Cost and latency of each call.
        pool: Base rates, fixed sets and mean costs.
        seed: Seed of folds and subsets.
        learn_vote: Whether a vote is learned; if not, operating points call one member.
        samples: Several samples of every member; members are called once at most when None.
        progress: Called with the share done.
    """
    folds = np.random.default_rng(seed).permutation(len(probabilities)) % _FOLDS
    search = OperatingPointSearch(
        recorded=recorded,
        probabilities=probabilities,
        costs=costs,
        pool=pool,
        folds=folds,
        votes=(),
        samples=samples,
    )
    if learn_vote:
        fitted = cross_fit_votes(
            recorded,
            probabilities,
            pool.base_rates,
            pool.latencies,
            folds=folds,
            seed=seed,
            samples=samples,
            progress=lambda share: progress(0.8 * share),
        )
        patience = tune_patience(
            recorded, probabilities, costs, pool.latencies, fitted.by_fold, folds, seed=seed
        )
        pool = replace(pool, vote=fitted.final, patience=patience)
        search = replace(search, pool=pool, votes=fitted.by_fold)
    return replace(pool, operating_points=tuple(_kept(search)))


def _kept(search: OperatingPointSearch) -> Iterator[OperatingPoint]:
    """The single best member, and the best point per budget: of all rules, and of those by query."""
    by_query = list(search.points("samples"))
    for cost_weight in _cost_weights(search.pool):
        by_query += search.points("query", cost_weight)
    fixed = list(search.points("fixed"))
    single_best, adaptive, everything = fixed[0], ranked(by_query), ranked([*by_query, *fixed])
    kept = {single_best.rule: single_best}
    for budget in _budgets(everything, single_best):
        for points in (everything, adaptive):
            best = budget.first(points)
            if best is not None:
                kept[best.rule] = best
    for point in kept.values():
        yield replace(search.served(point), evidence=evidence(point, single_best))


def _budgets(points: Sequence[OperatingPoint], single_best: OperatingPoint) -> Iterator[OperatingBudget]:
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


def _cost_weights(pool: PoolStatistics) -> tuple[float, ...]:
    """Cost weights to try; 0 alone where costs are unknown or much the same."""
    differ = not np.isnan(pool.costs).any() and pool.costs.max() > _MIN_COST_RATIO * pool.costs.min()
    if not differ:
        return (0.0,)
    return _COST_WEIGHTS
