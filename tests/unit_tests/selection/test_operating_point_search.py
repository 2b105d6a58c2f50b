"""Operating points are chosen by votes of folds, and served by the vote of all queries."""

from dataclasses import replace

import numpy as np
import pytest

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.operating_point_search import (
    OperatingPointSearch,
    ReplayedCalls,
    two_rounds,
)
from langchain_selectllm.selection.operating_points import CallingRule
from langchain_selectllm.selection.pool_statistics import CallCosts, PoolStatistics
from langchain_selectllm.voting.learned_vote import LearnedReplay
from langchain_selectllm.voting.recorded_votes import RecordedVotes
from tests.support.worlds import score_table

N = 1000
RULE = CallingRule(ranking="query", first=1, size=2)


def calls_of(n_calls, score=0.0):
    """The same calls for every query: the folds' votes have the confidences 0, 0.001, ... 0.999, the one that serves half of them."""
    confidence = np.arange(N) / N
    return ReplayedCalls(
        calls=np.tile(np.arange(2) < n_calls, (N, 1)),
        used=np.full((3, N), float(n_calls)),
        answers=LearnedReplay(score=np.full(N, score), confidence=confidence, lead=np.ones(N)),
        served=confidence / 2,
    )


def test_the_vote_that_serves_sends_the_share_on_that_was_chosen():
    first = calls_of(1)
    (point,) = [found for found in two_rounds(RULE, first, calls_of(2)) if found.rule.threshold == 0.25]
    assert point.rule == replace(RULE, threshold=0.25)
    # The share that the vote of all queries sends on is half; by the folds' votes those are the least sure half.
    assert (first.served < point.rule.threshold).mean() == 0.5
    assert first.further(point.rule.threshold).tolist() == [True] * 500 + [False] * 500


def test_the_second_round_gains_where_it_is_made():
    (point,) = [
        found
        for found in two_rounds(RULE, calls_of(1), calls_of(2, score=1.0))
        if found.rule.threshold == 0.25
    ]
    # Half of the answers become right; accuracy is half of score and half of confidence.
    alone = calls_of(1).answers.expected.mean()
    assert point.accuracy == pytest.approx(alone + 0.5 * 0.5)


def test_of_equal_confidences_all_go_on_or_none():
    first = replace(calls_of(1), served=np.repeat([0.3, 0.6], [300, N - 300]))
    (point,) = two_rounds(RULE, first, calls_of(2, score=1.0))
    assert point.rule.threshold == 0.6
    alone = calls_of(1).answers.expected.mean()
    assert point.accuracy == pytest.approx(alone + 0.3 * 0.5)


def test_equal_confidences_leave_nobody_to_send_on():
    first = replace(calls_of(1), served=np.full(N, 0.5))
    assert list(two_rounds(RULE, first, calls_of(2))) == []


def priced(costs, n=400, seed=0):
    """The best points of a pool of which member k costs costs[k] a call; the first is right in 90 %, the others in 60 %."""
    rng = np.random.default_rng(seed)
    table = score_table((rng.random((n, len(costs))) < [0.9] + [0.6] * (len(costs) - 1)).astype(float))
    pool = PoolStatistics(
        table.members,
        table.scores.mean(axis=0),
        np.array(costs),
        np.full(len(costs), np.nan),
        fixed_sets={1: table.members[:1]},
    )
    search = OperatingPointSearch(
        recorded=RecordedVotes.from_outcomes(table),
        probabilities=np.clip(table.scores * 0.8 + 0.1 + rng.normal(0, 0.05, table.scores.shape), 0, 1),
        costs=CallCosts(np.tile(costs, (n, 1)), np.full((n, len(costs)), np.nan)),
        pool=pool,
    )
    return replace(pool, operating_points=tuple(search.best_points()))


@pytest.mark.parametrize("cheapest", [0.0, 0.001])
def test_the_cheapest_member_is_within_reach_of_a_budget(cheapest):
    pool = priced([1.0, 0.3, cheapest])
    point = Adaptive(cost_usd=0.002).point(pool)
    assert cheapest <= point.cost_usd <= 0.002
    assert Adaptive(cost_usd=1.0).point(pool).accuracy > point.accuracy


def test_no_vote_leaves_one_call():
    classifier = SelectLLMClassifier().fit(
        score_table((np.random.default_rng(0).random((200, 3)) < 0.6) * 1.0)
    )
    assert classifier.summary.vote.startswith("log_odds")
    assert {point.rule.size for point in classifier.pool.operating_points} == {1}
