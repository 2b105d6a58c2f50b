"""Choosing operating points on training queries, by votes and probabilities that had not seen them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.guard import Called, Trial, best_within, budgets_of, guarded, kept
from langchain_selectllm.selection.operating_point_trials import Bench, one_round
from langchain_selectllm.selection.operating_points import OperatingPoint, Ranking, Unit, rank_members
from langchain_selectllm.selection.policies import top
from langchain_selectllm.selection.pool_statistics import CallCosts, PoolStatistics
from langchain_selectllm.voting.recorded_votes import RecordedVotes
from langchain_selectllm.voting.vote_fitting import fit_vote

_FOLDS = 3
_PRICE_WEIGHTS = (0.0, *np.geomspace(0.01, 0.4, 9).tolist())


def tune(
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    spent: CallCosts,
    pool: PoolStatistics,
    *,
    seed: int,
    progress: Callable[[float], None] = lambda _: None,
) -> PoolStatistics:
    """The pool with a learned vote and operating points.

    Args:
        recorded: Votes on n fully observed training queries.
        probabilities: P(correct) of heads that had not seen the query, (n, K).
        spent: What each call took.
        pool: Base rates, fixed sets and mean costs.
        seed: Seed of folds and subsets.
        progress: Called with the share done.
    """
    folds = np.random.default_rng(seed).permutation(len(probabilities)) % _FOLDS
    votes = []
    for fold in range(_FOLDS):
        rows = np.flatnonzero(folds != fold)
        votes.append(
            fit_vote(recorded.take(rows), probabilities[rows], pool.base_rates, pool.latencies, seed=seed)
        )
        progress((fold + 1) / (_FOLDS + 2))
    vote = fit_vote(recorded, probabilities, pool.base_rates, pool.latencies, seed=seed)
    bench = Bench(recorded, probabilities, spent, pool, folds, votes)
    by_query = [
        trial
        for weight in _price_weights(pool)
        for trial in bench.trials("query", weight, _units(pool, weight))
    ]
    progress((_FOLDS + 1) / (_FOLDS + 2))
    fixed = list(bench.trials("fixed", 0.0, _units(pool, 0.0)))
    baselines = bench.baselines()
    budgets = budgets_of([*by_query, *baselines])
    return replace(
        pool,
        vote=vote,
        adaptive_points=kept(best_within(by_query, budget) for budget in budgets),
        guarded_points=kept(guarded(by_query, fixed, baselines, budget) for budget in budgets),
    )


def single_points(
    scores: NDArray[np.float64], probabilities: NDArray[np.float64], spent: CallCosts, pool: PoolStatistics
) -> tuple[tuple[OperatingPoint, ...], tuple[OperatingPoint, ...]]:
    """Operating points that call one member, for outcomes without replies: those that look at the query, and guarded ones.

    Args:
        scores: Success rates, (n, K).
        probabilities: P(correct) of heads that had not seen the query, (n, K).
        spent: What each call took.
        pool: Base rates and mean costs.
    """

    def trial(ranking: Ranking, weight: float, mask: NDArray[np.bool_], evidence: str) -> Trial:
        point = OperatingPoint(
            ranking, weight, 1, "learned" if ranking == "query" else "weighted", evidence=evidence
        )
        worth = np.where(mask, scores, 0.0).sum(axis=1)
        return one_round(point, spent, Called(mask, worth, worth))

    weights = _price_weights(pool)
    by_query = [trial("query", w, top(rank_members(probabilities, pool.costs, w), 1), "") for w in weights]
    best = np.tile(pool.mask((pool.members[pool.single_best],)), (len(scores), 1))
    baselines = [trial("fixed", 0.0, best, "single best")]
    budgets = budgets_of([*by_query, *baselines])
    return (
        kept(best_within(by_query, budget) for budget in budgets),
        kept(guarded(by_query, [], baselines, budget) for budget in budgets),
    )


def _price_weights(pool: PoolStatistics) -> tuple[float, ...]:
    """Price weights worth trying: one where prices are unknown or all the same."""
    differ = not np.isnan(pool.costs).any() and pool.costs.max() > 1.1 * pool.costs.min()
    return _PRICE_WEIGHTS if differ else (0.0,)


def _units(pool: PoolStatistics, price_weight: float) -> list[Unit]:
    """What a call may be priced in: whoever looks at prices in the first round looks at them later too."""
    known: dict[Unit, NDArray[np.float64]] = {"cost_usd": pool.costs, "latency_s": pool.latencies}
    priced = [unit for unit, each in known.items() if not np.isnan(each).any() and each.max() > 0]
    return ["cost_usd"] if price_weight > 0 else ["calls", *priced]
