"""Operating points are chosen by votes of folds, and served by the vote of all queries."""

from dataclasses import replace

import numpy as np
import pytest

from langchain_selectllm.selection.operating_point_search import (
    OperatingPointSearch,
    ReplayedCalls,
    one_round,
    two_rounds,
)
from langchain_selectllm.selection.operating_points import CallingRule
from langchain_selectllm.selection.pool_statistics import CallCosts, PoolStatistics
from langchain_selectllm.voting.learned_vote import LearnedReplay

N = 1000
UNKNOWN = np.full(2, np.nan)


def calls_of(n_calls):
    """The same calls for every query, with the confidences 0, 0.001, ... 0.999 of the folds' votes."""
    return ReplayedCalls(
        calls=np.tile(np.arange(2) < n_calls, (N, 1)),
        score=np.zeros(N),
        confidence=np.arange(N) / N,
        used=np.full((3, N), float(n_calls)),
    )


class HalfAsSure:
    """Recorded votes by which the vote of all queries is half as sure as those of the folds."""

    def replay_learned(self, vote, mask, probabilities, latencies):
        assert vote == "served"
        assert mask[:, 0].all()
        return LearnedReplay(score=np.zeros(N), confidence=np.arange(N) / (2 * N), lead=np.ones(N))


@pytest.fixture
def search():
    pool = PoolStatistics(("a", "b"), np.array([0.5, 0.4]), UNKNOWN, UNKNOWN, vote="served")
    costs = CallCosts(np.full((N, 2), np.nan), np.full((N, 2), np.nan))
    return OperatingPointSearch(
        recorded=HalfAsSure(),
        probabilities=np.full((N, 2), 0.5),
        costs=costs,
        pool=pool,
        folds=np.arange(N) % 3,
        votes=(),
    )


def test_the_vote_that_serves_sends_the_share_on_that_was_chosen(search):
    rule = CallingRule(ranking="query", first=1, size=2)
    (point,) = [found for found in two_rounds(rule, calls_of(1), calls_of(2)) if found.rule.threshold == 0.5]
    served = search.served(point)
    assert served == replace(point.without_replays(), rule=replace(rule, threshold=0.25))
    assert (np.arange(N) / (2 * N) < served.rule.threshold).mean() == 0.5


def test_one_round_has_no_threshold(search):
    point = one_round(CallingRule(ranking="query", first=1, size=1), calls_of(1))
    assert search.served(point) == point.without_replays()
