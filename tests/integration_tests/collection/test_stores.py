"""The store on SQLite and on a real PostgreSQL server: the same tests, the same results."""

import asyncio
import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from sqlalchemy import event

from langchain_selectllm import (
    Member,
    OutcomeTable,
    SelectLLMClassifier,
    acollect_outcomes,
    collect_outcomes,
    export_outcomes,
    grade_outcomes,
)
from langchain_selectllm.collection.export import read_outcomes
from langchain_selectllm.collection.grading import ajudge_outcomes
from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.collection.retries import RetryPolicy
from langchain_selectllm.collection.rows import ReplyRow
from langchain_selectllm.collection.store_lock import locked
from langchain_selectllm.exceptions import AnswerError, OutcomeError, StoreError
from langchain_selectllm.outcomes.records import parse_query
from tests.support.live_models import CountingModel
from tests.support.waiting import until

ONCE = RetryPolicy(max_attempts=1)


def queries(n, **fields):
    return [
        {
            "query_id": f"q{i:04d}",
            "query": f"How long is {'x' * (i % 7)}?",
            "reference": str(13 + i % 7),
            "answer_type": "number",
        }
        | fields
        for i in range(n)
    ]


def replies(store):
    with open_store(store) as opened:
        return sorted(
            (dict(row) for row in opened.read_replies()),
            key=lambda row: (row["member"], row["query_id"], row["sample"]),
        )


def test_every_sample_becomes_one_row_and_a_second_run_calls_nobody(store):
    right, late = (
        CountingModel(model="right"),
        CountingModel(model="late", answer=lambda prompt, n: f"The answer is {n}."),
    )
    pool = {"right": Member(right, 1.0, 2.0), "late": late}
    collected = collect_outcomes(pool, queries(20), store, samples=3)
    assert [(member.member, member.done, member.failed) for member in collected.members] == [
        ("right", 60, 0),
        ("late", 60, 0),
    ]
    found = replies(store)
    assert len(found) == 120
    first = found[60]
    assert (first["member"], first["query_id"], first["sample"]) == ("right", "q0000", 0)
    assert (first["text"], first["input_tokens"], first["output_tokens"]) == ("The answer is 13.", 10, 5)
    # 10 tokens at 1 dollar and 5 at 2 dollars a million.
    assert first["cost_usd"] == pytest.approx(20e-6)
    assert collected.spent_usd == pytest.approx(60 * 20e-6)
    assert found[0]["cost_usd"] is None
    again = collect_outcomes(pool, queries(20), store, samples=3)
    assert again.left == 0
    assert right.calls.total() == late.calls.total() == 60
    collect_outcomes(pool, queries(21), store, samples=4)
    assert right.calls.total() == 84


def test_other_sampling_parameters_are_other_outcomes(store):
    collect_outcomes({"m": CountingModel(temperature=0.2)}, queries(3), store, samples=1)
    collect_outcomes({"m": CountingModel(temperature=0.9)}, queries(3), store, samples=1)
    assert len(replies(store)) == 6
    with open_store(store) as opened:
        assert len(opened.sampled()) == 2
    assert all("@" in name for name in read_outcomes(store).members)


def test_a_failure_is_kept_apart_and_made_good_by_the_next_run(store, tmp_path):
    model = CountingModel(
        answer=lambda prompt, n: OSError("line\nis cut") if n == 0 and "xxx" in prompt else "The answer is 1."
    )
    first = collect_outcomes({"m": model}, queries(7), store, samples=1, retry=ONCE)
    assert (first.members[0].done, first.members[0].failed, first.stopped) == (3, 4, "failures")
    assert len(replies(store)) == 3
    table = read_outcomes(store)
    # Failed calls are unobserved: the other three are wrong.
    np.testing.assert_array_equal(table.scores[:, 0], [0, 0, 0, np.nan, np.nan, np.nan, np.nan])
    export_outcomes(store, tmp_path / "folder")
    failures = [
        json.loads(line) for line in (tmp_path / "folder" / "failures.jsonl").read_text().splitlines()
    ]
    assert [failure["error"] for failure in failures] == ["OSError: line is cut"] * 4
    second = collect_outcomes({"m": model}, queries(7), store, samples=1, retry=ONCE)
    assert (second.left, second.stopped) == (0, None)
    assert len(replies(store)) == 7


def reply_row(digest, text, query_id="q0000", error=None):
    return ReplyRow(
        query_id=query_id,
        member="m",
        sample=0,
        parameters=digest,
        text=text,
        error=error,
        attempts=1,
        finished_at=0.0,
    )


def test_nothing_takes_the_place_of_a_reply(store):
    with open_store(store) as opened:
        collect_outcomes({"m": CountingModel()}, queries(1), store, samples=1)
        digest = opened.sampled()[0][1]
        opened.save_replies([reply_row(digest, "another"), reply_row(digest, None, error="failed")])
    assert [found["text"] for found in replies(store)] == ["The answer is 13."]


def test_texts_that_databases_refuse_are_kept_readable(store):
    strange = "NUL \0, half \ud83d, whole 😀, quote ' and \" and \\ and \n"
    collect_outcomes(
        {"m": CountingModel(answer=lambda *_: strange)},
        queries(1, query=strange, extra={"a": [1]}),
        store,
        samples=1,
    )
    assert replies(store)[0]["text"] == "NUL \ufffd, half ?, whole 😀, quote ' and \" and \\ and \n"
    with open_store(store) as opened:
        assert next(iter(opened.read_queries()))["extra"] == {"a": [1]}


def test_a_query_id_with_another_text_is_refused(store):
    collect_outcomes({"m": CountingModel()}, queries(2), store, samples=1)
    with pytest.raises(
        OutcomeError, match=r"queries\[0\]: query_id 'q0000' is in the store with another text"
    ):
        collect_outcomes({"m": CountingModel()}, queries(2, query="Something else?"), store, samples=1)


def test_pages_neither_lose_nor_repeat_a_row(store):
    """1,300 rows of two members are read in pages of 500 whose bounds fall between and within members."""
    collect_outcomes({"a": CountingModel(), "B": CountingModel()}, queries(130), store, samples=5)
    with open_store(store) as opened:
        keys = [(row["member"], row["query_id"], row["sample"]) for row in opened.read_replies()]
    assert len(keys) == len(set(keys)) == 1300


def test_a_page_begins_in_the_index_not_at_its_beginning(store):
    """The plan of the second page: what lies before its first row is not read."""
    collect_outcomes({"a": CountingModel(), "b": CountingModel()}, queries(300), store, samples=1)
    statements = []
    with open_store(store) as opened:
        event.listen(
            opened.engine, "before_cursor_execute", lambda *event: statements.append((event[2], event[3]))
        )
        assert len(list(opened.read_replies("any"))) == 600
        statement, values = statements[-1]
        with opened.engine.connect() as connection:
            if opened.engine.dialect.name == "sqlite":
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
                wanted = "(member,parameters,query_id,sample)>"
            else:
                connection.exec_driver_sql("SET enable_seqscan = off")
                plan = connection.exec_driver_sql(f"EXPLAIN {statement}", values).all()
                wanted = "Index Cond: (ROW(member"
    assert wanted in str(plan).replace("selectllm_replies.", "")


def test_the_members_of_a_store_are_looked_up_one_by_one(store):
    """Not by reading every key."""
    for temperature in (0.2, 0.9):
        pool = {name: CountingModel(temperature=temperature) for name in ("b", "a")}
        collect_outcomes(pool, queries(2), store, samples=1)
    with open_store(store) as opened:
        statements = []
        event.listen(opened.engine, "before_cursor_execute", lambda *event: statements.append(event[2]))
        sampled = opened.sampled()
    assert [member for member, _ in sampled] == ["a", "a", "b", "b"]
    assert sampled == sorted(set(sampled))
    assert len(statements) == 5
    assert all("LIMIT" in statement and "DISTINCT" not in statement for statement in statements)


def fill(store, n):
    """One reply to each of n queries, written without any call."""
    records = [parse_query(fields, "here") for fields in queries(n)]
    with open_store(store) as opened:
        opened.add_queries(records)
        digest = opened.add_parameters({"model": "m"})
        opened.save_replies([reply_row(digest, "The answer is 13.", query.query_id) for query in records])


def test_memory_of_an_export_does_not_grow_with_the_store(store, tmp_path):
    def peak(n):
        fill(store, n)
        tracemalloc.start()
        try:
            assert export_outcomes(store, tmp_path / str(n)) == {"m": n}
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # Pages of 500; five times as many rows would take nearly five times the memory.
    small, large = peak(600), peak(3000)
    assert large < 2 * small


def test_two_collections_into_one_store_are_refused_and_a_killed_one_is_not_waited_for(store, monkeypatch):
    monkeypatch.setattr("langchain_selectllm.collection.store_lock._PATIENCE_S", 0.2)
    with (
        open_store(store) as opened,
        locked(opened),
        pytest.raises(StoreError, match="Another process is collecting"),
    ):
        collect_outcomes({"m": CountingModel()}, queries(1), store, samples=1)
    monkeypatch.undo()
    hold = (
        "from langchain_selectllm.collection.open_store import open_store; import time\n"
        "from langchain_selectllm.collection.store_lock import locked\n"
        f"with open_store({store!r}) as opened, locked(opened): print('locked', flush=True); time.sleep(900)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "locked\n"
    holder.kill()
    monkeypatch.setattr("langchain_selectllm.collection.store_lock._PATIENCE_S", 60)
    # It would hold the lock for 900 seconds.
    assert collect_outcomes({"m": CountingModel()}, queries(1), store, samples=1).left == 0
    holder.communicate()


async def test_a_cancelled_collection_keeps_what_has_arrived(store):
    model = CountingModel(delay_s=0.02)
    running = asyncio.create_task(acollect_outcomes({"m": model}, queries(100), store, samples=10))
    await until(lambda: model.calls.total() >= 100)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    kept = len(await asyncio.to_thread(replies, store))
    assert model.calls.total() - 16 <= kept < 1000
    collected = await acollect_outcomes({"m": model}, queries(100), store, samples=10)
    assert collected.left == 0
    assert model.calls.total() <= 1000 + 16


def test_grading_reads_answers_and_can_be_redone_without_a_call(store):
    # Right twice of three times, and one abstention.
    model = CountingModel(answer=lambda prompt, n: ["The answer is 13.", "no idea", "The answer is 13"][n])
    collect_outcomes({"m": model}, queries(1), store, samples=3)
    graded = grade_outcomes(store)
    assert graded.grading == "reference"
    assert (graded.members["m"].replies, graded.members["m"].graded) == (3, 3)
    assert graded.members["m"].mean == pytest.approx(2 / 3)
    corrected = grade_outcomes(store, queries=queries(1, reference="14"))
    assert corrected.members["m"].mean == 0
    assert model.calls.total() == 3
    with pytest.raises(StoreError, match="was made by a grader of kind 'reference', not 'text'"):
        grade_outcomes(store, "text", name="reference")
    with pytest.raises(AnswerError, match="Query 'q0000': reference 'none' is no number answer"):
        grade_outcomes(store, queries=queries(1, reference="none"))


def test_a_function_grades_and_what_it_cannot_tell_is_left_open(store, tmp_path):
    collect_outcomes({"m": CountingModel()}, queries(7), store, samples=1)
    graded = grade_outcomes(
        store, lambda reply, reference, query: None if "xxx" in query else int(reference) / 20, name="mine"
    )
    # 13/20, 14/20 and 15/20.
    assert (graded.members["m"].replies, graded.members["m"].graded) == (7, 3)
    assert graded.members["m"].mean == pytest.approx(0.7)
    assert export_outcomes(store, tmp_path / "folder", grade="mine") == {"m": 7}
    table = OutcomeTable.from_folders(tmp_path / "folder")
    np.testing.assert_allclose(table.scores[:3, 0], [0.65, 0.7, 0.75])


async def test_a_judge_is_asked_once_a_reply_and_paid_from_the_same_purse(store):
    judge = CountingModel(
        model="judge",
        answer=lambda prompt, n: (
            "It ends so: VERDICT: INCORRECT\nNo.\n**VERDICT: CORRECT**" if "xx" in prompt else "?"
        ),
    )
    await acollect_outcomes({"m": CountingModel()}, queries(3), store, samples=2)
    graded = await ajudge_outcomes(store, Member(judge, 1.0, 2.0), name="judged")
    figures = graded.members["m"]
    assert (figures.replies, figures.graded, figures.mean) == (6, 2, 1.0)
    assert judge.calls.total() == 6
    again = await ajudge_outcomes(store, Member(judge, 1.0, 2.0), name="judged")
    assert again.members == graded.members
    assert judge.calls.total() == 6
    with open_store(store) as opened:
        assert opened.cost_usd() == pytest.approx(6 * 20e-6)


def test_the_exported_folder_and_the_store_are_the_same_table(store, tmp_path):
    def answer(prompt, n):
        return f"The answer is {len(prompt) + (n == 1)}."

    collect_outcomes({"a": CountingModel(answer=answer), "b": CountingModel()}, queries(30), store, samples=3)
    grade_outcomes(store)
    export_outcomes(store, tmp_path / "folder")
    from_folder, from_store = OutcomeTable.from_folders(tmp_path / "folder"), read_outcomes(store)
    for name in ("members", "query_ids", "texts", "references"):
        assert getattr(from_folder, name) == getattr(from_store, name)
    for name in ("scores", "labels", "latencies"):
        np.testing.assert_array_equal(getattr(from_folder, name), getattr(from_store, name))
    # Two of three samples are right: the label is that of the majority, the score the share.
    assert from_store.labels[0, 0] == 1
    assert from_store.scores[0, 0] == pytest.approx(2 / 3)
    SelectLLMClassifier().fit(from_store)


def test_several_gradings_have_to_be_told_apart(store, tmp_path):
    collect_outcomes({"m": CountingModel()}, queries(2), store, samples=1)
    grade_outcomes(store)
    grade_outcomes(store, lambda *_: 0.0, name="strict")
    with pytest.raises(StoreError, match="holds the gradings reference, strict. Name one"):
        read_outcomes(store)
    assert read_outcomes(store, grade="strict").scores.max() == 0
    assert read_outcomes(store, grade="reference").scores.min() == 1
    with pytest.raises(StoreError, match="holds no grading 'judge'"):
        export_outcomes(store, tmp_path / "folder", grade="judge")


def test_a_store_of_another_format_is_refused(store):
    with open_store(store) as opened, opened.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE selectllm_about SET value = '999'")
    with pytest.raises(StoreError, match="has format '999'; this release reads format '2' and earlier ones"):
        open_store(store)


def test_an_empty_store_has_nothing_to_export(store, tmp_path):
    open_store(store).engine.dispose()
    with pytest.raises(StoreError, match="holds no reply. Collect some first"):
        export_outcomes(store, tmp_path / "folder")
