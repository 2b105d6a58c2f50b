"""The learned vote and the operating points of a pool, fitted on training queries."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.guard import best_point_within, budgets_of, distinct, guarded
from langchain_selectllm.selection.operating_point_search import Candidate, OperatingPointSearch
from langchain_selectllm.selection.patience import tune_patience
from langchain_selectllm.selection.pool_statistics import CallCosts, PoolStatistics
from langchain_selectllm.voting.learned_vote import LearnedVote
from langchain_selectllm.voting.recorded_votes import RecordedVotes
from langchain_selectllm.voting.token_evidence import tokens_pay
from langchain_selectllm.voting.vote_fitting import fit_vote

_FOLDS = 3
# From no weight to one that outdoes most differences in probability, in steps of a factor of about three.
_COST_WEIGHTS = (0.0, 0.02, 0.06, 0.2)


def tune(
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    costs: CallCosts,
    pool: PoolStatistics,
    *,
    seed: int,
    learn_vote: bool = True,
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
        progress: Called with the share done.
    """
    folds = np.random.default_rng(seed).permutation(len(probabilities)) % _FOLDS
    votes = []
    for fold in range(_FOLDS + 1 if learn_vote else 0):
        # The last one is fitted on all queries: no query is in its fold.
        rows = np.flatnonzero(folds != fold)
        votes.append(
            fit_vote(recorded.take(rows), probabilities[rows], pool.base_rates, pool.latencies, seed=seed)
        )
        progress((fold + 1) / (_FOLDS + 2))
    if learn_vote:
        final = votes.pop()
        if final.without_tokens is not None and not tokens_pay(
            votes, folds, recorded, probabilities, seed=seed
        ):
            votes, final = [_without_tokens(vote) for vote in votes], final.without_tokens
        pool = replace(pool, vote=final)
    if votes:
        patience = tune_patience(recorded, probabilities, pool.latencies, votes, folds, seed=seed)
        pool = replace(pool, patience=patience)
    search = OperatingPointSearch(
        recorded=recorded, probabilities=probabilities, costs=costs, pool=pool, folds=folds, votes=votes
    )
    return _with_points(pool, search)


def _without_tokens(vote: LearnedVote) -> LearnedVote:
    return vote.without_tokens or vote


def _with_points(pool: PoolStatistics, search: OperatingPointSearch) -> PoolStatistics:
    """The pool with the operating points of a search."""
    by_query: list[Candidate] = []
    for cost_weight in _cost_weights(pool):
        by_query += search.candidates("query", cost_weight)
    fixed, baselines = list(search.candidates("fixed", 0.0)), search.baselines()
    budgets = budgets_of([*by_query, *baselines], baselines[0])
    return replace(
        pool,
        adaptive_points=distinct(map(partial(best_point_within, by_query), budgets)),
        guarded_points=distinct(map(partial(guarded, by_query, fixed, baselines), budgets)),
    )


def _cost_weights(pool: PoolStatistics) -> tuple[float, ...]:
    """Cost weights to try; 0 alone where costs are unknown or much the same."""
    differ = not np.isnan(pool.costs).any() and pool.costs.max() > 1.1 * pool.costs.min()
    if not differ:
        return (0.0,)
    return _COST_WEIGHTS
