"""Requests: decided prompts with the calls that answer them, as one message or in chunks."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableConfig

from langchain_selectllm.fanout.concurrency import (
    ConcurrencyLimit,
    SharedLimit,
    shared_limit_of,
    without_shared_limit,
)
from langchain_selectllm.fanout.deadlines import Limits, RequestTimer
from langchain_selectllm.fanout.member_calls import Calls, MemberCalls, child_scope
from langchain_selectllm.fanout.parallel import arun, run
from langchain_selectllm.fanout.streaming import (
    StreamedReply,
    closing_chunk,
    message_chunks,
    with_deadline,
    with_deadline_async,
)
from langchain_selectllm.routing.decision import Decision
from langchain_selectllm.routing.engine import Engine
from langchain_selectllm.routing.judge import call_judge, call_judge_async

# Prompts of one batch that are answered at once; each thread waits for the calls of one prompt.
_BATCH_THREADS = 16

RunManager = CallbackManagerForChainRun | AsyncCallbackManagerForChainRun


@dataclass(frozen=True, eq=False, kw_only=True)
class Request:
    """One decided prompt, and the calls that answer it."""

    engine: Engine
    decision: Decision
    calls: Calls
    max_concurrency: int | None = None
    """Calls in flight at once; no bound when None."""
    shared_limit: SharedLimit | None = None
    """Bounds calls across the prompts of a batch; of the kind for threads, or of that for tasks."""
    decided_in_s: float = 0.0
    """Seconds that the decision took; they count for the deadline of the request."""

    def answer(self) -> AIMessage:
        """The winning message; members are called in threads.

        Raises:
            FanOutError: If every called member failed.
        """
        shared_limit = cast("ConcurrencyLimit | None", self.shared_limit)
        limits = self._limits()
        election = self.engine.open_election(self.decision)
        plan = self.engine.plan(self.decision, election)
        run(plan, lambda k: self.calls.invoke(self._name(k)), limits, shared_limit)
        judging = election.request_judge()
        if judging is not None:
            call_judge(judging, self.calls, limits, shared_limit)
        return self.engine.merge(self.decision, plan, election)

    async def answer_async(self) -> AIMessage:
        """The winning message; members are called in tasks.

        Raises:
            FanOutError: If every called member failed.
        """
        shared_limit = cast("asyncio.Semaphore | None", self.shared_limit)
        limits = self._limits()
        election = self.engine.open_election(self.decision)
        plan = self.engine.plan(self.decision, election)
        await arun(plan, lambda k: self.calls.ainvoke(self._name(k)), limits, shared_limit)
        # Without a model that compares answers, a thread would cost more than it frees.
        if election.is_slow:
            judging = await asyncio.to_thread(election.request_judge)
        else:
            judging = election.request_judge()
        if judging is not None:
            await call_judge_async(judging, self.calls, limits, shared_limit)
        return self.engine.merge(self.decision, plan, election)

    def chunks(self) -> Iterator[AIMessageChunk]:
        """The one selected member's chunks as they arrive, else the winner's message in pieces.

        The last chunk carries the metadata. A member that fails before its first chunk is replaced by the
        next of the reserve.
        """
        if not self.engine.is_final(self.decision):
            yield from message_chunks(self.answer())
            return
        limits = self._limits()
        election = self.engine.open_election(self.decision)
        plan = self.engine.plan(self.decision, election)
        while not plan.done:
            (member,) = plan.take(1)
            reply = StreamedReply()
            result: AIMessage | Exception
            try:
                stream = with_deadline(self.calls.stream(self._name(member)), limits.of_a_call())
                with closing(stream) as chunks:
                    for chunk in chunks:
                        yield reply.add(chunk)
                result = reply.message()
            except Exception as error:
                if reply.started:
                    raise
                result = error
                if limits.is_over:
                    plan.close(error, {member: reply.elapsed_s})
            plan.finish(member, result, reply.elapsed_s)
        yield closing_chunk(self.engine.merge(self.decision, plan, election))

    async def chunks_async(self) -> AsyncGenerator[AIMessageChunk, None]:
        """The chunks of `chunks`, from members called on the event loop."""
        if not self.engine.is_final(self.decision):
            for chunk in message_chunks(await self.answer_async()):
                yield chunk
            return
        limits = self._limits()
        election = self.engine.open_election(self.decision)
        plan = self.engine.plan(self.decision, election)
        while not plan.done:
            (member,) = plan.take(1)
            reply = StreamedReply()
            result: AIMessage | Exception
            try:
                stream = with_deadline_async(self.calls.astream(self._name(member)), limits.of_a_call())
                async with aclosing(stream) as chunks:
                    async for chunk in chunks:
                        yield reply.add(chunk)
                result = reply.message()
            except Exception as error:
                if reply.started:
                    raise
                result = error
                if limits.is_over:
                    plan.close(error, {member: reply.elapsed_s})
            plan.finish(member, result, reply.elapsed_s)
        yield closing_chunk(self.engine.merge(self.decision, plan, election))

    def _name(self, call: int) -> str:
        members = self.decision.members
        return members[call % len(members)]

    def _limits(self) -> Limits:
        """The bounds of the calls; the clock of the request runs from here, less the time of the decision.

        Raises:
            DeadlineError: If the decision took all of the time.
        """
        settings = self.engine.settings
        if settings.request_deadline_s is None:
            return Limits(
                settings.deadline_s, self.max_concurrency, patience_after_s=settings.patience_after_s
            )
        start = time.perf_counter() - self.decided_in_s
        timer = RequestTimer(deadline_s=settings.request_deadline_s, started_at=start)
        if timer.left_s == 0.0:
            raise timer.error()
        return Limits(settings.deadline_s, self.max_concurrency, timer, settings.patience_after_s)


def open_requests(
    engine: Engine,
    prompts: Sequence[LanguageModelInput],
    run_managers: Sequence[RunManager],
    configs: Sequence[RunnableConfig],
    kwargs: dict[str, Any],
) -> list[Request]:
    """Decides prompts and opens their requests; member runs are children of the prompts' runs."""
    start, engine = time.perf_counter(), engine.for_call(kwargs)
    decisions = engine.decide(prompts, configs)
    opened = _Opened(engine=engine, kwargs=kwargs, decided_in_s=time.perf_counter() - start)
    return list(map(opened.request, decisions, prompts, run_managers, configs))


async def open_requests_async(
    engine: Engine,
    prompts: Sequence[LanguageModelInput],
    run_managers: Sequence[RunManager],
    configs: Sequence[RunnableConfig],
    kwargs: dict[str, Any],
) -> list[Request]:
    """The requests of `open_requests`, decided without blocking the event loop for long."""
    start, engine = time.perf_counter(), engine.for_call(kwargs)
    decisions = await engine.decide_async(prompts, configs)
    opened = _Opened(engine=engine, kwargs=kwargs, decided_in_s=time.perf_counter() - start)
    return list(map(opened.request, decisions, prompts, run_managers, configs))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Opened:
    """What the requests of one call have in common."""

    engine: Engine
    kwargs: dict[str, Any]
    decided_in_s: float

    def request(
        self, decision: Decision, prompt: LanguageModelInput, manager: RunManager, config: RunnableConfig
    ) -> Request:
        alone = len(decision.selected) == 1
        scope = child_scope(without_shared_limit(config), manager, alone=alone)
        return Request(
            engine=self.engine,
            decision=decision,
            calls=MemberCalls(self.engine.settings.models, prompt, self.kwargs, scope),
            max_concurrency=config.get("max_concurrency"),
            shared_limit=shared_limit_of(config),
            decided_in_s=self.decided_in_s,
        )


def answer_all(requests: Sequence[Request]) -> list[AIMessage | Exception]:
    """The winning message or error per prompt; `max_concurrency` bounds the calls of all together."""
    if not requests:
        return []
    limit = None
    if requests[0].max_concurrency:
        limit = ConcurrencyLimit(requests[0].max_concurrency)

    def answer(request: Request) -> AIMessage | Exception:
        try:
            return replace(request, shared_limit=limit).answer()
        except Exception as error:  # noqa: BLE001 - returned to the caller, which asked for it or raises it
            return error

    with ThreadPoolExecutor(min(len(requests), _BATCH_THREADS)) as threads:
        futures = [threads.submit(copy_context().run, answer, request) for request in requests]
        return [future.result() for future in futures]


async def answer_all_async(requests: Sequence[Request]) -> list[AIMessage | Exception]:
    """The winning message or error per prompt, in tasks; see `answer_all`."""
    limit = None
    if requests and requests[0].max_concurrency:
        limit = asyncio.Semaphore(requests[0].max_concurrency)
    answers = [replace(request, shared_limit=limit).answer_async() for request in requests]
    results: list[AIMessage | Exception] = []
    for result in await asyncio.gather(*answers, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result
        results.append(result)
    return results
