"""`collect_outcomes`: sample a pool on queries, on this machine or on a Ray cluster."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from langchain_selectllm.collection.budget import Budget, check_affordable
from langchain_selectllm.collection.circuit_breaker import BreakerPolicy
from langchain_selectllm.collection.inputs import PoolSource, Queries, check_samples, read_pool, read_queries
from langchain_selectllm.collection.local_engine import CollectionJob, Settings, collect_locally
from langchain_selectllm.collection.new_store import open_to_collect
from langchain_selectllm.collection.plan import smallest_budget_usd
from langchain_selectllm.collection.progress import Collected, MemberProgressCallback
from langchain_selectllm.collection.ray_engine import collect_on_ray
from langchain_selectllm.collection.retries import RetryPolicy

ENGINES: Mapping[str, Callable[[CollectionJob], Awaitable[Collected]]] = {
    "local": collect_locally,
    "ray": collect_on_ray,
}
"""Engines by name: in this process, or on a Ray cluster."""


async def acollect_outcomes(
    pool: PoolSource,
    queries: Queries,
    store: str,
    *,
    samples: int = 10,
    max_cost_usd: float | None = None,
    engine: str = "local",
    stop: asyncio.Event | None = None,
    progress: MemberProgressCallback | None = None,
    retry: RetryPolicy | None = None,
    breaker: BreakerPolicy | None = None,
) -> Collected:
    """Samples every member on every query into a store; calls whose reply the store holds are not made again.

    A store that this call created is removed if it ends without the record of any call.

    A member is called anew only when its last reply is committed, so that a process killed at any point loses
    no more than the calls in flight.

    Args:
        pool: A pool file, or chat models by name.
        queries: A file `queries.jsonl[.gz]`, or records with its fields.
        store: URL of the store, such as "sqlite:///outcomes.db".
        samples: Samples of each member on each query.
        max_cost_usd: No call is made that might raise the recorded cost of the whole store above this. Every
            member then needs prices and `max_tokens`.
        engine: "local", or "ray" to make the calls on a Ray cluster; the store then is on PostgreSQL.
        stop: Set it to end early: calls in flight are awaited and kept.
        progress: Called a few times per second.
        retry: Number of attempts per call and the waits between them.
        breaker: Failures that pause a member, and pauses that give it up.

    Raises:
        PoolFileError: If the pool file is malformed, or a limit on the cost cannot be kept with it.
        OutcomeError: If the queries are malformed, or contradict those of the store.
        StoreError: If the store cannot be opened or written, another process is collecting into it, or the
            engine cannot use it.
        ValueError: If the engine is unknown, or a number is out of range.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}. Use one of {', '.join(ENGINES)}.")
    check_samples(samples)
    settings = Settings(samples=samples, retry=retry or RetryPolicy(), breaker=breaker or BreakerPolicy())
    members, records = read_pool(pool), read_queries(queries)
    check_affordable(members, max_cost_usd)
    with open_to_collect(store) as (opened, lock):
        opened.add_queries(records)
        job = CollectionJob(
            store=opened,
            members=members,
            queries=records,
            settings=settings,
            budget=Budget(max_cost_usd, opened.cost_usd()),
            stop=stop or asyncio.Event(),
            lock=lock,
            progress=progress,
        )
        collected = replace(await ENGINES[engine](job), unpriced=opened.count_unpriced())
        # On a cluster the budget is divided among the pieces, so that no single call tells it.
        if collected.stopped == "max_cost_usd" and engine == "local":
            least = smallest_budget_usd(members, records, opened, samples=samples)
            collected = replace(collected, smallest_budget_usd=least)
        return collected


def collect_outcomes(
    pool: PoolSource,
    queries: Queries,
    store: str,
    *,
    samples: int = 10,
    max_cost_usd: float | None = None,
    engine: str = "local",
    progress: MemberProgressCallback | None = None,
    retry: RetryPolicy | None = None,
    breaker: BreakerPolicy | None = None,
) -> Collected:
    """Samples every member on every query into a store, in synchronous code: see `acollect_outcomes`.

    Raises:
        RuntimeError: If an event loop is running; await `acollect_outcomes` there.
        SelectLLMError: As `acollect_outcomes`.
    """
    return asyncio.run(
        acollect_outcomes(
            pool,
            queries,
            store,
            samples=samples,
            max_cost_usd=max_cost_usd,
            engine=engine,
            progress=progress,
            retry=retry,
            breaker=breaker,
        )
    )
