"""Calls a second of collecting beside those of the client alone, and memory over many rows; printed, never asserted."""

import asyncio
import json
import subprocess
import sys
import time
from statistics import median

import psutil
import pytest

from langchain_selectllm import acollect_outcomes, collect_outcomes
from langchain_selectllm.members.pool_file import PoolFile
from langchain_selectllm.members.registry import ModelRegistry
from tests.support.live_models import CountingModel

pytestmark = pytest.mark.measurement
IN_FLIGHT = 64
SERVER = """
import sys, time
from tests.support.chat_server import ChatServer
with ChatServer(delay_s=0.05) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def pool(monkeypatch):
    """One member behind a server in a process of its own that answers in 50 ms."""
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    url = process.stdout.readline().strip()
    entry = {"model": "openai:small", "base_url": url, "max_concurrency": IN_FLIGHT, "timeout_s": 60.0}
    yield PoolFile.model_validate({"members": {"small": entry}})
    process.communicate("")


async def test_throughput(pool, tmp_path):
    model = ModelRegistry.from_file(_write(pool, tmp_path))["small"].model
    n, turns = 300, 15

    async def client_alone():
        prompts = iter([f"question {i}" for i in range(n)])

        async def worker():
            for prompt in prompts:
                await model.ainvoke(prompt)

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))

    queries = [{"query_id": f"q{i}", "query": f"question {i}"} for i in range(n)]
    await client_alone()
    alone, collected = [], []
    for turn in range(turns):
        alone.append(await _seconds(client_alone()))
        store = f"sqlite:///{tmp_path}/outcomes{turn}.db"
        collected.append(await _seconds(acollect_outcomes(pool, queries, store, samples=1)))
    print(f"\n{IN_FLIGHT} in flight, 50 ms: ideal {IN_FLIGHT / 0.05:.0f} calls/s; {turns} turns by turns")
    for name, seconds in (("client alone", alone), ("collecting", collected)):
        walls, cpus = zip(*seconds, strict=True)
        rates = " ".join(f"{n / wall:.0f}" for wall in walls)
        print(f"{name}: {rates} calls/s, {1000 * median(cpus) / n:.2f} ms of processor time a call")
    shares = [100 * client[0] / ours[0] for client, ours in zip(alone, collected, strict=True)]
    print(
        f"collecting at {median(shares):.0f} % of the client's own rate (median of turns; all: {_figures(shares)})"
    )


def test_overhead_without_a_client(tmp_path):
    queries = [{"query_id": f"q{i:05d}", "query": f"question {i}"} for i in range(2000)]
    start = time.perf_counter()
    collect_outcomes({"m": CountingModel()}, queries, f"sqlite:///{tmp_path}/outcomes.db", samples=5)
    print(
        f"\n10,000 calls of a chat model without latency: {10_000 / (time.perf_counter() - start):.0f} calls/s"
    )


def test_memory_over_100_000_rows(tmp_path):
    """Resident memory while 100,000 replies of 400 characters are collected, 40 MB of text."""
    queries = [{"query_id": f"q{i:05d}", "query": f"question {i}"} for i in range(10_000)]
    model = CountingModel(answer=lambda prompt, n: f"{prompt} {n} " + "x" * 400)
    process, seen = psutil.Process(), {}

    def look(members):
        seen[members[0].done // 10_000 * 10_000] = process.memory_info().rss / 2**20
        # The model's own count of calls is no part of what is measured.
        model.calls.clear()

    collect_outcomes({"m": model}, queries, f"sqlite:///{tmp_path}/outcomes.db", samples=10, progress=look)
    print("\n" + ", ".join(f"{done:,} rows {memory:.0f} MiB" for done, memory in seen.items()))


async def _seconds(work):
    """Seconds by the clock, and of processor time."""
    start, used = time.perf_counter(), time.process_time()
    await work
    return time.perf_counter() - start, time.process_time() - used


def _figures(values):
    return " ".join(f"{value:.0f}" for value in values)


def _write(pool, folder):
    (folder / "pool.yaml").write_text(json.dumps(pool.model_dump(exclude_none=True)))
    return folder / "pool.yaml"
