"""`collect_outcomes`: sample a pool on queries, on this machine or on a Ray cluster."""

import asyncio

from langchain_selectllm.collection.budget import Budget
from langchain_selectllm.collection.circuit_breaker import BreakerPolicy
from langchain_selectllm.collection.costs import check_affordable
from langchain_selectllm.collection.inputs import Pool, Queries, check_samples, read_pool, read_queries
from langchain_selectllm.collection.local_engine import Settings, collect_into
from langchain_selectllm.collection.open_store import locked, open_store
from langchain_selectllm.collection.progress import Collected, OnProgress
from langchain_selectllm.collection.retries import RetryPolicy

ENGINES = ("local", "ray")


async def acollect_outcomes(
    pool: Pool,
    queries: Queries,
    store: str,
    *,
    samples: int = 10,
    max_cost_usd: float | None = None,
    engine: str = "local",
    stop: asyncio.Event | None = None,
    progress: OnProgress | None = None,
    retry: RetryPolicy | None = None,
    breaker: BreakerPolicy | None = None,
) -> Collected:
    """Sample every member on every query into a store; what the store holds already is not called again.

    A member is called anew only when its last reply is committed, so that a process killed at any point loses no more than
    the calls that were in flight.

    Args:
        pool: A pool file, or chat models by name.
        queries: A file `queries.jsonl[.gz]`, or records with its fields.
        store: URL of the store, such as "sqlite:///outcomes.db".
        samples: Samples of each member on each query.
        max_cost_usd: Nothing is called that might bring the recorded cost of the whole store above this. Every member then
            needs prices and `max_tokens`.
        engine: "local", or "ray" to make the calls on a Ray cluster; the store then is on PostgreSQL.
        stop: Set it to end early: what is in flight is waited for and kept.
        progress: Called a few times a second.
        retry: How often a call is tried.
        breaker: When a failing member is paused and given up.

    Raises:
        PoolFileError: If the pool file is malformed, or a limit on the cost cannot be kept with it.
        OutcomeError: If the queries are malformed, or contradict those of the store.
        StoreError: If the store cannot be opened or written, another process is collecting into it, or the engine cannot
            use it.
        ValueError: If the engine is unknown, or a number is out of range.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}. Use one of {', '.join(ENGINES)}.")
    check_samples(samples)
    settings = Settings(samples, retry or RetryPolicy(), breaker or BreakerPolicy())
    members, records = read_pool(pool), read_queries(queries)
    check_affordable(members, max_cost_usd)
    with open_store(store) as opened, locked(opened):
        opened.add_queries(records)
        budget = Budget(max_cost_usd, opened.cost_usd())
        if engine == "ray":
            from langchain_selectllm.collection.ray_engine import collect_on_ray as collect
        else:
            collect = collect_into
        return await collect(
            opened, members, records, settings, budget, stop=stop or asyncio.Event(), progress=progress
        )


def collect_outcomes(
    pool: Pool,
    queries: Queries,
    store: str,
    *,
    samples: int = 10,
    max_cost_usd: float | None = None,
    engine: str = "local",
    progress: OnProgress | None = None,
    retry: RetryPolicy | None = None,
    breaker: BreakerPolicy | None = None,
) -> Collected:
    """Sample every member on every query into a store, for code that is not asynchronous: see `acollect_outcomes`.

    Raises:
        RuntimeError: If an event loop is running; await `acollect_outcomes` there.
        SelectLLMError: Whatever `acollect_outcomes` raises.
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
