"""What the engines that answer files of prompts are given, and the engine of this process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_selectllm.collection.budget import Budget
from langchain_selectllm.collection.local_engine import Settings
from langchain_selectllm.collection.retries import RetryPolicy
from langchain_selectllm.collection.store_lock import StoreLock
from langchain_selectllm.integrations.answer_blocks import AnsweredBlock, BatchRouter, answer_pieces
from langchain_selectllm.integrations.answer_calls import BatchCalls
from langchain_selectllm.routing.prompt_files import Piece

if TYPE_CHECKING:
    from langchain_selectllm.collection.store import OutcomeStore


@dataclass(frozen=True, kw_only=True, eq=False)
class AnswerJob:
    """Everything that one run needs."""

    folder: Path
    """The saved router, which workers elsewhere load again, as they do the pool file."""
    pool: Path
    policy: str | None
    router: BatchRouter
    pieces: Sequence[Piece]
    """The lines without an answer, in order."""
    block_lines: int
    store: "OutcomeStore"
    lock: StoreLock
    max_cost_usd: float | None
    stop: asyncio.Event
    retry: RetryPolicy


async def answer_locally(job: AnswerJob) -> AsyncIterator[AnsweredBlock]:
    """Yields the answers in order, made in this process.

    Raises:
        SelectLLMError: As `answer_file`.
    """
    budget = Budget(job.max_cost_usd, job.store.cost_usd())
    calls = batch_calls(job.router, job.store, job.lock, budget, job.stop, job.retry)
    async for block in answer_pieces(job.router, calls, job.pieces, job.block_lines):
        yield block


def batch_calls(
    router: BatchRouter,
    store: "OutcomeStore",
    lock: StoreLock | None,
    budget: Budget,
    stop: asyncio.Event,
    retry: RetryPolicy,
) -> BatchCalls:
    """Returns what the calls of a run share; the store then knows the members' sampling parameters."""
    return BatchCalls(
        store=store,
        lock=lock,
        members=router.members,
        digests=[store.add_parameters(member.parameters) for member in router.members],
        budget=budget,
        stop=stop,
        settings=Settings(samples=1, retry=retry),
    )
