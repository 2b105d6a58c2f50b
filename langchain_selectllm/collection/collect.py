"""`collect_outcomes`: collecting for code that is not asynchronous, on this machine or on a Ray cluster."""

import asyncio

from langchain_selectllm.collection.collector import acollect_outcomes
from langchain_selectllm.collection.failures import RetryPolicy
from langchain_selectllm.collection.gate import BreakerPolicy
from langchain_selectllm.collection.inputs import Pool, Queries
from langchain_selectllm.collection.progress import Collected, OnProgress


def collect_outcomes(
    pool: Pool,
    queries: Queries,
    store: str,
    *,
    samples: int = 10,
    max_cost_usd: float | None = None,
    progress: OnProgress | None = None,
    retry: RetryPolicy | None = None,
    breaker: BreakerPolicy | None = None,
) -> Collected:
    """Sample every member on every query into a store; what the store holds already is not called again.

    See `acollect_outcomes`, which this runs; the command is `selectllm collect`.

    Args:
        pool: A pool file, or chat models by name.
        queries: A file `queries.jsonl[.gz]`, or records with its fields.
        store: URL of the store, such as "sqlite:///outcomes.db".
        samples: Samples of each member on each query.
        max_cost_usd: Nothing is called that might bring the recorded cost of the whole store above this.
        progress: Called a few times a second.
        retry: How often a call is tried.
        breaker: When a failing member is paused and given up.

    Raises:
        PoolFileError: If the pool file is malformed, or a limit on the cost cannot be kept with it.
        OutcomeError: If the queries are malformed, or contradict those of the store.
        StoreError: If the store cannot be opened or written, or another process is collecting into it.
        RuntimeError: If an event loop is running; await `acollect_outcomes` there.
    """
    return asyncio.run(
        acollect_outcomes(
            pool,
            queries,
            store,
            samples=samples,
            max_cost_usd=max_cost_usd,
            progress=progress,
            retry=retry,
            breaker=breaker,
        )
    )
