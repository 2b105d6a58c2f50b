"""Fitting of what belongs to the pool: best fixed sets, vote, patience and operating points."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._progress import StageProgress, silent
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.selection.fixed_sets import EXHAUSTIVE_MEMBERS, best_fixed_sets
from langchain_selectllm.selection.operating_point_search import OperatingPointSearch
from langchain_selectllm.selection.patience import tune_patience
from langchain_selectllm.selection.pool_statistics import PoolStatistics, learn_pool
from langchain_selectllm.voting.cross_fitting import cross_fit_votes
from langchain_selectllm.voting.recorded_votes import RecordedSamples, RecordedVotes
from langchain_selectllm.voting.vote_fitting import why_no_vote

MOST_HELD_OUT = 20_000
"""Queries that calibration, vote and operating points are fitted on: at least as many of a larger table,
whose other queries fit the heads alone. They have some hundred weights; bounds training time, not searched.
Fixed sets are searched on as many."""
_MIN_VOTE_QUERIES = 50
"""Fully observed queries that a vote is learned from at least: roughly one per weight of the vote of four
members. Set by hand, not searched."""
_VOTE_FOLDS = 3
"""Folds of the votes that operating points are chosen by. Bounds training time, not searched."""


def search_pool(outcomes: OutcomeTable, progress: StageProgress = silent) -> tuple[PoolStatistics, str]:
    """The pool with its best fixed sets, and how these were searched."""
    pool = learn_pool(outcomes, {})
    rows = np.flatnonzero(outcomes.observed.all(axis=1))
    if len(rows) > MOST_HELD_OUT:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_HELD_OUT).astype(np.intp)]
    complete = outcomes.take(rows)
    if not (complete.has_replies and len(complete)):
        return replace(pool, fixed_sets={1: (pool.members[pool.single_best],)}), "none"
    found = best_fixed_sets(
        RecordedVotes.from_outcomes(complete, grounded=False),
        pool.base_rates,
        pool.latencies,
        progress=lambda share: progress("search fixed sets", share),
    )
    search = "exhaustive" if len(pool.members) <= EXHAUSTIVE_MEMBERS else "beam"
    named = {size: tuple(pool.members[k] for k in members) for size, members in found.items()}
    return replace(pool, fixed_sets=named), search


def learn_vote(
    outcomes: OutcomeTable,
    probabilities: NDArray[np.float64],
    unseen: NDArray[np.bool_],
    pool: PoolStatistics,
    *,
    seed: int,
    progress: StageProgress = silent,
) -> tuple[PoolStatistics, str]:
    """The pool with its vote, patience and operating points, and how to name the vote.

    Args:
        outcomes: Training outcomes; fully observed queries count.
        probabilities: P(correct) of heads that had not seen the query, (n, K).
        unseen: Queries with such probabilities, (n,).
        pool: Base rates, fixed sets and mean costs.
        seed: Seed of folds and subsets.
        progress: Called as training goes on.
    """
    rows = np.flatnonzero(outcomes.observed.all(axis=1) & unseen)
    if len(rows) < _MIN_VOTE_QUERIES:
        return pool, f"log_odds ({len(rows)} fully observed queries are too few to learn a vote)"
    table, probabilities = outcomes.take(rows), probabilities[rows]
    recorded, samples = RecordedVotes.from_outcomes(table), RecordedSamples.from_outcomes(table)
    costs, votes = pool.call_costs(table), None
    reason = why_no_vote(recorded)
    if reason is None:
        votes = cross_fit_votes(
            recorded,
            probabilities,
            pool.base_rates,
            pool.latencies,
            folds=np.random.default_rng(seed).permutation(len(rows)) % _VOTE_FOLDS,
            seed=seed,
            samples=samples,
            progress=lambda share: progress("learn the vote", 0.8 * share),
        )
        patience = tune_patience(recorded, probabilities, costs, pool.latencies, votes, seed=seed)
        pool = replace(pool, vote=votes.final, patience=patience)
    search = OperatingPointSearch(
        recorded=recorded, probabilities=probabilities, costs=costs, pool=pool, votes=votes, samples=samples
    )
    pool = replace(pool, operating_points=tuple(search.best_points()))
    return pool, "learned" if reason is None else f"log_odds ({reason})"
