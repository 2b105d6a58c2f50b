"""Answers to files of prompts on a Ray cluster: workers decide, call and elect, into the same store."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from langchain_selectllm.collection.budget import Budget
from langchain_selectllm.collection.inputs import PoolMember, described_member
from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.collection.ray_cluster import check_shared, ray_cluster
from langchain_selectllm.collection.ray_engine import share_of_limits
from langchain_selectllm.collection.retries import RetryPolicy
from langchain_selectllm.collection.store_lock import still_locked
from langchain_selectllm.integrations.answer_blocks import AnsweredBlock, load_batch_router
from langchain_selectllm.integrations.answer_calls import PromptAnswer
from langchain_selectllm.integrations.answer_job import AnswerJob, batch_calls
from langchain_selectllm.integrations.block_coordinator import Coordinator
from langchain_selectllm.integrations.ray_data import Workers, count_workers, cut_all, work_on_ray
from langchain_selectllm.routing.prompt_files import Piece, PromptLine, read_blocks

_TICK_S = 0.5
"""Seconds between two checks whether the job has to end."""


async def answer_on_ray(job: AnswerJob) -> AsyncIterator[AnsweredBlock]:
    """Yields the answers in order, made on the Ray cluster that this process belongs to, or on a local one.

    Every member's limits are divided among the workers, so that they hold for the cluster; so is the
    remaining budget. A block whose worker is lost is answered again, with the replies that the store holds.

    Raises:
        StoreError: If the store is a file, which other machines cannot write to, or cannot be written.
        OutcomeError: If an input cannot be read.
    """
    check_shared(job.store)
    pieces = cut_all(job.pieces, job.block_lines)
    # Each worker needs a call of each member at least.
    most = min(member.spec.max_concurrency for member in job.router.members)
    with ray_cluster() as ray:
        n = count_workers(ray, pieces, most)
        left_usd = None
        if job.max_cost_usd is not None:
            left_usd = max(job.max_cost_usd - job.store.cost_usd(), 0.0)
        coordinator = ray.remote(num_cpus=0)(Coordinator).remote(left_usd, n)
        workers = Workers(make=_Answerer, arguments=(_terms(job, n), coordinator), most=n)
        watching = asyncio.create_task(_watch(job, coordinator))
        results = work_on_ray(ray, workers, pieces)
        try:
            async for block in _until_stopped(results):
                yield block
        finally:
            watching.cancel()
            results.close()


async def _until_stopped(results: Iterator[AnsweredBlock | Exception]) -> AsyncIterator[AnsweredBlock]:
    """Yields the blocks up to the first that stopped; those of other workers are awaited and kept."""
    stopped, failure = False, None
    while (result := await asyncio.to_thread(next, results, None)) is not None:
        if isinstance(result, Exception):
            failure = failure or result
        elif not stopped and failure is None:
            yield result
            stopped = result.stopped is not None
    if failure is not None:
        raise failure


async def _watch(job: AnswerJob, coordinator: Any) -> None:
    """Stops the workers when the job is stopped, or the lock of the store is lost, which is held here."""
    while True:
        if job.stop.is_set():
            await coordinator.stop.remote("interrupted")
        elif not await asyncio.to_thread(still_locked, job.lock):
            await coordinator.stop.remote("lock lost")
        await asyncio.sleep(_TICK_S)


@dataclass(frozen=True, kw_only=True)
class _Terms:
    """What a worker needs to answer."""

    folder: Path
    pool: Path
    policy: str | None
    url: str
    block_lines: int
    retry: RetryPolicy
    n_workers: int


def _terms(job: AnswerJob, n_workers: int) -> _Terms:
    return _Terms(
        folder=job.folder.resolve(),
        pool=job.pool.resolve(),
        policy=job.policy,
        url=job.store.engine.url.render_as_string(hide_password=False),
        block_lines=job.block_lines,
        retry=job.retry,
        n_workers=n_workers,
    )


class _Answerer:
    """One worker, with the router loaded and the members connected once; runs on a machine of the cluster."""

    def __init__(self, terms: _Terms, coordinator: Any) -> None:
        router = load_batch_router(terms.folder, terms.pool, terms.policy)
        members = [_with_share(member, terms.n_workers) for member in router.members]
        self._router = replace(router, members=members)
        self._terms, self._coordinator = terms, coordinator
        self._store = open_store(terms.url, create=False)
        # One event loop for all blocks, which the connections of the members belong to.
        self._runner = asyncio.Runner()

    def __call__(self, piece: Piece) -> Iterator[AnsweredBlock]:
        for block in read_blocks(piece, self._terms.block_lines):
            answered = self._runner.run(self._answer(piece, block))
            yield answered
            if answered.stopped is not None:
                return

    async def _answer(self, piece: Piece, block: Sequence[PromptLine]) -> AnsweredBlock:
        answering = self._router.open(block, piece.source)
        name = f"{piece.file}:{block[0].line}"
        permit = await self._coordinator.begin.remote(name, _query_ids(answering))
        if permit.stopped is not None:
            return AnsweredBlock(file=piece.file, lines=b"", n_lines=0, n_errors=0, stopped=permit.stopped)
        stop, budget = asyncio.Event(), Budget(permit.allowed_usd, 0.0)
        reason: str | None = "failed"
        watching = asyncio.create_task(self._watch(stop))
        try:
            calls = batch_calls(self._router, self._store, None, budget, stop, self._terms.retry)
            answered = await self._router.answer(answering, piece, calls)
            reason = answered.stopped
        finally:
            watching.cancel()
            reason = await self._coordinator.end.remote(name, budget.spent_usd, reason)
        return replace(answered, stopped=reason)

    async def _watch(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await asyncio.sleep(_TICK_S)
            if await self._coordinator.stopped.remote() is not None:
                stop.set()


def _query_ids(answering: Sequence[PromptAnswer]) -> list[str]:
    return [one.query.query_id for one in answering if one.query is not None]


def _with_share(member: PoolMember, n_workers: int) -> PoolMember:
    spec = share_of_limits(member.spec, n_workers, n_workers - 1)
    return described_member(member.name, spec)
