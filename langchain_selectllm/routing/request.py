"""Prompts on their way: decided, called, answered, whole or in chunks."""

import asyncio
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
from langchain_core.runnables.config import run_in_executor

from langchain_selectllm.fanout.caller import Gate, gate_of, without_gate
from langchain_selectllm.fanout.concurrency import Places
from langchain_selectllm.fanout.live import LiveReply, auntil, until
from langchain_selectllm.fanout.member_calls import JUDGE_TAG, Calls, MemberCalls, nested
from langchain_selectllm.fanout.parallel import CallPlan, Limits, arun, run
from langchain_selectllm.fanout.streaming import closing_chunk, message_chunks
from langchain_selectllm.routing.decision import Decision
from langchain_selectllm.routing.engine import Engine

_BATCH_THREADS = 16


@dataclass(frozen=True, eq=False)
class Asked:
    """One decided prompt, and the calls that answer it."""

    engine: Engine
    decision: Decision
    calls: Calls
    max_concurrency: int | None = None
    """Calls in flight at once; all of them when None."""
    gate: Gate | None = None
    """Bounds calls across several prompts, of the kind for threads or for tasks, as the prompts are answered."""

    def answer(self) -> AIMessage:
        """The winning message; members are called in threads.

        Raises:
            FanOutError: If every called member failed.
        """
        gate = cast("Places | None", self.gate)
        plan, ballot = self.engine.plan(self.decision)
        run(plan, lambda k: self.calls.invoke(self._name(k)), self._limits, gate)
        case = ballot.open_case(plan.replies)
        if case is not None:
            judge, judging = self.calls.to_judge(case.judge.member, case.prompt), _one_call()
            run(judging, lambda _: judge.invoke(JUDGE_TAG), self._limits, gate)
            case.settle(judging.outcome)
        return self.engine.merge(self.decision, plan, ballot)

    async def aanswer(self) -> AIMessage:
        """The winning message; members are called in tasks."""
        gate = cast("asyncio.Semaphore | None", self.gate)
        plan, ballot = self.engine.plan(self.decision)
        await arun(plan, lambda k: self.calls.ainvoke(self._name(k)), self._limits, gate)
        # Without a model at work in the count, a thread would cost more than it frees.
        opening = run_in_executor(None, ballot.open_case, plan.replies) if ballot.is_slow else None
        case = ballot.open_case(plan.replies) if opening is None else await opening
        if case is not None:
            judge, judging = self.calls.to_judge(case.judge.member, case.prompt), _one_call()
            await arun(judging, lambda _: judge.ainvoke(JUDGE_TAG), self._limits, gate)
            case.settle(judging.outcome)
        return self.engine.merge(self.decision, plan, ballot)

    def chunks(self) -> Iterator[AIMessageChunk]:
        """The one chosen member's chunks as they come, or the winner's message cut up; the last chunk tells the decision."""
        if not self.engine.is_final(self.decision):
            yield from message_chunks(self.answer())
            return
        plan, ballot = self.engine.plan(self.decision)
        while not plan.done:
            with (
                LiveReply(plan) as reply,
                closing(until(self.calls.stream(self._name(reply.member)), self._deadline_s)) as live,
            ):
                for chunk in live:
                    yield reply.add(chunk)
        yield closing_chunk(self.engine.merge(self.decision, plan, ballot))

    async def achunks(self) -> AsyncGenerator[AIMessageChunk, None]:
        """The same chunks as `chunks`."""
        if not self.engine.is_final(self.decision):
            for chunk in message_chunks(await self.aanswer()):
                yield chunk
            return
        plan, ballot = self.engine.plan(self.decision)
        while not plan.done:
            with LiveReply(plan) as reply:
                async with aclosing(
                    auntil(self.calls.astream(self._name(reply.member)), self._deadline_s)
                ) as live:
                    async for chunk in live:
                        yield reply.add(chunk)
        yield closing_chunk(self.engine.merge(self.decision, plan, ballot))

    def _name(self, k: int) -> str:
        return self.decision.members[k]

    @property
    def _deadline_s(self) -> float | None:
        return self.engine.deadline_s

    @property
    def _limits(self) -> Limits:
        return Limits(self.engine.deadline_s, self.max_concurrency)


def _one_call() -> CallPlan:
    return CallPlan([0], [], 1, lambda *_: False)


def ask_all(
    engine: Engine,
    prompts: Sequence[LanguageModelInput],
    run_managers: Sequence[CallbackManagerForChainRun | AsyncCallbackManagerForChainRun],
    configs: Sequence[RunnableConfig],
    kwargs: dict[str, Any],
) -> list[Asked]:
    """Prompts with their decisions and calls; member runs are children of the prompts' runs."""
    decisions = engine.decide(prompts, configs)
    return [
        Asked(
            engine,
            decision,
            MemberCalls(
                engine.models,
                prompt,
                kwargs,
                nested(without_gate(config), manager, alone=len(decision.selected) == 1),
            ),
            config.get("max_concurrency"),
            gate_of(config),
        )
        for decision, prompt, manager, config in zip(decisions, prompts, run_managers, configs, strict=True)
    ]


def answer_all(asked: Sequence[Asked]) -> list[AIMessage | Exception]:
    """The winning message of each prompt, or what went wrong; `max_concurrency` bounds the calls of all together."""
    limit = asked[0].max_concurrency if asked else None
    gate = Places(limit) if limit else None

    def one(prompt: Asked) -> AIMessage | Exception:
        try:
            return replace(prompt, gate=gate).answer()
        except Exception as error:  # noqa: BLE001 - handed to the caller, who asked for it or raises it
            return error

    with ThreadPoolExecutor(min(max(len(asked), 1), _BATCH_THREADS)) as pool:
        futures = [pool.submit(copy_context().run, one, prompt) for prompt in asked]
        return [future.result() for future in futures]


async def aanswer_all(asked: Sequence[Asked]) -> list[AIMessage | Exception]:
    """The same as `answer_all`, in tasks."""
    limit = asked[0].max_concurrency if asked else None
    gate = asyncio.Semaphore(limit) if limit else None
    results = await asyncio.gather(
        *(replace(prompt, gate=gate).aanswer() for prompt in asked), return_exceptions=True
    )
    return [_exception_or_message(result) for result in results]


def _exception_or_message(result: AIMessage | BaseException) -> AIMessage | Exception:
    if isinstance(result, BaseException) and not isinstance(result, Exception):
        raise result
    return result
