"""The second round of calls: members that are called where the first answer is not sure enough."""

from dataclasses import replace

import numpy as np
import pytest

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.operating_points import CallingRule, OperatingPoint
from langchain_selectllm.selection.policy_names import parse_policy
from langchain_selectllm.selection.pool_statistics import CallCosts, PoolStatistics

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


def pool_with(pool, **rule):
    fields = {"ranking": "query", "first": 1, "size": 2, "threshold": 0.5, **rule}
    point = OperatingPoint(
        rule=CallingRule(**fields), accuracy=0.5, calls=1.0, cost_usd=0.01, latency_s=1.0, evidence="made up"
    )
    return replace(pool, operating_points=(point,))


PROBABILITIES = np.array([[0.7, 0.6, 0.9], [0.9, 0.6, 0.7]])


def test_the_second_round_calls_the_next_members_of_the_ranking(priced):
    selection = Adaptive().select(PROBABILITIES, pool_with(priced, size=2))
    assert selection.mask.tolist() == [[False, False, True], [True, False, False]]
    assert selection.further.added.tolist() == [[True, False, False], [False, False, True]]
    assert selection.reasons[0] == (
        "the most probable member, and up to 1 more where the confidence is below 0.50"
    )


def test_a_cost_weight_puts_the_dear_member_last(priced):
    # Costs relative to their mean are 0.06, 0.06 and 2.9: 0.9 - 0.2 * 2.9 = 0.32.
    selection = Adaptive().select(PROBABILITIES, pool_with(priced, first=2, size=3, cost_weight=0.2))
    assert selection.mask.tolist() == [[True, True, False], [True, True, False]]
    assert selection.further.added.tolist() == [[False, False, True], [False, False, True]]
    assert "the 2 most probable members (probability less cost), and up to 1 more" in selection.reasons[0]


def test_the_answer_stands_at_the_threshold_and_after_two_rounds(priced):
    further = Adaptive().select(PROBABILITIES, pool_with(priced, size=3)).further.of(0)
    assert further.next_members(0.49, {2}, 1) == (0, 1)
    assert further.next_members(0.5, {2}, 1) == ()
    assert further.next_members(0.49, {0, 1, 2}, 2) == ()


def test_a_member_that_replaced_a_failed_one_is_not_called_again(priced):
    further = Adaptive().select(PROBABILITIES, pool_with(priced, size=3)).further.of(0)
    assert further.next_members(0.1, {0, 2}, 1) == (1,)
    assert further.next_members(0.1, {0, 1, 2}, 1) == ()


def test_the_second_round_leaves_out_members_that_cannot_be_called(priced):
    further = Adaptive().select(PROBABILITIES, pool_with(priced, size=3)).further.of(0)
    assert further.without(np.array([True, False, False])).next_members(0.1, {2}, 1) == (1,)


def test_a_rule_of_one_round_plans_no_second_one(priced):
    selection = Adaptive().select(PROBABILITIES, pool_with(priced, first=2, size=2))
    assert selection.further is None
    assert selection.reasons[0] == "the 2 most probable members"


@pytest.mark.parametrize("rounds", [0, 3])
def test_members_are_called_in_one_round_or_two(rounds):
    with pytest.raises(PolicyError, match=f"max_rounds={rounds} is out of range.*Use 1 or 2"):
        Adaptive(max_rounds=rounds)
    with pytest.raises(PolicyError, match="is out of range"):
        parse_policy("selectllm:3:3rounds")


@pytest.fixture(scope="module")
def two_rounds():
    table = priced_world(900, seed=1)
    classifier = SelectLLMClassifier().fit(table.take(np.arange(600)))
    return classifier, Recording.of(table.take(np.arange(600, 900)), classifier)


def test_points_are_kept_for_one_round_and_for_two(two_rounds):
    classifier, recording = two_rounds
    for rounds in (1, 2):
        policy = Adaptive(cost_usd=0.03, max_rounds=rounds)
        point = policy.point(classifier.pool)
        assert point.rule.rounds == rounds
        assert point.cost_usd <= 0.03
        assert recording.replay_policy("x", policy).cost_usd.mean() < 0.034


def test_most_of_the_dear_members_accuracy_comes_at_much_less_than_its_price():
    table = priced_world(1200)
    classifier = SelectLLMClassifier().fit(table.take(np.arange(800)))
    recording = Recording.of(table.take(np.arange(800, 1200)), classifier)
    alone = recording.replay_policy("dear", Adaptive(cost_usd=1.0))
    cheaper = recording.replay_policy("cheaper", Adaptive(cost_usd=0.03))
    assert alone.score.mean() > 0.95
    assert cheaper.cost_usd.mean() < 0.033
    assert cheaper.score.mean() > alone.score.mean() - 0.02


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
