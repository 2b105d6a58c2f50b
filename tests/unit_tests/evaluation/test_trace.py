import numpy as np

from langchain_selectllm import evaluate
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.evaluation.trace import substitute
from langchain_selectllm.selection.one_round_policies import MaxConf
from langchain_selectllm.selection.policy_names import parse_policy


def test_an_unavailable_member_is_replaced_by_the_most_probable_one_left():
    probabilities = np.array([[0.9, 0.8, 0.7, 0.6]])
    mask = np.array([[True, True, False, False]])
    nobody = np.zeros((1, 4), bool)
    first_down = np.array([True, False, False, False])
    assert substitute(mask, nobody, first_down, probabilities).tolist() == [[False, True, True, False]]
    # Member 2 was called in an earlier round: member 3 is next.
    called = np.array([[False, False, True, False]])
    assert substitute(mask, called, first_down, probabilities).tolist() == [[False, True, False, True]]


def test_where_no_member_is_left_fewer_are_called():
    mask = np.ones((1, 3), bool)
    down = np.array([False, True, False])
    replaced = substitute(mask, np.zeros((1, 3), bool), down, np.full((1, 3), 0.5))
    assert replaced.tolist() == [[True, False, True]]


def test_without_a_member_a_policy_calls_what_it_would_call_in_the_smaller_pool(fitted, demo):
    recording = Recording.of(demo[1], fitted)
    down = np.array([True, False, False, False, False])
    trace = recording.trace(MaxConf(2), unavailable=down)
    others = np.argsort(-recording.probabilities[:, 1:], axis=1, kind="stable")[:, :2] + 1
    assert [set(np.flatnonzero(row)) for row in trace.mask] == [set(row) for row in others.tolist()]


def test_the_rounds_of_a_trace_add_up_to_the_calls_of_the_report(fitted, demo):
    recording = Recording.of(demo[1], fitted)
    trace = recording.trace(parse_policy("selectllm:3"))
    total = sum(called.sum(axis=1) for called in trace.rounds)
    assert total.tolist() == trace.mask.sum(axis=1).tolist()
    report = evaluate(fitted, demo[1], policies=["selectllm:3"])
    assert report["selectllm:3"].calls == total.mean()
