"""Every member's samples on every query, into an open store, whatever happens on the way."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from langchain_selectllm.collection.budget import Budget
from langchain_selectllm.collection.circuit_breaker import BreakerPolicy
from langchain_selectllm.collection.costs import most_cost_usd
from langchain_selectllm.collection.inputs import PoolMember, pages
from langchain_selectllm.collection.member_caller import Failure, MemberCaller, Reply
from langchain_selectllm.collection.progress import Collected, MemberProgress, OnProgress
from langchain_selectllm.collection.retries import RetryPolicy
from langchain_selectllm.collection.rows import Call, ReplyRow, parameters_digest
from langchain_selectllm.collection.store_thread import StoreThread
from langchain_selectllm.collection.worker_pool import innermost, work_through
from langchain_selectllm.exceptions import SelectLLMError
from langchain_selectllm.outcomes.records import QueryRecord

if TYPE_CHECKING:
    from langchain_selectllm.collection.store import OutcomeStore

_TICK_S = 0.25


@dataclass(frozen=True)
class Settings:
    """How a run of collecting goes about it."""

    samples: int = 10
    """Samples of each member on each query."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """How often a call is tried."""
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    """When a failing member is paused and given up."""


async def collect_into(
    store: "OutcomeStore",
    members: Sequence[PoolMember],
    queries: Sequence[QueryRecord],
    settings: Settings,
    budget: Budget,
    *,
    stop: asyncio.Event,
    progress: OnProgress | None = None,
) -> Collected:
    """Collect into an open store that holds the queries already, and that nobody else collects these calls into.

    Raises:
        StoreError: If the store cannot be written.
    """
    async with StoreThread(store.save_replies) as thread:
        runs = [_MemberRun(member, store, thread, queries, settings, budget, stop) for member in members]
        for run in runs:
            await thread.run(run.count)
        display = asyncio.create_task(_show(runs, progress))
        try:
            async with asyncio.TaskGroup() as group:
                for run in runs:
                    group.create_task(run.collect())
        except* SelectLLMError as errors:
            raise innermost(errors) from None
        finally:
            display.cancel()
            if progress is not None:
                progress([run.progress for run in runs])
    stopped = next((run.stopped for run in runs if run.stopped), None)
    return Collected(
        tuple(run.progress for run in runs), "interrupted" if stop.is_set() else stopped, budget.spent_usd
    )


class _MemberRun:
    """One member's part of a run."""

    def __init__(
        self,
        member: PoolMember,
        store: "OutcomeStore",
        thread: StoreThread[ReplyRow],
        queries: Sequence[QueryRecord],
        settings: Settings,
        budget: Budget,
        stop: asyncio.Event,
    ) -> None:
        self.member, self.store, self.thread, self.queries = member, store, thread, queries
        self.settings, self.budget, self.stop = settings, budget, stop
        self.caller = MemberCaller(member, stop=stop, retry=settings.retry, breaker=settings.breaker)
        self.digest = ""
        self.progress = MemberProgress(member.name, settings.samples * len(queries))
        self.stopped: str | None = None

    def count(self) -> None:
        """Count what the store holds already."""
        self.digest = self.store.add_parameters(self.member.parameters)
        self.progress.done = count_answered(self.store, self.member, self.queries, self.settings.samples)

    async def collect(self) -> None:
        """Make the calls that are missing, as many at a time as the member takes."""
        self.progress.start()
        workers = min(self.member.spec.max_concurrency, self.progress.left)
        await work_through(self._missing(), self._make, at_a_time=workers, is_over=self._over)
        if self.stopped is None and self.progress.left and not self.stop.is_set():
            self.stopped = "failures"
        self.progress.end(self._end())

    async def _missing(self) -> AsyncIterator[Call]:
        """The calls without a reply, a page of queries at a time."""
        for page in pages(self.queries):
            ids = [query.query_id for query in page]
            answered = await self.thread.run(self.store.answered, self.member.name, self.digest, ids)
            for query in page:
                for sample in range(self.settings.samples):
                    if (query.query_id, sample) not in answered:
                        yield Call(query.query_id, sample, query.text)

    async def _make(self, call: Call) -> None:
        most = most_cost_usd(self.member, call.prompt)
        async with self.budget.spend(most) as expense:
            if expense is None:
                self.stopped = "max_cost_usd"
                return
            outcome = await self.caller.call(call.prompt)
            if isinstance(outcome, Reply):
                # A reply that does not say what it took may have taken all it could.
                expense.cost_usd = (outcome.cost_usd if outcome.cost_usd is not None else most) or 0.0
            if outcome is not None:
                # At once: a cancellation between the reply and here would lose what was paid for.
                await self.thread.save(_row(call, self.member.name, self.digest, outcome))
        if isinstance(outcome, Failure):
            self.progress.failed += 1
        elif outcome is not None:
            self.progress.done += 1
            self.progress.cost_usd += outcome.cost_usd or 0.0

    def _over(self) -> bool:
        return self.stop.is_set() or self.stopped is not None or self.caller.gate.given_up is not None

    def _end(self) -> str:
        if self.caller.gate.given_up is not None:
            return f"given up: {self.caller.gate.given_up}"
        if self.stopped == "max_cost_usd":
            return "stopped by max_cost_usd"
        return (
            "done" if not self.progress.left else "stopped" if self.stop.is_set() else "done but for failures"
        )

    def show_state(self) -> None:
        """Bring the state up to date for the display."""
        if self.progress.state.startswith(("running", "paused")):
            pause = self.caller.gate.pause_left_s
            self.progress.state = f"paused {pause:.0f} s" if pause >= 0.5 else "running"


def count_answered(
    store: "OutcomeStore", member: PoolMember, queries: Sequence[QueryRecord], samples: int
) -> int:
    """How many of the member's calls have their reply in the store."""
    digest = parameters_digest(member.parameters)
    return sum(
        sample < samples
        for page in pages(queries)
        for _, sample in store.answered(member.name, digest, [query.query_id for query in page])
    )


async def _show(runs: Sequence[_MemberRun], progress: OnProgress | None) -> None:
    while progress is not None:
        for run in runs:
            run.show_state()
        progress([run.progress for run in runs])
        await asyncio.sleep(_TICK_S)


def _row(call: Call, member: str, parameters: str, outcome: Reply | Failure) -> ReplyRow:
    row = partial(
        ReplyRow,
        query_id=call.query_id,
        member=member,
        sample=call.sample,
        parameters=parameters,
        attempts=outcome.attempts,
        finished_at=time.time(),
    )
    if isinstance(outcome, Failure):
        return row(text=None, error=outcome.error)
    told, usage = outcome.message.response_metadata, outcome.message.usage_metadata
    return row(
        text=outcome.message.text,
        error=None,
        model_name=_text(told.get("model_name")),
        reply_id=_text(told.get("id")),
        finish_reason=_text(told.get("finish_reason")),
        input_tokens=usage["input_tokens"] if usage else None,
        output_tokens=usage["output_tokens"] if usage else None,
        cost_usd=outcome.cost_usd,
        latency_s=outcome.latency_s,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
