import gzip
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_selectllm import OutcomeTable
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.outcomes import combine, split_folder
from langchain_selectllm.outcomes.labels import majority_answer
from tests.support.worlds import demo_table, reply_table, score_table

QUERIES = [
    {"query_id": "q1", "query": "2+2?", "reference": "4", "answer_type": "number", "category": "sum"},
    {"query_id": "q2", "query": "3+3?", "reference": "6", "answer_type": "number", "category": "sum"},
]
REPLIES = [
    {"query_id": "q1", "model": "a", "response": "The answer is 4."},
    {"query_id": "q2", "model": "a", "response": "The answer is 7.", "cost_usd": 0.1, "latency_s": 2},
    {"query_id": "q1", "model": "b", "response": "no idea"},
]


def write(folder, queries, replies, packed=False):
    (folder / "responses").mkdir(parents=True)
    opener, ending = (gzip.open, ".jsonl.gz") if packed else (open, ".jsonl")
    with opener(folder / f"queries{ending}", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in queries)
    for member in {row["model"] for row in replies}:
        with opener(folder / "responses" / f"{member}{ending}", "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in replies if row["model"] == member)
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_becomes_a_wide_table_with_nan_for_the_unobserved(tmp_path, packed):
    table = OutcomeTable.from_folders(write(tmp_path / "o", QUERIES, REPLIES, packed))
    assert table.members == ("a", "b")
    np.testing.assert_array_equal(table.scores, [[1, 0], [0, np.nan]])
    assert table.answers[0, 1] == (None,)
    assert table.replies[1, 1] == ()
    np.testing.assert_array_equal(table.costs, [[np.nan, np.nan], [0.1, np.nan]])
    assert table.latencies[1, 0] == 2


def test_records_and_dataframes_give_the_same_table():
    from_lists = OutcomeTable.from_records(QUERIES, REPLIES)
    from_frames = OutcomeTable.from_records(pd.DataFrame(QUERIES), pd.DataFrame(REPLIES))
    np.testing.assert_array_equal(from_lists.scores, from_frames.scores)
    np.testing.assert_array_equal(from_lists.costs, from_frames.costs)
    assert from_lists.texts == from_frames.texts


@given(st.permutations(range(3)), st.permutations(range(2)))
def test_order_of_rows_changes_nothing(reply_order, query_order):
    table = OutcomeTable.from_records([QUERIES[i] for i in query_order], [REPLIES[i] for i in reply_order])
    expected = OutcomeTable.from_records(QUERIES, REPLIES)
    assert table.query_ids == expected.query_ids
    np.testing.assert_array_equal(table.scores, expected.scores)
    assert table.answers.tolist() == expected.answers.tolist()


def test_samples_are_labelled_by_majority_and_scored_by_rate():
    # 2 of 3 samples are right; in the second row wrong and right tie and the first seen wins; in the third all abstain.
    table = reply_table([["AAB"], ["BA"], ["--"]], ["A", "A", "A"])
    np.testing.assert_allclose(table.scores[:, 0], [2 / 3, 1 / 2, 0])
    np.testing.assert_array_equal(table.labels[:, 0], [1, 0, 0])


def test_abstentions_do_not_vote():
    assert majority_answer([None, None, "x"]) == "x"
    assert majority_answer([None]) is None
    assert majority_answer(["y", "x", "x", "y"]) == "y"


def test_refused_replies_and_those_that_were_cut_off_abstain_in_training():
    query = {"query_id": "q", "query": "What is 2 + 2?", "reference": "4", "answer_type": "number"}
    endings = {"a": "stop", "b": "content_filter", "c": "length", "d": None}
    replies = [
        {"query_id": "q", "model": name, "response": "2 + 2 = 4", "finish_reason": reason}
        for name, reason in endings.items()
    ]
    table = OutcomeTable.from_records([query], replies)
    assert table.answers[0].tolist() == [("4",), (None,), (None,), ("4",)]
    np.testing.assert_array_equal(table.labels, [[1, 0, 0, 1]])


def test_a_recorded_score_is_taken_as_it_is():
    table = score_table([[0.7, 0.2], [np.nan, 0.5]])
    np.testing.assert_array_equal(table.scores, [[0.7, 0.2], [np.nan, 0.5]])
    np.testing.assert_array_equal(table.labels, [[1, 0], [np.nan, 1]])
    assert not table.has_replies


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ([{**REPLIES[0], "query_id": "q9"}], "query_id 'q9' is in no queries file"),
        ([REPLIES[0], REPLIES[0]], "already has a reply to 'q1' with sample 0"),
        ([{**REPLIES[0], "score": 1.5}], "score is 1.5. Use a number between 0 and 1"),
        ([{**REPLIES[0], "score": "1"}], "score is '1'"),
        ([{**REPLIES[0], "sample": -1}], "sample is -1"),
        ([{**REPLIES[0], "sample": "two"}], "sample is 'two'"),
        ([{**REPLIES[0], "model": None}], "model is None"),
        ([{**REPLIES[0], "response": 4}], "response is 4"),
        ([{**REPLIES[0], "cost_usd": -1}], "cost_usd is -1"),
    ],
)
def test_a_bad_reply_is_an_error_that_names_file_and_line(tmp_path, replies, message):
    folder = write(tmp_path / "o", QUERIES, [{**row, "model": row["model"] or "x"} for row in replies])
    file = next((folder / "responses").iterdir())
    file.write_text("".join(json.dumps(row) + "\n" for row in replies))
    with pytest.raises(OutcomeError, match=message) as error:
        OutcomeTable.from_folders(folder)
    assert f"{file}:{len(replies)}" in str(error.value)


def test_malformed_json_names_file_and_line(tmp_path):
    folder = write(tmp_path / "o", QUERIES, REPLIES)
    (folder / "responses" / "a.jsonl").write_text(json.dumps(REPLIES[0]) + "\n{broken\n")
    with pytest.raises(OutcomeError, match=r"a\.jsonl:2: not valid JSON"):
        OutcomeTable.from_folders(folder)


def test_a_truncated_gzip_file_is_an_outcome_error(tmp_path):
    folder = write(tmp_path / "o", QUERIES, REPLIES, packed=True)
    file = folder / "responses" / "a.jsonl.gz"
    file.write_bytes(file.read_bytes()[:-12])
    with pytest.raises(OutcomeError, match="cannot be read"):
        OutcomeTable.from_folders(folder)


def test_conflicting_queries_are_refused():
    with pytest.raises(OutcomeError, match="recorded before at .* with another reference"):
        OutcomeTable.from_records([QUERIES[0], {**QUERIES[0], "reference": "5"}], REPLIES[:1])
    with pytest.raises(OutcomeError, match="with another text"):
        OutcomeTable.from_records([QUERIES[0], {**QUERIES[0], "query": "2+3?"}], REPLIES[:1])


def test_a_prompt_recorded_twice_over_is_the_same_query():
    twice = {**QUERIES[0], "query": "2+2?\n2+2?"}
    for queries in ([QUERIES[0], twice], [twice, QUERIES[0]]):
        assert OutcomeTable.from_records(queries, REPLIES[:1]).texts == ("2+2?",)


def test_the_same_reply_with_and_without_its_score_counts_once():
    graded = {**REPLIES[0], "score": 0.0}
    for replies in ([graded, REPLIES[0]], [REPLIES[0], graded]):
        assert OutcomeTable.from_records(QUERIES, replies).scores[0, 0] == 0


def test_a_query_that_stands_twice_in_one_file_is_refused(tmp_path):
    with pytest.raises(OutcomeError, match="already stands at"):
        OutcomeTable.from_folders(write(tmp_path / "o", [*QUERIES, QUERIES[0]], REPLIES))


def test_a_reference_that_is_no_answer_is_refused():
    with pytest.raises(OutcomeError, match="reference 'four' is no number answer"):
        OutcomeTable.from_records([{**QUERIES[0], "reference": "four"}], REPLIES[:1])


def test_unknown_members_are_named_with_the_known_ones():
    with pytest.raises(OutcomeError, match="No outcome of 'z' was recorded. Known members: a, b"):
        OutcomeTable.from_records(QUERIES, REPLIES, members=["a", "z"])


def test_two_folders_are_one_table_and_their_order_does_not_matter(tmp_path):
    one = write(tmp_path / "1", QUERIES, REPLIES[:2])
    two = write(tmp_path / "2", QUERIES[:1], REPLIES[2:])
    there, back = OutcomeTable.from_folders(one, two), OutcomeTable.from_folders(two, one)
    np.testing.assert_array_equal(there.scores, back.scores)
    np.testing.assert_array_equal(there.scores, [[1, 0], [0, np.nan]])


def test_a_split_shares_no_query_and_depends_on_ids_and_seed_alone(demo):
    table = score_table(np.ones((50, 2)))
    train, test = table.split(0.3, seed=1)
    assert len(test) == 15
    assert not set(train.query_ids) & set(test.query_ids)
    shuffled_train, _ = table.take(range(49, -1, -1)).split(0.3, seed=1)
    assert shuffled_train.query_ids == train.query_ids
    assert table.split(0.3, seed=2)[0].query_ids != train.query_ids
    with pytest.raises(OutcomeError, match="test share of 1.5"):
        table.split(1.5)


def test_splitting_a_folder_keeps_unknown_fields_and_refuses_existing_targets(tmp_path):
    folder = write(tmp_path / "o", [{**q, "mine": 1} for q in QUERIES], [{**r, "yours": 2} for r in REPLIES])
    assert split_folder(folder, tmp_path / "a", tmp_path / "b", share=0.5, seed=0) == (1, 1)
    rows = [
        json.loads(line) for side in "ab" for line in gzip.open(tmp_path / side / "queries.jsonl.gz", "rt")
    ]
    assert sorted(row["query_id"] for row in rows) == ["q1", "q2"]
    assert all(row["mine"] == 1 for row in rows)
    files = [path for side in "ab" for path in (tmp_path / side / "responses").iterdir()]
    replies = [json.loads(line) for path in files for line in gzip.open(path, "rt")]
    assert len(replies) == 3
    assert all(row["yours"] == 2 for row in replies)
    with pytest.raises(OutcomeError, match="exists and is not an empty folder"):
        split_folder(folder, tmp_path / "a", tmp_path / "c", share=0.5)
    assert not (tmp_path / "c").exists()


def test_split_folder_and_table_split_agree(tmp_path):
    table = demo_table(tmp_path, n_queries=60)
    split_folder(tmp_path / "demo60-0", tmp_path / "a", tmp_path / "b", share=0.3, seed=4)
    assert OutcomeTable.from_folders(tmp_path / "b").query_ids == table.split(0.3, seed=4)[1].query_ids


def test_token_probabilities_stay_beside_their_reply():
    figures = {"version": "1", "mean": -0.5, "answer": "4", "answers": {"4": -0.25}}
    replies = [{**REPLIES[0], "token_probabilities": figures}, *REPLIES[1:]]
    lists, frames = (
        OutcomeTable.from_records(QUERIES, replies),
        OutcomeTable.from_records(QUERIES, pd.DataFrame(replies)),
    )
    for table in (lists, frames, lists.subset(["a"]).take([0]), combine(lists, lists)):
        (found,) = table.token_probabilities[0, 0]
        assert (found.mean, found.log_probability_of("4")) == (-0.5, -0.25)
    assert lists.token_probabilities[1].tolist() == [(None,), ()]


def test_malformed_token_probabilities_are_an_error_with_their_place():
    bad = {**REPLIES[0], "token_probabilities": {"version": "1", "mean": 0.5}}
    with pytest.raises(OutcomeError, match=r"replies\[0\]: token_probabilities: mean is 0.5"):
        OutcomeTable.from_records(QUERIES, [bad])
