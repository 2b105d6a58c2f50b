"""Collection in this process: every member's samples on every query, saved as they arrive."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_selectllm.answers import get_extractor, read_answer
from langchain_selectllm.answers.endings import finish_reason_of
from langchain_selectllm.answers.inference import infer_answer_type
from langchain_selectllm.answers.token_probabilities import read_token_probabilities
from langchain_selectllm.collection.budget import Budget, known_cost, upper_bound_usd
from langchain_selectllm.collection.circuit_breaker import BreakerPolicy
from langchain_selectllm.collection.inputs import PoolMember, pages
from langchain_selectllm.collection.member_caller import Failure, MemberCaller, Reply
from langchain_selectllm.collection.progress import Collected, MemberProgress, MemberProgressCallback
from langchain_selectllm.collection.retries import RetryPolicy
from langchain_selectllm.collection.rows import Call, ReplyRow, parameters_digest, storable
from langchain_selectllm.collection.store_lock import LockWatch, StoreLock
from langchain_selectllm.collection.store_thread import StoreThread
from langchain_selectllm.collection.worker_pool import innermost, work_through
from langchain_selectllm.exceptions import SelectLLMError
from langchain_selectllm.outcomes.records import QueryRecord

if TYPE_CHECKING:
    from langchain_selectllm.collection.store import OutcomeStore

_TICK_S = 0.25


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one collection run."""

    samples: int = 10
    """Samples of each member on each query."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """Number of attempts per call and the waits between them."""
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    """Failures that pause a member, and pauses that give it up."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CollectionJob:
    """Everything that one collection run needs; the store holds the queries already."""

    store: "OutcomeStore"
    members: Sequence[PoolMember]
    queries: Sequence[QueryRecord]
    settings: Settings
    budget: Budget
    stop: asyncio.Event
    """Set to end early: calls in flight are awaited and kept."""
    lock: StoreLock | None = None
    """Lock of the store; None where another process watches it for this one."""
    progress: MemberProgressCallback | None = None


async def collect_locally(job: CollectionJob) -> Collected:
    """Makes the missing calls in this process.

    Raises:
        StoreError: If the store cannot be written.
    """
    async with StoreThread(job.store.save_replies) as thread, LockWatch(job.lock, job.stop) as lock:
        runs = [_MemberRun(job, member, thread, lock) for member in job.members]
        for run in runs:
            await thread.run(run.count)
        display = asyncio.create_task(_show(runs, job.progress))
        try:
            async with asyncio.TaskGroup() as group:
                for run in runs:
                    group.create_task(run.collect())
        except* SelectLLMError as errors:
            raise innermost(errors) from None
        finally:
            display.cancel()
            if job.progress is not None:
                job.progress([run.progress for run in runs])
    return Collected(
        members=tuple(run.progress for run in runs),
        stopped=_stopped(runs, job.stop),
        spent_usd=job.budget.spent_usd,
    )


class _MemberRun:
    """One member's part of a run."""

    def __init__(
        self, job: CollectionJob, member: PoolMember, thread: StoreThread[ReplyRow], lock: LockWatch
    ) -> None:
        self.job, self.member, self.thread, self.lock = job, member, thread, lock
        self.caller = MemberCaller(
            member, stop=job.stop, lock=lock, retry=job.settings.retry, breaker=job.settings.breaker
        )
        self.digest = ""
        self.progress = MemberProgress(member.name, job.settings.samples * len(job.queries))
        self.stopped: str | None = None

    def count(self) -> None:
        """Counts the replies that the store holds already."""
        self.digest = self.job.store.add_parameters(self.member.parameters)
        self.progress.done = count_answered(
            self.job.store, self.member, self.job.queries, self.job.settings.samples
        )

    async def collect(self) -> None:
        """Makes the missing calls, at most `max_concurrency` at a time."""
        self.progress.start()
        workers = min(self.member.spec.max_concurrency, self.progress.left)
        await work_through(self._missing(), self._make, at_a_time=workers, is_over=self._is_over)
        if self.stopped is None and self.progress.left and not self.job.stop.is_set():
            self.stopped = "failures"
        self.progress.end(self._final_state())

    async def _missing(self) -> AsyncIterator[Call]:
        """Yields the calls without a reply, looked up a page of queries at a time."""
        for page in pages(self.job.queries):
            answered = await self._answered([query.query_id for query in page])
            for query in page:
                for sample in range(self.job.settings.samples):
                    if (query.query_id, sample) not in answered:
                        yield Call(
                            query_id=query.query_id,
                            sample=sample,
                            prompt=query.text,
                            reference=query.reference,
                            answer_type=query.answer_type,
                        )

    async def _answered(self, query_ids: Sequence[str]) -> set[tuple[str, int]]:
        return await self.thread.run(self.job.store.answered, self.member.name, self.digest, query_ids)

    async def _make(self, call: Call) -> None:
        if not await self.lock.wait_until_held():
            return
        # While the lock was lost, another process may have made this call.
        if self.lock.was_lost and (call.query_id, call.sample) in await self._answered([call.query_id]):
            self.progress.done += 1
            return
        upper_bound = upper_bound_usd(self.member, call.prompt)
        async with self.job.budget.spend(upper_bound) as expense:
            if expense is None:
                self.stopped = "max_cost_usd"
                return
            result = await self.caller.call(call.prompt)
            if isinstance(result, Reply):
                # A reply without usage may have cost as much as the upper bound.
                expense.cost_usd = known_cost(result.cost_usd, upper_bound)
            if result is not None:
                # At once: a cancellation between the reply and here would lose a reply that was paid for.
                await self.thread.save(_row(call, self.member.name, self.digest, result))
        if isinstance(result, Failure):
            self.progress.failed += 1
        elif result is not None:
            self.progress.add_reply(result.cost_usd)

    def _is_over(self) -> bool:
        return self.job.stop.is_set() or self.stopped is not None or self.caller.breaker.given_up is not None

    def _final_state(self) -> str:
        if self.caller.breaker.given_up is not None:
            return f"given up: {self.caller.breaker.given_up}"
        if self.stopped == "max_cost_usd":
            return "stopped by max_cost_usd"
        if not self.progress.left:
            return "done"
        if self.job.stop.is_set():
            return "stopped"
        return "done except for failures"

    def show_state(self) -> None:
        """Updates the state for the display."""
        if not self.progress.state.startswith(("running", "paused")):
            return
        pause = self.caller.breaker.pause_left_s
        if not self.lock.is_held:
            self.progress.state = "paused: the lock of the store is lost"
        elif pause >= 0.5:
            self.progress.state = f"paused {pause:.0f} s"
        else:
            self.progress.state = "running"


def count_answered(
    store: "OutcomeStore", member: PoolMember, queries: Sequence[QueryRecord], samples: int
) -> int:
    """Returns the number of the member's calls that have their reply in the store."""
    digest = parameters_digest(member.parameters)
    count = 0
    for page in pages(queries):
        for _, sample in store.answered(member.name, digest, [query.query_id for query in page]):
            count += sample < samples
    return count


def _stopped(runs: Sequence[_MemberRun], stop: asyncio.Event) -> str | None:
    if stop.is_set():
        return "interrupted"
    for run in runs:
        if run.stopped is not None:
            return run.stopped
    return None


async def _show(runs: Sequence[_MemberRun], progress: MemberProgressCallback | None) -> None:
    while progress is not None:
        for run in runs:
            run.show_state()
        progress([run.progress for run in runs])
        await asyncio.sleep(_TICK_S)


def _row(call: Call, member: str, parameters: str, result: Reply | Failure) -> ReplyRow:
    if isinstance(result, Failure):
        return ReplyRow(
            query_id=call.query_id,
            member=member,
            sample=call.sample,
            parameters=parameters,
            text=None,
            error=result.error,
            attempts=result.attempts,
            finished_at=time.time(),
        )
    input_tokens, output_tokens = _tokens(result.message)
    message = result.message
    metadata = message.response_metadata
    return ReplyRow(
        query_id=call.query_id,
        member=member,
        sample=call.sample,
        parameters=parameters,
        text=result.message.text,
        error=None,
        attempts=result.attempts,
        finished_at=time.time(),
        model_name=_text(metadata.get("model_name")),
        reply_id=_text(metadata.get("id")),
        finish_reason=finish_reason_of(message.content, message.additional_kwargs, metadata),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=result.cost_usd,
        latency_s=result.latency_s,
        token_probabilities=_token_probabilities(call, message),
    )


def _token_probabilities(call: Call, message: AIMessage) -> dict[str, Any] | None:
    """Figures of the reply, about the answer that the query's kind of answer reads from it."""
    if not message.response_metadata.get("logprobs"):
        return None
    text = storable(message.text) or ""
    kind = call.answer_type or infer_answer_type(call.prompt, call.reference, [text])
    metadata = message.response_metadata
    finish_reason = finish_reason_of(message.content, message.additional_kwargs, metadata)
    answer = read_answer(get_extractor(kind), text, call.prompt, finish_reason=finish_reason)
    found = read_token_probabilities(metadata, answer)
    if found is None:
        return None
    return found.to_fields()


def _tokens(message: AIMessage) -> tuple[int | None, int | None]:
    if message.usage_metadata is None:
        return None, None
    return message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return None
