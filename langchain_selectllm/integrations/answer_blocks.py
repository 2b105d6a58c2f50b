"""Blocks of prompts answered in this process: decided, called, elected, and made lines of the output."""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from langchain_selectllm.collection.inputs import PoolMember, read_pool
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.integrations.answer_calls import BatchCalls, PromptAnswer, answer_block
from langchain_selectllm.outcomes.records import parse_query
from langchain_selectllm.routing.engine import Engine
from langchain_selectllm.routing.load_router import load_router
from langchain_selectllm.routing.prompt_files import Piece, PromptLine, read_blocks


@dataclass(frozen=True, kw_only=True)
class AnsweredBlock:
    """Answers to prompts that were answered together."""

    file: int
    """Index of the file among those of the job."""
    lines: bytes
    """Lines of the output, up to the first prompt that lacks a call."""
    n_lines: int
    n_errors: int
    """Lines without an answer."""
    stopped: str | None
    """Why a prompt lacks a call: "max_cost_usd", "interrupted" or "lock lost"; None where none does."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchRouter:
    """A saved router, and the members that its calls are made to."""

    engine: Engine
    members: Sequence[PoolMember]
    """In the order of the classifier."""

    def open(self, block: Sequence[PromptLine], source: Path) -> list[PromptAnswer]:
        """Decisions, elections and plans of the readable prompts; all of them are encoded at once."""
        answering = [PromptAnswer(prompt=prompt, error=prompt.error) for prompt in block]
        for one in answering:
            if one.error is None:
                _add_query(one, source)
        readable = [one for one in answering if one.error is None]
        if not readable:
            return answering
        decisions = self.engine.decide([one.prompt.text for one in readable])
        for one, decision in zip(readable, decisions, strict=True):
            one.decision, one.election = decision, self.engine.open_election(decision)
            one.plan = self.engine.plan(decision, one.election)
        return answering

    async def answer(
        self, answering: Sequence[PromptAnswer], piece: Piece, calls: BatchCalls
    ) -> AnsweredBlock:
        """Makes the calls and returns the finished lines; they end before the first unfinished one.

        Raises:
            StoreError: If the store cannot be written.
            OutcomeError: If the store knows a query id with another text.
        """
        stopped = await answer_block(answering, calls)
        entries = [one.entry(self.engine) for one in _leading_finished(answering)]
        return AnsweredBlock(
            file=piece.file,
            lines=b"".join(json.dumps(entry).encode() + b"\n" for entry in entries),
            n_lines=len(entries),
            n_errors=sum("error" in entry for entry in entries),
            stopped=stopped,
        )


def load_batch_router(folder: Path, pool: Path, policy: str | None) -> BatchRouter:
    """Returns a saved router over the members of a pool file.

    Raises:
        SelectLLMError: As `load_router`.
    """
    router = load_router(folder, pool, policy=policy)
    described = {member.name: member for member in read_pool(pool)}
    # Replies are paid for when they are counted: none is given up.
    return BatchRouter(
        engine=Engine(replace(router.engine.settings, early_stop=False)),
        members=[described[name] for name in router.classifier.members],
    )


async def answer_pieces(
    router: BatchRouter, calls: BatchCalls, pieces: Sequence[Piece], block_lines: int
) -> AsyncIterator[AnsweredBlock]:
    """Yields the answers in order, a block of prompts at a time, up to the first block that stopped."""
    for piece in pieces:
        for block in read_blocks(piece, block_lines):
            answered = await router.answer(router.open(block, piece.source), piece, calls)
            yield answered
            if answered.stopped is not None:
                return


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
