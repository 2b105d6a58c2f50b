"""Answers to files of prompts by a router whose calls the collection engine makes and a store keeps.

A call plan and an election per prompt, as in serving; retries, rate limits, budget and the lock of the store
are those of a collection. A reply that the store holds is never bought again.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from langchain_selectllm.collection.budget import check_affordable
from langchain_selectllm.collection.new_store import open_to_collect
from langchain_selectllm.collection.retries import RetryPolicy
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.integrations.answer_blocks import AnsweredBlock, load_batch_router
from langchain_selectllm.integrations.answer_job import AnswerJob, answer_locally
from langchain_selectllm.integrations.answer_on_ray import answer_on_ray
from langchain_selectllm.routing.prompt_files import (
    Outputs,
    PromptFile,
    PromptLine,
    pieces_left,
    prompt_files,
)

BLOCK_LINES = 500
"""Prompts that are held in memory and answered together."""

ENGINES: Mapping[str, Callable[[AnswerJob], AsyncIterator[AnsweredBlock]]] = {
    "local": answer_locally,
    "ray": answer_on_ray,
}
"""Engines by name: in this process, or on a Ray cluster."""


@dataclass(frozen=True, kw_only=True)
class AnsweredFile:
    """Result of one run."""

    n_lines: int
    """Lines of the output after this run."""
    n_earlier: int
    """Lines that an earlier run had written."""
    n_errors: int
    """Lines of this run without an answer; the output holds the error in their place."""
    cost_usd: float
    """Recorded cost of the whole store."""
    stopped: str | None
    """"max_cost_usd", "interrupted" or "lock lost"; None where every line is answered."""


async def answer_file(
    folder: Path,
    pool: Path,
    source: Path,
    target: Path,
    store: str,
    *,
    policy: str | None = None,
    max_cost_usd: float | None = None,
    engine: str = "local",
    block_lines: int = BLOCK_LINES,
    stop: asyncio.Event | None = None,
    retry: RetryPolicy | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> AnsweredFile:
    """Writes one answer per prompt; run again, it continues where it ended.

    Args:
        folder: A saved router.
        pool: Pool file with its members.
        source: Prompts as `route_file` reads them.
        target: Answers, JSON Lines, one per line of the input; an existing file is continued. For a folder of
            prompts a folder.
        store: URL of the store that keeps the replies.
        policy: Policy such as "selectllm:3"; the router's own when None.
        max_cost_usd: No call is made that might raise the recorded cost of the whole store above this.
        engine: "local", or "ray" to answer on a Ray cluster; the store then is on PostgreSQL.
        block_lines: Prompts that are held in memory and answered together.
        stop: Set it to end early: calls in flight are awaited and kept.
        retry: Number of attempts per call and the waits between them.
        on_progress: Called with the number of finished lines after each block.

    Raises:
        OutcomeError: If the input cannot be read, or the output belongs to another input.
        StoreError: If the store cannot be opened or written, another process writes it, or the engine cannot
            use it.
        PoolFileError: If the pool file is malformed, or a limit on the cost cannot be kept with it.
        ValueError: If the engine is unknown.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}. Use one of {', '.join(ENGINES)}.")
    router = load_batch_router(folder, pool, policy)
    check_affordable(router.members, max_cost_usd)
    files = prompt_files(source, target)
    pieces = pieces_left(files, _check_answer)
    n_earlier = sum(file.done.n_lines for file in files)
    n_lines, n_errors, stopped = n_earlier, 0, None
    with open_to_collect(store) as (opened, lock), Outputs(files) as outputs:
        job = AnswerJob(
            folder=folder,
            pool=pool,
            policy=policy,
            router=router,
            pieces=pieces,
            block_lines=block_lines,
            store=opened,
            lock=lock,
            max_cost_usd=max_cost_usd,
            stop=stop or asyncio.Event(),
            retry=retry or RetryPolicy(),
        )
        async for block in ENGINES[engine](job):
            outputs.write(block)
            n_lines, n_errors = n_lines + block.n_lines, n_errors + block.n_errors
            stopped = stopped or block.stopped
            if on_progress is not None:
                on_progress(n_lines)
        return AnsweredFile(
            n_lines=n_lines,
            n_earlier=n_earlier,
            n_errors=n_errors,
            cost_usd=opened.cost_usd(),
            stopped=stopped,
        )


def _check_answer(file: PromptFile, last: PromptLine | None) -> None:
    """Whether the last finished line of an output belongs to its prompt."""
    try:
        written = json.loads(file.done.last)
    except ValueError:
        written = None
    if last is None or not isinstance(written, dict):
        written = {}
    if last is None or (written.get("line"), written.get("query_id")) != (last.line, last.query_id):
        n = file.done.n_lines
        raise OutcomeError(
            f"{file.target}:{n} is no answer to {file.source}:{n}. Give the input that it was made from, or "
            "another output."
        )
