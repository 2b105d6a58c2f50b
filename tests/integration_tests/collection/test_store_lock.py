"""Locks and creation of a store: another name of the same file, concurrent creation, a lost lock, a folder in the way."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from langchain_selectllm import acollect_outcomes, collect_outcomes
from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.collection.store_lock import locked
from langchain_selectllm.exceptions import StoreError
from tests.support.live_models import CountingModel
from tests.support.postgres import new_database
from tests.support.waiting import LONG_S, until

QUERIES = [{"query_id": f"q{i:03d}", "query": f"question {i}"} for i in range(60)]


def test_a_store_behind_a_symbolic_link_is_locked_under_both_names(tmp_path, monkeypatch):
    monkeypatch.setattr("langchain_selectllm.collection.store_lock._PATIENCE_S", 0.2)
    store = f"sqlite:///{tmp_path}/outcomes.db"
    open_store(store).engine.dispose()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(tmp_path / "outcomes.db")
    with (
        open_store(store) as opened,
        locked(opened),
        pytest.raises(StoreError, match="Another process is collecting"),
    ):
        collect_outcomes({"m": CountingModel()}, QUERIES, f"sqlite:///{link}", samples=1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract Unix sockets")
def test_a_store_under_a_hard_link_is_locked_under_both_names(tmp_path, monkeypatch):
    monkeypatch.setattr("langchain_selectllm.collection.store_lock._PATIENCE_S", 0.2)
    store = f"sqlite:///{tmp_path}/outcomes.db"
    open_store(store).engine.dispose()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "hard.db"
    link.hardlink_to(tmp_path / "outcomes.db")
    model = CountingModel()
    with (
        open_store(store) as opened,
        locked(opened),
        pytest.raises(StoreError, match="Another process is collecting"),
    ):
        collect_outcomes({"m": model}, QUERIES, f"sqlite:///{link}", samples=1)
    assert not model.calls
    assert collect_outcomes({"m": model}, QUERIES, f"sqlite:///{link}", samples=1).left == 0


def test_a_folder_in_the_place_of_the_lock_is_one_clear_error(tmp_path):
    (tmp_path / "outcomes.db.lock").mkdir()
    with pytest.raises(
        StoreError, match=r"outcomes\.db\.lock is a folder, so that the store cannot be locked"
    ):
        collect_outcomes({"m": CountingModel()}, QUERIES, f"sqlite:///{tmp_path}/outcomes.db", samples=1)
    assert [file.name for file in tmp_path.iterdir()] == ["outcomes.db.lock"]


def test_a_file_that_is_no_lock_is_one_clear_error(tmp_path):
    (tmp_path / "outcomes.db.lock").write_text(
        "something else entirely, and long enough to be looked at" * 20
    )
    with pytest.raises(StoreError, match="cannot lock the store: file is not a database"):
        collect_outcomes({"m": CountingModel()}, QUERIES, f"sqlite:///{tmp_path}/outcomes.db", samples=1)
    assert [file.name for file in tmp_path.iterdir()] == ["outcomes.db.lock"]


CREATE = (
    "import sys\n"
    "from langchain_selectllm.collection.open_store import open_store\n"
    "import langchain_selectllm.collection.store\n"
    "print('ready', flush=True)\n"
    "for line in sys.stdin:\n"
    "    open_store(line.strip()).engine.dispose()\n"
    "    print('opened', flush=True)\n"
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_that_create_a_store_at_the_same_moment_all_succeed(kind, tmp_path, request):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", CREATE], **pipes) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for attempt in range(3):
        store = f"sqlite:///{tmp_path}/new{attempt}.db"
        if kind == "postgresql":
            store = new_database(request.getfixturevalue("postgres_url"))
        for process in processes:
            process.stdin.write(f"{store}\n")
            process.stdin.flush()
        opened = [process.stdout.readline() for process in processes]
        assert opened == ["opened\n"] * 4, "\n".join(
            process.communicate(timeout=LONG_S)[1] for process in processes
        )
    errors = [process.communicate(timeout=LONG_S)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, "\n".join(errors)


def test_a_store_waits_for_another_process_that_writes_a_new_file_before_write_ahead_logging_is_on(tmp_path):
    """SQLite refuses the switch to write-ahead logging at once while another connection holds the write lock."""
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE t (x)")
    other.execute("BEGIN IMMEDIATE")
    with (
        contextlib.closing(sqlite3.connect(path)) as refused,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        refused.execute("PRAGMA journal_mode=WAL")
    release = threading.Timer(0.3, other.execute, ["COMMIT"])
    release.start()
    open_store(f"sqlite:///{path}").engine.dispose()
    release.join()
    other.close()
    with contextlib.closing(sqlite3.connect(path)) as opened:
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_no_call_is_made_while_the_lock_is_lost(postgres_url):
    """The lock's session is ended by the server and another process takes the lock: the collection waits for it.

    At most the 16 calls in flight, and those of one interval between two checks, are made after the loss. What the other
    process has collected meanwhile is not called again.
    """
    import psycopg

    store = new_database(postgres_url)
    model = CountingModel(delay_s=0.1)
    collecting = asyncio.create_task(acollect_outcomes({"m": model}, QUERIES, store, samples=30))
    await until(lambda: model.calls.total() >= 200)

    def take_lock():
        other = psycopg.connect(store, autocommit=True)
        ended = other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        ).fetchall()
        assert ended == [(True,)]
        while not other.execute("SELECT pg_try_advisory_lock(%s)", [0x5E1EC711]).fetchone()[0]:
            pass
        return other

    other = await asyncio.to_thread(take_lock)
    before = -1
    while before != (before := model.calls.total()):  # noqa: ASYNC110 - that nothing comes has no event
        await asyncio.sleep(1)
    assert before < 60 * 30
    assert not collecting.done()
    # As if the other process had collected one sample in between.
    found = other.execute("SELECT parameters FROM selectllm_replies LIMIT 1").fetchone()
    added = other.execute(
        "INSERT INTO selectllm_replies (member, parameters, query_id, sample, text, attempts, finished_at)"
        " VALUES ('m', %s, 'q059', 29, 'from elsewhere', 1, 0) RETURNING sample",
        found,
    ).fetchall()
    assert added == [(29,)]
    await asyncio.to_thread(other.close)
    collected = await asyncio.wait_for(collecting, LONG_S)
    assert (collected.left, collected.stopped) == (0, None)
    assert model.calls.total() == 60 * 30 - 1


def test_a_store_of_an_earlier_format_is_migrated_and_loses_nothing(tmp_path, monkeypatch):
    """The format of today becomes an earlier one: a release after it has one more column."""
    from sqlalchemy import Column, Text, inspect

    from langchain_selectllm.collection import migrations, tables

    store = f"sqlite:///{tmp_path}/outcomes.db"
    collect_outcomes({"m": CountingModel()}, QUERIES, store, samples=2)
    with open_store(store) as opened:
        before = list(opened.read_replies())

    monkeypatch.setattr(tables, "FORMAT", tables.FORMAT + 1)
    column = Column("language", Text, server_default="en")
    step = tables.FORMAT - 1, lambda connection: migrations.add_column(connection, tables.queries, column)
    monkeypatch.setattr(migrations, "STEPS", migrations.STEPS | dict([step]))
    for _ in range(2):
        with open_store(store, create=False) as opened:
            assert list(opened.read_replies()) == before
            with opened.engine.connect() as connection:
                assert migrations.read_format(connection) == tables.FORMAT
            names = [found["name"] for found in inspect(opened.engine).get_columns("selectllm_queries")]
            assert names[-1] == "language"
    model = CountingModel()
    assert collect_outcomes({"m": model}, QUERIES, store, samples=3).left == 0
    assert model.calls.total() == 60


def test_every_earlier_format_has_a_step():
    from langchain_selectllm.collection import migrations, tables

    assert sorted(migrations.STEPS) == list(range(1, tables.FORMAT))


def test_a_store_is_only_made_where_it_is_collected_into(tmp_path, postgres_url):
    for store in (f"sqlite:///{tmp_path}/mistyped.db", new_database(postgres_url)):
        with pytest.raises(StoreError, match="There is no store at"):
            open_store(store, create=False)
    assert list(Path(tmp_path).iterdir()) == []
