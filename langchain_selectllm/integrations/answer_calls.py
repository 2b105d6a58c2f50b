"""Calls of a block of prompts, made in waves by the collection engine and counted by their elections."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_selectllm.collection.budget import Budget
from langchain_selectllm.collection.inputs import PoolMember
from langchain_selectllm.collection.local_engine import CollectionJob, Settings, collect_locally
from langchain_selectllm.collection.store_lock import StoreLock
from langchain_selectllm.collection.worker_pool import innermost
from langchain_selectllm.exceptions import FanOutError, SelectLLMError
from langchain_selectllm.fanout.call_plan import CallPlan
from langchain_selectllm.outcomes.records import QueryRecord
from langchain_selectllm.routing.decision import Decision
from langchain_selectllm.routing.election import Election
from langchain_selectllm.routing.engine import Engine
from langchain_selectllm.routing.prompt_files import PromptLine

if TYPE_CHECKING:
    from langchain_selectllm.collection.store import OutcomeStore

_COMPLETE = frozenset({None, "failures"})
"""Ends of a collection after which every call was made or has failed."""


class NoReplyError(SelectLLMError, RuntimeError):
    """A recorded call without a reply."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchCalls:
    """Everything that the calls of one run share."""

    store: "OutcomeStore"
    lock: StoreLock | None
    """Lock of the store; None where another process watches it for this one."""
    members: Sequence[PoolMember]
    """In the order of the classifier."""
    digests: Sequence[str]
    """Digest of each member's sampling parameters."""
    budget: Budget
    stop: asyncio.Event
    settings: Settings


@dataclass(kw_only=True, eq=False)
class PromptAnswer:
    """One line of the input on its way to an answer."""

    prompt: PromptLine
    error: str | None
    """Why the line holds no prompt."""
    query: QueryRecord | None = None
    """None for a line without a prompt, as the next three."""
    decision: Decision | None = None
    election: Election | None = None
    plan: CallPlan | None = None

    @property
    def is_finished(self) -> bool:
        """Whether no call is left to wait for."""
        return self.plan is None or self.plan.done

    def entry(self, engine: Engine) -> dict[str, Any]:
        """Line of the output."""
        entry: dict[str, Any] = {"line": self.prompt.line}
        if self.prompt.query_id is not None:
            entry["query_id"] = self.prompt.query_id
        if self.decision is None or self.plan is None or self.election is None:
            return {**entry, "error": self.error}
        try:
            message = engine.merge(self.decision, self.plan, self.election)
        except FanOutError as error:
            return {**entry, "error": "; ".join(map(str, (error, *error.exceptions)))}
        return {**entry, "reply": message.text, **message.response_metadata["selectllm"]}


async def answer_block(answering: Sequence[PromptAnswer], calls: BatchCalls) -> str | None:
    """Makes the calls of a block in waves until every plan is done.

    Returns:
        Why it stopped before: "max_cost_usd" or "interrupted"; None where it did not.
    """
    queries = {}
    for one in answering:
        if one.query is not None:
            queries[one.query.query_id, one.query.text] = one.query
    if queries:
        calls.store.add_queries(list(queries.values()))
    while wanted := _take_calls(answering, len(calls.members)):
        stopped = await _collect(wanted, calls)
        for k, called in wanted.items():
            _record_results(k, called, calls, is_complete=stopped in _COMPLETE)
        if stopped not in _COMPLETE:
            return stopped
    return None


def _take_calls(
    answering: Sequence[PromptAnswer], n_members: int
) -> dict[int, list[tuple[PromptAnswer, int]]]:
    """The calls that the plans ask for now, with their numbers, by member."""
    wanted: dict[int, list[tuple[PromptAnswer, int]]] = defaultdict(list)
    for one in answering:
        if one.plan is not None and not one.plan.done:
            for number in one.plan.take(None):
                wanted[number % n_members].append((one, number))
    return wanted


async def _collect(wanted: Mapping[int, Sequence[tuple[PromptAnswer, int]]], calls: BatchCalls) -> str | None:
    """Makes the missing calls of all members at once; the reason of the first that stopped."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = []
            for k, called in wanted.items():
                tasks.append(group.create_task(_collect_member(k, called, calls)))
    except* SelectLLMError as errors:
        raise innermost(errors) from None
    for task in tasks:
        if task.result() not in _COMPLETE:
            return task.result()
    return None


async def _collect_member(
    k: int, called: Sequence[tuple[PromptAnswer, int]], calls: BatchCalls
) -> str | None:
    """Makes one member's missing calls, the first samples before the second ones."""
    by_samples: dict[int, dict[str, QueryRecord]] = defaultdict(dict)
    for one, number in called:
        assert one.query is not None
        by_samples[number // len(calls.members) + 1][one.query.query_id] = one.query
    for samples in sorted(by_samples):
        job = CollectionJob(
            store=calls.store,
            members=[calls.members[k]],
            queries=list(by_samples[samples].values()),
            settings=replace(calls.settings, samples=samples),
            budget=calls.budget,
            stop=calls.stop,
            lock=calls.lock,
        )
        collected = await collect_locally(job)
        if collected.stopped not in _COMPLETE:
            return collected.stopped
    return None


def _record_results(
    k: int, called: Sequence[tuple[PromptAnswer, int]], calls: BatchCalls, *, is_complete: bool
) -> None:
    """Gives the recorded results of one member to the plans; after an early stop the replies alone."""
    ids = [one.query.query_id for one, _ in called if one.query is not None]
    rows = calls.store.results(calls.members[k].name, calls.digests[k], ids)
    for one, number in called:
        assert one.query is not None
        assert one.plan is not None
        row = rows.get((one.query.query_id, number // len(calls.members)))
        if row is not None and row["text"] is not None:
            one.plan.finish(number, _message(row), row["latency_s"] or 0.0)
        elif is_complete:
            reason = "the member was given up after failures"
            if row is not None:
                reason = row["error"]
            one.plan.finish(number, NoReplyError(f"{calls.members[k].name}: {reason}"), 0.0)


def _message(row: Mapping[str, Any]) -> AIMessage:
    """The reply as it was recorded."""
    metadata = {name: row[name] for name in ("model_name", "finish_reason") if row[name] is not None}
    message = AIMessage(row["text"], response_metadata=metadata)
    if row["input_tokens"] is not None and row["output_tokens"] is not None:
        message.usage_metadata = {
            "input_tokens": row["input_tokens"],
            "output_tokens": row["output_tokens"],
            "total_tokens": row["input_tokens"] + row["output_tokens"],
        }
    return message
