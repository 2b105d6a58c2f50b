import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_selectllm import evaluate
from langchain_selectllm.evaluation.oracle_gap import CAUSES, split_errors
from langchain_selectllm.evaluation.trace import Trace
from langchain_selectllm.selection.policies import Selection
from langchain_selectllm.voting.ballots import ABSTAIN
from langchain_selectllm.voting.votes import MajorityVote, Verdict


def trace(mask, winners, score):
    mask = np.array(mask, bool)
    rates = np.full(mask.shape, 0.5)
    selection = Selection(mask, rates, ("",) * len(mask), MajorityVote())
    verdict = Verdict(np.array(winners), np.zeros((len(mask), 1)), np.zeros(len(mask), bool))
    return Trace(selection=selection, rounds=(mask,), verdict=verdict, score=np.array(score, float))


def test_each_error_has_the_cause_that_its_calls_and_votes_show():
    members = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1], [1, 1, 1]], float)
    called = [[1, 1, 0]] * 5
    split = split_errors(trace(called, [0, 0, 0, ABSTAIN, 0], [0, 0, 0, 0, 1]), members)
    assert [split.cause(i) for i in range(5)] == [
        "nobody_right",
        "not_called",
        "outvoted",
        "unreadable",
        "right",
    ]
    # One of five queries each.
    assert split.to_dict() == {
        "nobody_right": 0.2,
        "not_called": 0.2,
        "outvoted": 0.2,
        "unreadable": 0.2,
        "vote_beats_members": 0.0,
    }
    assert split.to_dict(np.array([True, False, False, False, True]))["nobody_right"] == 0.5


def test_fractional_scores_are_shared_between_causes():
    # The pool's best has 0.9, the best called member 0.6, the vote 0.5.
    split = split_errors(trace([[1, 1, 0]], [0], [0.5]), np.array([[0.6, 0.2, 0.9]]))
    assert split.to_dict() == pytest.approx(
        {
            "nobody_right": 0.1,
            "not_called": 0.3,
            "outvoted": 0.1,
            "unreadable": 0.0,
            "vote_beats_members": 0.0,
        }
    )


cells = st.lists(st.floats(0, 1), min_size=3, max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cells, st.integers(1, 7), st.booleans(), st.floats(0, 1)), min_size=1, max_size=6))
def test_the_causes_always_sum_to_the_error(rows):
    members = np.array([row[0] for row in rows])
    mask = [[bool(row[1] & (1 << k)) for k in range(3)] for row in rows]
    winners = [0 if row[2] else ABSTAIN for row in rows]
    score = np.array([row[3] for row in rows])
    split = split_errors(trace(mask, winners, score), members)
    parts = sum(getattr(split, cause) for cause in CAUSES)
    assert parts == pytest.approx(1 - score)
    gap = split.not_called + split.outvoted + split.unreadable + split.vote_beats_members
    assert gap == pytest.approx(members.max(axis=1) - score)
    assert (split.not_called >= 0).all()
    assert (split.outvoted >= 0).all()


def test_the_split_of_a_report_sums_to_its_error_and_to_its_oracle_gap(fitted, demo):
    report = evaluate(fitted, demo[1], policies=["selectllm:3"]).to_dict()
    systems = {system["name"]: system for system in report["systems"]}
    errors = report["figures"]["errors"]
    assert sum(errors[cause] for cause in CAUSES) == pytest.approx(1 - systems["selectllm:3"]["accuracy"])
    gap = systems["oracle"]["accuracy"] - systems["selectllm:3"]["accuracy"]
    assert sum(errors[cause] for cause in CAUSES[1:]) == pytest.approx(gap)
    assert errors["oracle_gap"] == pytest.approx(gap)
