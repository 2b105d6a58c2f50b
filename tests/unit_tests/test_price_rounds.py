"""Rounds of calls where prices differ: the cheap ones first, then whoever is most probable."""

from dataclasses import replace

import numpy as np
import pytest

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.adaptive import Adaptive
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.guard import Call, Trial
from langchain_selectllm.operating import OperatingPoint
from langchain_selectllm.pool import Pool, Spent

DEAR = "dear"
POINT = OperatingPoint("query", 0.2, 0.0, 2, 1, 0.5, "learned", 0.0, 0.0, np.nan, np.nan, "made up")


def priced_world(n, seed=0):
    """Two cheap members that agree where they are right; one that costs fifty times as much and is nearly always right."""
    rng = np.random.default_rng(seed)
    queries, records = [], []
    for i in range(n):
        queries.append({"query_id": f"q{i:04d}", "query": f"question {i}", "reference": "A", "answer_type": "choice"})
        easy = rng.random() < 0.6
        for name, rate, cost in (("one", 0.97 if easy else 0.2, 1.0), ("two", 0.97 if easy else 0.2, 1.0), (DEAR, 0.97, 50.0)):
            letter = "A" if rng.random() < rate else "BCDEF"[rng.integers(5)]
            records.append(
                {"query_id": f"q{i:04d}", "model": name, "response": f"The answer is ({letter}).", "cost_usd": cost / 1000}
            )
    return OutcomeTable.from_records(queries, records, members=["one", "two", DEAR])


def test_round_two_adds_the_most_probable_member_whatever_it_costs():
    pool = Pool(
        ("one", "two", DEAR),
        np.array([0.7, 0.6, 0.9]),
        np.array([1.0, 1.0, 50.0]),
        np.full(3, np.nan),
        adaptive_points=(POINT,),
    )
    pool = replace(pool, vote=SelectLLMClassifier().fit(priced_world(200)).pool.vote)
    selection = Adaptive().select(np.array([[0.7, 0.6, 0.9], [0.9, 0.6, 0.7]]), pool)
    assert selection.mask.tolist() == [[True, True, False], [True, True, False]]
    assert selection.escalation.mask.tolist() == [[True, True, True], [True, True, False]]
    assert "the most probable 1 below confidence 0.50" in selection.reasons[0]


def test_most_of_the_dear_members_accuracy_comes_at_much_less_than_its_price():
    table = priced_world(1200)
    classifier = SelectLLMClassifier().fit(table.take(np.arange(800)))
    recording = Recording.of(table.take(np.arange(800, 1200)), classifier)
    alone = recording.replay_policy("dear", Adaptive(cost_usd=1.0))
    cheaper = recording.replay_policy("cheaper", Adaptive(cost_usd=0.03))
    assert alone.worth.mean() > 0.95
    assert cheaper.cost_usd.mean() < 0.033
    assert cheaper.worth.mean() > alone.worth.mean() - 0.02


def test_a_trial_of_two_rounds_goes_on_where_it_is_not_sure():
    early = Call(np.array([1.0, 0.0, 0.0]), np.eye(3, dtype=bool), np.array([0.9, 0.4, 0.5]))
    late = Call(np.array([0.0, 1.0, 1.0]), np.ones((3, 3), dtype=bool), np.array([0.9, 0.9, 0.9]))
    assert Trial(POINT, early, late).worth.tolist() == [1.0, 1.0, 0.0]
    assert Trial(POINT, early).worth.tolist() == [1.0, 0.0, 0.0]


def test_what_calls_took_is_summed_for_cost_and_the_slowest_for_latency():
    spent = Spent(np.array([[1.0, 2.0, 4.0]]), np.array([[0.5, 3.0, 1.0]]))
    mask = np.array([[True, False, True]])
    assert spent.cost(mask).tolist() == [5.0]
    assert spent.slowest(mask).tolist() == [1.0]
    assert spent.slowest(~mask & mask).tolist() == [0.0]
    assert np.isnan(Spent(np.array([[np.nan, 1.0]]), np.zeros((1, 2))).cost(np.array([[True, True]]))).all()


def test_unknown_costs_are_the_members_own_mean():
    table = priced_world(3)
    costs = np.array([[np.nan, 1.0, 2.0]] * 3)
    pool = Pool(table.members, np.full(3, 0.5), np.array([7.0, 8.0, 9.0]), np.array([0.1, 0.2, 0.3]))
    spent = pool.spent(replace(table, costs=costs))
    assert spent.costs.tolist() == [[7.0, 1.0, 2.0]] * 3
    assert spent.latencies[0].tolist() == pytest.approx([0.1, 0.2, 0.3])
