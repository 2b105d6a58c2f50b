"""Collecting through the real langchain-openai client from a server that fails on schedule."""

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import time
from itertools import pairwise

import pytest

from langchain_selectllm.collection.circuit_breaker import BreakerPolicy
from langchain_selectllm.collection.collect import acollect_outcomes
from langchain_selectllm.collection.retries import RetryPolicy
from tests.support.chat_server import ChatServer
from tests.support.killed import COMMAND, PRICES, cost, kill_and_finish
from tests.support.waiting import LONG_S

QUICK = RetryPolicy(base_s=0.01, max_s=0.05)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from the environment")


def pool_file(folder, server, **members):
    entries = {
        name: {"model": f"openai:{name}", "base_url": server.url, "timeout_s": LONG_S, **settings}
        for name, settings in members.items()
    }
    path = folder / "pool.yaml"
    # JSON is YAML.
    path.write_text(json.dumps({"members": entries}))
    return path


def queries(n):
    return [{"query_id": f"q{i:04d}", "query": f"question {i} " + "x" * (i % 17)} for i in range(n)]


def rows(folder):
    with contextlib.closing(sqlite3.connect(folder / "outcomes.db")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM selectllm_replies")]


@pytest.mark.parametrize(
    ("n", "kill_at", "parallel"),
    [(40, (0.4,), 6), pytest.param(500, (0.2, 0.44, 0.72), 16, marks=pytest.mark.soak)],
)
def test_sigkills_and_a_tenth_of_faults_leave_no_trace(tmp_path, n, kill_at, parallel):
    """Ten calls per query: exactly as many rows, nothing called twice but what was in flight, and the server's own cost."""
    n_calls = 10 * n
    with ChatServer(fault_share=0.1, hang_s=30, retry_after_s=0.1) as server:
        # Long enough that a busy machine gives up no reply that the server has answered.
        settings = {**PRICES, "max_tokens": 50, "max_concurrency": parallel, "timeout_s": 10}
        pool = pool_file(tmp_path, server, small=settings, tiny=settings)
        (tmp_path / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries(n)))
        arguments = ["collect", "--pool", pool, "--queries", tmp_path / "queries.jsonl", "--samples", 5]
        arguments += ["--json", "--store", f"sqlite:///{tmp_path}/outcomes.db"]
        kills = [share * n_calls for share in kill_at]
        done, lost = kill_and_finish(server, arguments, kills, lambda: rows(tmp_path), 2 * parallel)
        found = rows(tmp_path)
        assert [row["error"] for row in found if row["error"] is not None] == []
        assert done.returncode == 0, done.stderr
        assert server.most_in_flight["small"] <= parallel
    assert len(found) == n_calls
    assert len({(row["query_id"], row["member"], row["sample"]) for row in found}) == n_calls
    assert len(server.answered) == n_calls + lost
    recorded = {row["reply_id"]: row for row in found}
    assert len(recorded) == n_calls
    assert sum(row["cost_usd"] for row in found) == pytest.approx(
        sum(cost(server.answered[i]) for i in recorded), rel=1e-12
    )
    for reply_id, row in recorded.items():
        model, prompt, n_input, n_output = server.answered[reply_id]
        assert (row["member"], row["input_tokens"], row["output_tokens"]) == (model, n_input, n_output)
        assert row["text"] == f"The answer is {len(prompt)}."
    assert set(server.injected) == {
        None,
        "rate_limit",
        "server_error",
        "hang",
        "truncated",
        "cut_off",
        "slow",
    }
    told = json.loads(done.stdout)
    assert (told["left"], told["stopped"]) == (0, None)
    assert told["spent_usd"] == pytest.approx(sum(row["cost_usd"] for row in found))


async def test_a_member_that_is_down_does_not_hold_up_the_others(tmp_path):
    with ChatServer(statuses={"down": 500, "refused": 401}) as server:
        pool = pool_file(tmp_path, server, down={}, refused={}, up={})
        breaker = BreakerPolicy(failures=5, pause_s=0.01, max_pauses=3)
        store = f"sqlite:///{tmp_path}/outcomes.db"
        collected = await acollect_outcomes(pool, queries(30), store, samples=2, retry=QUICK, breaker=breaker)
        by_name = {member.member: member for member in collected.members}
        assert by_name["up"].done == 60
        assert by_name["down"].done == by_name["refused"].done == 0
        assert by_name["down"].state.startswith("given up")
        assert "OpenAIAuthenticationError" in by_name["refused"].state
        # 16 in flight when the breaker opened, and one probe after each pause.
        assert server.requests["down"] <= 16 + 5 + 3
        assert server.requests["refused"] <= 16
        assert collected.stopped == "failures"
        server.statuses.clear()
        again = await acollect_outcomes(pool, queries(30), store, samples=2, retry=QUICK, breaker=breaker)
        assert (again.left, again.stopped) == (0, None)
        assert server.requests["up"] == 60


async def test_retry_after_holds_the_whole_member_back(tmp_path):
    with ChatServer(fault_share=0.2, faults=("rate_limit",), retry_after_s=0.5) as server:
        pool = pool_file(tmp_path, server, small={"max_concurrency": 1})
        await acollect_outcomes(
            pool, queries(20), f"sqlite:///{tmp_path}/outcomes.db", samples=1, retry=QUICK
        )
        times = server.times["small"]
        limited = server.injected["rate_limit"]
        # One call at a time, each prompt once: the same prompt again is the retry of a limited request. Only these
        # gaps have a bound, so that a loaded machine changes nothing.
        gaps = [after[0] - before[0] for before, after in pairwise(times) if after[1] == before[1]]
        assert limited > 0
        assert len(gaps) == limited
        assert min(gaps) >= 0.5


async def test_an_error_that_no_retry_can_cure_is_tried_once_and_kept_apart(tmp_path):
    with ChatServer(statuses={"picky": 400}) as server:
        pool = pool_file(tmp_path, server, picky={})
        store = f"sqlite:///{tmp_path}/outcomes.db"
        collected = await acollect_outcomes(pool, queries(4), store, samples=1, retry=QUICK)
        assert server.requests["picky"] == 4
        assert collected.members[0].failed == 4
        found = rows(tmp_path)
        assert all(
            row["text"] is None and row["error"].startswith("OpenAIInvalidRequestError") for row in found
        )
        server.statuses.clear()
        again = await acollect_outcomes(pool, queries(4), store, samples=1)
        assert (again.members[0].done, len(rows(tmp_path))) == (4, 4)


async def test_the_rate_limit_is_kept(tmp_path):
    with ChatServer() as server:
        pool = pool_file(tmp_path, server, small={"requests_per_second": 20})
        start = time.monotonic()
        await acollect_outcomes(pool, queries(21), f"sqlite:///{tmp_path}/outcomes.db", samples=1)
        assert len(server.times["small"]) == 21
        assert all(moment - start >= i / 20 for i, (moment, _) in enumerate(server.times["small"]))


async def test_the_limit_on_the_cost_is_never_passed(tmp_path):
    with ChatServer(delay_s=0.01) as server:
        pool = pool_file(tmp_path, server, small={**PRICES, "max_tokens": 20})
        collected = await acollect_outcomes(
            pool, queries(200), f"sqlite:///{tmp_path}/outcomes.db", samples=1, max_cost_usd=1.0
        )
        paid = sum(map(cost, server.answered.values()))
        assert collected.stopped == "max_cost_usd"
        assert collected.spent_usd == pytest.approx(paid)
        # A call may cost 0.0348 at most: 128 + 24 bytes in, 20 tokens out.
        assert 1.0 - 0.035 < paid <= 1.0


async def test_stopping_waits_for_what_is_in_flight(tmp_path):
    with ChatServer(delay_s=0.3) as server:
        pool = pool_file(tmp_path, server, small={"max_concurrency": 8})
        stop = asyncio.Event()

        async def stop_soon():
            while len(server.answered) < 8:  # noqa: ASYNC110 - the server has a thread of its own
                await asyncio.sleep(0.01)
            stop.set()

        stopping = asyncio.create_task(stop_soon())
        collected = await acollect_outcomes(
            pool, queries(100), f"sqlite:///{tmp_path}/outcomes.db", samples=1, stop=stop
        )
        await stopping
        assert collected.stopped == "interrupted"
        assert 0 < collected.members[0].done == len(server.answered) == len(rows(tmp_path)) < 100


def test_ctrl_c_stops_cleanly(tmp_path):
    with ChatServer(delay_s=0.2) as server:
        pool = pool_file(tmp_path, server, small={"max_concurrency": 4})
        (tmp_path / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries(500)))
        arguments = ["collect", "--pool", pool, "--queries", tmp_path / "queries.jsonl", "--samples", "1"]
        arguments += ["--store", f"sqlite:///{tmp_path}/outcomes.db"]
        command = [*COMMAND, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while len(server.answered) < 8:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        told, warned = process.communicate(timeout=LONG_S)
        assert process.returncode == 130
        assert "calls are left (interrupted)" in told
        assert "waited for" in warned
        assert "Traceback" not in warned
        assert len(rows(tmp_path)) == len(server.answered)


async def test_the_system_prompt_is_sent_and_is_part_of_what_decides_the_replies(tmp_path):
    with ChatServer() as server:
        store = f"sqlite:///{tmp_path}/outcomes.db"
        await acollect_outcomes(
            pool_file(tmp_path, server, small={"system_prompt": "Be brief."}), queries(3), store, samples=1
        )
        n_input = {row["query_id"]: row["input_tokens"] for row in rows(tmp_path)}
        assert n_input["q0001"] == len("Be brief.") + len("question 1 x")
        # Another prompt, another outcome; another address or limit, the same.
        await acollect_outcomes(pool_file(tmp_path, server, small={}), queries(3), store, samples=1)
        assert len(rows(tmp_path)) == 6
        await acollect_outcomes(
            pool_file(tmp_path, server, small={"max_concurrency": 2}), queries(3), store, samples=1
        )
        assert len(rows(tmp_path)) == 6
