"""Answers to a file of prompts by a router whose calls the collection engine makes and a store keeps.

A call plan and an election per prompt, as in serving; retries, rate limits, budget and the lock of the store
are those of a collection. A reply that the store holds is never bought again.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from langchain_selectllm.collection.budget import Budget, check_affordable
from langchain_selectllm.collection.inputs import read_pool
from langchain_selectllm.collection.local_engine import Settings
from langchain_selectllm.collection.new_store import open_to_collect
from langchain_selectllm.collection.retries import RetryPolicy
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.integrations.answer_calls import BatchCalls, PromptAnswer, answer_block
from langchain_selectllm.outcomes.records import parse_query
from langchain_selectllm.routing.engine import Engine
from langchain_selectllm.routing.load_router import load_router
from langchain_selectllm.routing.route_file import (
    FinishedLines,
    PromptLine,
    last_complete_line,
    open_prompts,
    read_prompt_lines,
)

BLOCK_LINES = 500
"""Prompts that are held in memory and answered together."""


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
    """"max_cost_usd" or "interrupted"; None where every line is answered."""


async def answer_file(
    folder: Path,
    pool: Path,
    source: Path,
    target: Path,
    store: str,
    *,
    policy: str | None = None,
    max_cost_usd: float | None = None,
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
        target: Answers, JSON Lines, one per line of the input; an existing file is continued.
        store: URL of the store that keeps the replies.
        policy: Policy such as "selectllm:3"; the router's own when None.
        max_cost_usd: No call is made that might raise the recorded cost of the whole store above this.
        block_lines: Prompts that are held in memory and answered together.
        stop: Set it to end early: calls in flight are awaited and kept.
        retry: Number of attempts per call and the waits between them.
        on_progress: Called with the number of finished lines after each block.

    Raises:
        OutcomeError: If the input cannot be read, or the output belongs to another input.
        StoreError: If the store cannot be opened or written, or another process writes it.
        PoolFileError: If the pool file is malformed, or a limit on the cost cannot be kept with it.
    """
    router = load_router(folder, pool, policy=policy)
    # Replies are paid for when they are counted: none is given up.
    engine = Engine(replace(router.engine.settings, early_stop=False))
    described = {member.name: member for member in read_pool(pool)}
    members = [described[name] for name in router.classifier.members]
    check_affordable(members, max_cost_usd)
    done = _finished_lines(source, target)
    with open_prompts(source) as prompts, open_to_collect(store) as (opened, lock):
        calls = BatchCalls(
            store=opened,
            lock=lock,
            members=members,
            digests=[opened.add_parameters(member.parameters) for member in members],
            budget=Budget(max_cost_usd, opened.cost_usd()),
            stop=stop or asyncio.Event(),
            settings=Settings(samples=1, retry=retry or RetryPolicy()),
        )
        lines = read_prompt_lines(prompts, source)
        _skip_answered(lines, done, source, target)
        n_lines, n_errors, stopped = done.n_lines, 0, None
        with target.open("ab") as answers:
            answers.truncate(done.n_bytes)
            while stopped is None and (block := list(islice(lines, block_lines))):
                answering = _open_block(engine, block, source)
                stopped = await answer_block(answering, calls)
                for one in _leading_finished(answering):
                    entry = one.entry(engine)
                    n_lines, n_errors = n_lines + 1, n_errors + ("error" in entry)
                    answers.write(json.dumps(entry).encode() + b"\n")
                answers.flush()
                if on_progress is not None:
                    on_progress(n_lines)
        return AnsweredFile(
            n_lines=n_lines,
            n_earlier=done.n_lines,
            n_errors=n_errors,
            cost_usd=opened.cost_usd(),
            stopped=stopped,
        )


def _finished_lines(source: Path, target: Path) -> FinishedLines:
    if target.exists() and source.samefile(target):
        raise OutcomeError(f"{source} is both the input and the output. Give the output another name.")
    return last_complete_line(target)


def _skip_answered(lines: Iterator[PromptLine], done: FinishedLines, source: Path, target: Path) -> None:
    """Passes the lines that have their answer."""
    if not done.n_lines:
        return
    last = next(islice(lines, done.n_lines - 1, None), None)
    try:
        written = json.loads(done.last)
    except ValueError:
        written = None
    if last is None or not isinstance(written, dict):
        written = {}
    if last is None or (written.get("line"), written.get("query_id")) != (last.line, last.query_id):
        raise OutcomeError(
            f"{target}:{done.n_lines} is no answer to {source}:{done.n_lines}. Give the input that it was "
            "made from, or another output."
        )


def _open_block(engine: Engine, block: Sequence[PromptLine], source: Path) -> list[PromptAnswer]:
    """Decisions, elections and plans of the readable prompts; all of them are encoded at once."""
    answering = [PromptAnswer(prompt=prompt, error=prompt.error) for prompt in block]
    for one in answering:
        if one.error is None:
            _add_query(one, source)
    readable = [one for one in answering if one.error is None]
    if not readable:
        return answering
    decisions = engine.decide([one.prompt.text for one in readable])
    for one, decision in zip(readable, decisions, strict=True):
        one.decision, one.election = decision, engine.open_election(decision)
        one.plan = engine.plan(decision, one.election)
    return answering


def _add_query(one: PromptAnswer, source: Path) -> None:
    """Adds the query of the store; a prompt that no store can hold is an error of its line."""
    text = one.prompt.text
    query_id = one.prompt.query_id or f"prompt-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    try:
        one.query = parse_query({"query_id": query_id, "query": text}, f"{source}:{one.prompt.line}")
    except OutcomeError as error:
        one.error = str(error)


def _leading_finished(answering: Sequence[PromptAnswer]) -> list[PromptAnswer]:
    """The lines before the first unfinished one, so that the output stays in order."""
    finished = []
    for one in answering:
        if not one.is_finished:
            break
        finished.append(one)
    return finished
