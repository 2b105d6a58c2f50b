"""Rounds of calls: whoever is expected to add more to the accuracy than the price."""

from dataclasses import replace

import numpy as np
import pytest

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.adaptive import Adaptive, called_after, further_rounds
from langchain_selectllm.selection.further_rounds import LAST, STOP, Extension
from langchain_selectllm.selection.operating_points import OperatingPoint
from langchain_selectllm.selection.pool_statistics import CallCosts, PoolStatistics
from langchain_selectllm.voting.learned_vote import winning_confidence

DEAR = "dear"


def priced_world(n, seed=0):
    """Two cheap members that agree where they are right; one that costs fifty times as much and is nearly always right."""
    rng = np.random.default_rng(seed)
    queries, records = [], []
    for i in range(n):
        queries.append(
            {"query_id": f"q{i:04d}", "query": f"question {i}", "reference": "A", "answer_type": "choice"}
        )
        easy = rng.random() < 0.6
        for name, rate, cost in (
            ("one", 0.97 if easy else 0.2, 1.0),
            ("two", 0.97 if easy else 0.2, 1.0),
            (DEAR, 0.97, 50.0),
        ):
            letter = "A" if rng.random() < rate else "BCDEF"[rng.integers(5)]
            records.append(
                {
                    "query_id": f"q{i:04d}",
                    "model": name,
                    "response": f"The answer is ({letter}).",
                    "cost_usd": cost / 1000,
                }
            )
    return OutcomeTable.from_records(queries, records, members=["one", "two", DEAR])


@pytest.fixture(scope="module")
def priced():
    return SelectLLMClassifier().fit(priced_world(300)).pool


def pool_with(pool, *ways, exchange=0.0, unit="calls", rounds=2, weight=0.0):
    point = OperatingPoint(
        "query", weight, 1, "learned", ways, rounds, unit, exchange, 0.5, 1.0, 0.01, float("nan"), "made up"
    )
    return replace(pool, adaptive_points=(point,))


PROBABILITIES = np.array([[0.7, 0.6, 0.9], [0.9, 0.6, 0.7]])


def test_a_round_that_forgets_prices_adds_the_most_probable_member_and_is_the_last(priced):
    pool = pool_with(
        priced, Extension(1, 1, 0.0, (0.5, -1.0, 0.0)), weight=0.4, exchange=0.01, unit="cost_usd"
    )
    selection = Adaptive().select(PROBABILITIES, pool)
    assert selection.mask.tolist() == [[True, False, False], [True, False, False]]
    assert selection.further.added[:, 0].tolist() == [[False, False, True], [False, False, False]]
    assert selection.further.able.tolist() == [[True], [False]]
    assert selection.further.ends.tolist() == [LAST]
    assert selection.further.prices[0, 0] == pool.costs[2]
    assert "and more where each USD is expected to add at least 0.01 to the accuracy" in selection.reasons[0]


def test_the_reason_says_when_price_does_not_matter(priced):
    pool = pool_with(priced, Extension(1, 2, 0.0, (0.3, 0.0, 0.0)))
    expected = (
        "the members most worth their call (1), and more where they are expected to add to the accuracy"
    )
    assert Adaptive().select(PROBABILITIES, pool).reasons[0] == expected


def test_whoever_adds_most_beyond_the_price_is_called(priced):
    # One more is expected to add 0.30 - 0.3 c, two more 0.6 - 0.9 c.
    ways = (Extension(1, 2, 0.0, (0.3, -0.3, 0.0)), Extension(1, 3, 0.0, (0.6, -0.9, 0.0)))
    further = Adaptive().select(PROBABILITIES[[0, 0, 0]], pool_with(priced, *ways, exchange=0.1)).further
    # At 0.1 a call: 0.17 against 0.31; 0.08 against 0.04; 0.02 beyond the price of neither.
    assert further.choose(np.array([0.1, 0.4, 0.9]), np.full(3, 1)).tolist() == [1, 0, STOP]
    assert further.prices[0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("unit", "prices"), [("calls", [2.0]), ("cost_usd", [0.051]), ("latency_s", [3.0])])
def test_prices_count_calls_dollars_or_the_slowest(priced, unit, prices):
    pool = replace(priced, costs=np.array([0.001, 0.001, 0.05]), latencies=np.array([1.0, 2.0, 3.0]))
    pool = pool_with(pool, Extension(1, 3, 0.0, (1.0, 0.0, 0.0)), unit=unit)
    assert Adaptive().select(PROBABILITIES[1:], pool).further.prices[0] == pytest.approx(prices)


def test_a_third_round_goes_on_from_where_the_second_ended(priced):
    ways = (Extension(1, 2, 0.0, (0.3, 0.0, 0.0)), Extension(2, 3, 0.0, (0.3, 0.0, 0.0)))
    further = Adaptive(max_rounds=3).select(PROBABILITIES, pool_with(priced, *ways, rounds=3)).further
    sure = np.array([0.5, 0.5])
    assert (further.choose(sure, np.array([1, 2])).tolist(), further.most) == ([0, 1], 3)
    assert further.choose(sure, np.array([3, LAST])).tolist() == [STOP, STOP]
    assert further.added[0].sum(axis=1).tolist() == [1, 1]


def test_the_next_members_follow_from_the_confidence_the_called_members_and_the_rounds_made(priced):
    ways = (Extension(1, 2, 0.0, (0.3, -0.3, 0.0)), Extension(2, 3, 0.0, (0.3, -0.6, 0.0)))
    pool = pool_with(priced, *ways, rounds=3)
    further = Adaptive(max_rounds=3).select(PROBABILITIES[1:], pool).further.of(0)
    # Members 0, 2 and 1 are called in turn: 0.30 - 0.3 c is above zero below 1.0, 0.30 - 0.6 c below 0.5.
    assert further.next_members(0.4, [0], 1) == (2,)
    assert further.next_members(1.0, [0], 1) == ()
    assert further.next_members(0.4, [0, 2], 2) == (1,)
    assert further.next_members(0.6, [0, 2], 2) == ()
    # Member 2 replaced a failed one in the first round, so that the third round takes the second's place.
    assert further.next_members(0.4, [0, 2], 1) == (1,)
    assert further.next_members(0.0, [0, 1, 2], 3) == ()


def test_an_extension_without_the_members_that_are_left_out_calls_the_others_or_nobody(priced):
    further = (
        Adaptive().select(PROBABILITIES, pool_with(priced, Extension(1, 2, 0.0, (1.0, 0.0, 0.0)))).further
    )
    assert further.of(0).choose(np.array([0.5]), np.array([1])).tolist() == [0]
    assert further.of(0).without(np.array([True, False, False])).choose(
        np.array([0.5]), np.array([1])
    ).tolist() == [STOP]


def test_rounds_are_bounded():
    with pytest.raises(PolicyError, match="max_rounds=0 allows no call"):
        Adaptive(max_rounds=0)


@pytest.fixture(scope="module")
def three_rounds():
    table = priced_world(900, seed=1)
    classifier = SelectLLMClassifier().fit(table.take(np.arange(600)))
    return classifier, Recording.of(table.take(np.arange(600, 900)), classifier)


def test_points_are_kept_for_one_round_two_and_three(three_rounds):
    classifier, recording = three_rounds
    for rounds in (1, 2, 3):
        policy = Adaptive(cost_usd=0.03, max_rounds=rounds)
        point = policy.point(classifier.pool)
        assert point.rounds == rounds
        assert (point.extensions == ()) == (rounds == 1)
        assert point.cost_usd <= 0.03
        assert recording.replay_policy("x", policy).cost_usd.mean() < 0.034
    assert Adaptive(max_rounds=9).point(classifier.pool).rounds == 3


def test_most_of_the_dear_members_accuracy_comes_at_much_less_than_its_price():
    table = priced_world(1200)
    classifier = SelectLLMClassifier().fit(table.take(np.arange(800)))
    recording = Recording.of(table.take(np.arange(800, 1200)), classifier)
    alone = recording.replay_policy("dear", Adaptive(cost_usd=1.0))
    cheaper = recording.replay_policy("cheaper", Adaptive(cost_usd=0.03))
    assert alone.score.mean() > 0.95
    assert cheaper.cost_usd.mean() < 0.033
    assert cheaper.score.mean() > alone.score.mean() - 0.02


def test_expected_gains_come_true(three_rounds):
    """What extensions were expected to add on training queries is what they add on others."""
    classifier, recording = three_rounds
    vote, p = classifier.pool.vote, recording.probabilities
    climbing = [point for point in classifier.pool.adaptive_points if point.extensions]
    assert climbing
    for point in climbing:
        for way, added in zip(
            point.extensions, np.moveaxis(further_rounds(point, p, classifier.pool).added, 1, 0), strict=True
        ):
            before = called_after(point, point.price_weight, way.start, p, classifier.pool)
            sure, then = (confidence(recording, vote, mask) for mask in (before, before | added))
            expected = np.polynomial.polynomial.polyval(sure, way.gain)
            assert expected.mean() == pytest.approx((then - sure).mean(), abs=0.06)


def confidence(recording, vote, mask):
    verdict, _ = recording.votes.replay(vote, mask, recording.probabilities, recording.pool.latencies)
    ballots = recording.votes.ballots(recording.probabilities, recording.pool.latencies).masked(mask)
    return winning_confidence(vote, ballots, verdict)


def test_what_calls_took_is_summed_for_cost_and_the_slowest_for_latency():
    spent = CallCosts(np.array([[1.0, 2.0, 4.0]]), np.array([[0.5, 3.0, 1.0]]))
    mask = np.array([[True, False, True]])
    assert spent.cost(mask).tolist() == [5.0]
    assert spent.slowest(mask).tolist() == [1.0]
    assert spent.slowest(~mask & mask).tolist() == [0.0]
    assert np.isnan(
        CallCosts(np.array([[np.nan, 1.0]]), np.zeros((1, 2))).cost(np.array([[True, True]]))
    ).all()


def test_unknown_costs_are_the_members_own_mean():
    table = priced_world(3)
    costs = np.array([[np.nan, 1.0, 2.0]] * 3)
    pool = PoolStatistics(
        table.members, np.full(3, 0.5), np.array([7.0, 8.0, 9.0]), np.array([0.1, 0.2, 0.3])
    )
    spent = pool.call_costs(replace(table, costs=costs))
    assert spent.costs.tolist() == [[7.0, 1.0, 2.0]] * 3
    assert spent.latencies[0].tolist() == pytest.approx([0.1, 0.2, 0.3])
