"""Systems that call one member several times, replayed and listed."""

from dataclasses import replace

import numpy as np
import pytest

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm import evaluate as evaluate_unseen
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.policy_names import parse_policy
from tests.support.worlds import reply_table


def evaluate(classifier, table, **kwargs):
    """All these tables share their query ids."""
    return evaluate_unseen(classifier, table, allow_training_queries=True, **kwargs)


@pytest.fixture(scope="module")
def classifier():
    return SelectLLMClassifier().fit(reply_table(["AB"] * 10, ["A"] * 10))


def record(classifier, rows, references):
    return Recording.of(reply_table(rows, references, members=["m0", "m1"]), classifier)


def replay(recording, name):
    return recording.replay_policy(name, parse_policy(name))


def test_self_consistency_is_the_majority_of_the_first_samples_of_the_best_member(classifier):
    recording = record(classifier, [["ABB", "CCC"], ["ABC", "CCC"]], ["B", "A"])
    # A B B has majority B; A B C is a tie, which goes to the first answer.
    assert replay(recording, "self_consistency:3").score.tolist() == [1, 1]
    assert replay(recording, "self_consistency:3").calls.tolist() == [3, 3]
    # Of A B the first sample decides.
    assert replay(recording, "self_consistency:2").score.tolist() == [0, 1]


def test_routed_self_consistency_samples_the_most_probable_member_of_each_query(classifier):
    table = reply_table([["ABB", "CCC"], ["ABB", "CCC"]], ["C", "B"], members=["m0", "m1"])
    recording = Recording(
        outcomes=table,
        votes=Recording.of(table, classifier).votes,
        pool=classifier.pool,
        probabilities=np.array([[0.2, 0.7], [0.9, 0.7]]),
        decision_s=0.0,
    )
    # The second member gives C three times; the first one B twice of three times.
    replayed = replay(recording, "routed_self_consistency:3")
    assert replayed.score.tolist() == [1, 1]
    assert replayed.trace.calls.tolist() == [[0, 3], [3, 0]]
    assert replayed.trace.mask.tolist() == [[False, True], [True, False]]


def test_a_member_that_gives_no_readable_answer_in_its_samples_is_wrong(classifier):
    recording = record(classifier, [["--B", "CCC"]], ["B"])
    assert replay(recording, "self_consistency:2").score.tolist() == [0]
    assert replay(recording, "self_consistency:3").score.tolist() == [1]


def test_cost_and_latency_of_repeated_calls(classifier):
    table = reply_table([["AB", "CC"]], ["A"], members=["m0", "m1"])
    table = replace(table, costs=np.array([[2.0, 5.0]]), latencies=np.array([[3.0, 7.0]]))
    replayed = replay(Recording.of(table, classifier), "self_consistency:2")
    assert replayed.cost_usd.tolist() == [4.0]
    # Parallel calls of one member take as long as one of them, by the recorded mean.
    assert replayed.latency_parallel_s.tolist() == [3.0]
    assert replayed.latency_total_s.tolist() == [6.0]


def test_more_calls_than_samples_cannot_be_replayed(classifier):
    with pytest.raises(PolicyError, match="3 calls of one member cannot be replayed: 2 samples"):
        replay(record(classifier, [["AB", "CC"]], ["A"]), "self_consistency:3")


def test_evaluation_lists_them_up_to_the_recorded_samples_and_the_pool(classifier):
    rows = [["AAA", "ABB"], ["CBB", "BBB"], ["AAB", "AAA"]]
    report = evaluate(classifier, reply_table(rows, list("ABA")))
    names = [system.name for system in report.systems]
    # Two members: two samples at most, so that calls compare.
    assert [name for name in names if "self_consistency" in name] == [
        "self_consistency:2",
        "routed_self_consistency:2",
        "self_consistency:3",
    ]
    assert report.not_evaluated == ""


def test_without_samples_they_are_left_out_with_one_line(classifier):
    table = reply_table(["AB", "BB"], list("AB"))
    report = evaluate(classifier, table)
    assert not [system.name for system in report.systems if "self_consistency" in system.name]
    assert report.not_evaluated == (
        "self_consistency and routed_self_consistency not evaluated: samples recorded per member and query: 1."
    )
    assert report.to_dict()["not_evaluated"] == report.not_evaluated
    asked = evaluate(classifier, table, policies=["single_best", "self_consistency:5"])
    assert asked.not_evaluated.startswith("self_consistency:5 not evaluated")
    assert evaluate(classifier, table, policies=["single_best"]).not_evaluated == ""
