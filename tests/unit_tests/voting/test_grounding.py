import numpy as np
import pytest

from langchain_selectllm import OutcomeTable
from langchain_selectllm.voting.ballots import ABSTAIN, make_ballots
from langchain_selectllm.voting.candidate_features import candidate_features
from langchain_selectllm.voting.grounding import grounding, read_reasoning
from langchain_selectllm.voting.recorded_votes import RecordedVotes

QUERY = "How far does the train go in 3 hours at 1,200 m a minute?\n(A) 216 km, northward\n(B) 21.6 km\n(C) 72 km, northward"
WORDS, NUMBER, LAST = range(3)


def grounds(
    reply: str | None, candidates: tuple[str, ...] = ("A", "B", "C"), query: str | None = QUERY
) -> np.ndarray:
    return grounding(query, [None if reply is None else read_reasoning(reply)], candidates)[0]


def test_the_option_that_the_reasoning_arrives_at_is_grounded() -> None:
    found = grounds("1200 * 60 = 72000 m, that is 72 km an hour, so 216.0 km. The answer is (B).")
    assert found[:, LAST].tolist() == [1, 0, 0]
    assert found[:, NUMBER].tolist() == [1, 0, 1]


def test_the_conclusion_is_no_reasoning() -> None:
    assert not grounds("The answer is (A) 216 km, northward.").any()


def test_what_all_options_share_says_nothing() -> None:
    assert not grounds("It is some km away.").any()
    assert grounds("It goes northward.")[:, WORDS].tolist() == pytest.approx([0.269, 0, 0.269], abs=0.001)


def test_an_answer_without_options_stands_for_itself() -> None:
    found = grounds("5 + 7 = 12, and 12 * 2 = 24. The answer is 24.", ("24", "1,200", "12"), "How many?")
    assert found[:, NUMBER].tolist() == [1, 0, 1]
    assert found[:, LAST].tolist() == [1, 0, 0]


def test_the_only_candidate_is_grounded_too() -> None:
    assert grounds("6 * 7 = 42. The answer is 42.", ("42",), None).tolist() == [[1, 1, 1]]


def test_a_run_on_and_a_missing_reply_ground_nothing() -> None:
    assert not grounds("Well.\n\nQuestion: What is 216 km, northward?").any()
    assert not grounds(None).any()
    assert grounding(QUERY, [read_reasoning("72 km")], ()).shape == (1, 0, 3)


def test_supporters_count_in_the_mean_and_others_in_the_sum() -> None:
    replies = [
        "so 216 km. The answer is (A).",
        "Who knows. The answer is (A).",
        "216 km, or so",
        "216 km. The answer is (B).",
    ]
    ballots = make_ballots(
        slots=range(4),
        answers=["A", "A", None, "B"],
        probabilities=np.full(4, 0.5),
        grounds=lambda candidates: grounding(QUERY, [read_reasoning(reply) for reply in replies], candidates),
    )
    features = candidate_features(ballots, np.zeros((1, 4)), np.zeros((1, 2, 0)))
    own, others = features.groups["grounding_own"], features.groups["grounding_others"]
    assert ballots.codes[0].tolist() == [0, 0, ABSTAIN, 1]
    assert features.candidate.tolist() == [0, 1]
    assert own[:, LAST].tolist() == [0.5, 0]
    assert others[:, LAST].tolist() == [2, 0]


def test_a_member_outside_the_subset_grounds_nothing() -> None:
    texts = [["So 216 km.", "So 72 km.", "216 km"], ["I guess.", "72 km", "So 21.6 km."]]
    letters = ["ACA", "BCB"]
    records = [
        {"query_id": str(i), "model": f"m{k}", "response": f"{texts[i][k]} The answer is ({letters[i][k]})."}
        for i in range(2)
        for k in range(3)
    ]
    queries = [
        {"query_id": str(i), "query": QUERY, "reference": "A", "answer_type": "choice"} for i in range(2)
    ]
    recorded = RecordedVotes.from_outcomes(
        OutcomeTable.from_records(queries, records, members=["m0", "m1", "m2"])
    )
    everyone = recorded.ballots(np.full((2, 3), 0.5), np.full(3, np.nan))
    only_first = np.tile([True, False, False], (2, 1))
    features = candidate_features(everyone.masked(only_first), np.zeros((2, 3)), np.zeros((2, 2, 0)))
    assert features.query.tolist() == [0, 1]
    assert features.groups["grounding_own"][:, LAST].tolist() == [1, 0]
    assert not features.groups["grounding_others"].any()
