"""How members of one prompt are called: as children of our run, or out of sight of its callbacks."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, closing, contextmanager, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    BaseCallbackHandler,
    CallbackManagerForChainRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput, SimpleChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import patch_config, set_config_context, var_child_runnable_config
from langchain_core.runnables.utils import coro_with_context
from langsmith import tracing_context

from langchain_selectllm.fanout.daemon_threads import in_daemon
from langchain_selectllm.fanout.live import AsyncChunks, Chunks, threaded
from langchain_selectllm.fanout.streaming import as_chunk, as_reply
from langchain_selectllm.members.registry import Member
from langchain_selectllm.members.tool_binding import raw_models

MEMBER_TAG = "selectllm:member:"
JUDGE_TAG = "selectllm:judge"
# LangGraph leaves runs with this tag out of `stream_mode="messages"`.
NO_STREAM = "nostream"

_T = TypeVar("_T")

Scope = Callable[[str], AbstractContextManager[tuple[Context, RunnableConfig]]]
"""From the tag of a call to its context and config."""


def nested(
    config: RunnableConfig,
    run_manager: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun,
    *,
    alone: bool,
) -> Scope:
    """Runs of members and judges are children of our run, tagged with the member's name.

    Args:
        config: Passed on to members: tags, metadata, configurable.
        run_manager: Of our run.
        alone: Whether one member is called, whose tokens are then our tokens; those of several members are kept out of
            LangGraph's stream of messages, where they would run into one another.
    """

    @contextmanager
    def scope(tag: str) -> Iterator[tuple[Context, RunnableConfig]]:
        callbacks = run_manager.get_child(tag)
        if tag == JUDGE_TAG or not alone:
            callbacks.add_tags([NO_STREAM])
        child = patch_config(config, callbacks=callbacks)
        with set_config_context(child) as context:
            yield context, child

    return scope


@contextmanager
def isolated(tag: str) -> Iterator[tuple[Context, RunnableConfig]]:
    """No callback, tracer or config of the caller reaches the member, whose tokens our own run reports in its sum."""
    del tag
    context = copy_context()
    for variable, value in list(context.items()):
        # Handlers such as get_usage_metadata_callback's are found through context variables.
        if isinstance(value, BaseCallbackHandler):
            context.run(variable.set, None)
    context.run(var_child_runnable_config.set, None)
    untraced = tracing_context(enabled=False)
    context.run(untraced.__enter__)
    try:
        yield context, RunnableConfig(callbacks=[])
    finally:
        context.run(untraced.__exit__, None, None, None)


class Calls(Protocol):
    """Whatever calls a member, given its name."""

    def invoke(self, name: str) -> AIMessage:
        """The member's reply."""
        ...

    async def ainvoke(self, name: str) -> AIMessage:
        """The member's reply."""
        ...

    def stream(self, name: str) -> Chunks:
        """The member's reply as it comes."""
        ...

    def astream(self, name: str) -> AsyncChunks:
        """The member's reply as it comes."""
        ...

    def to_judge(self, judge: Member, prompt: Sequence[BaseMessage]) -> "Calls":
        """Calls to a judge, in the same scope as the members' calls."""
        ...


@dataclass(frozen=True, eq=False)
class MemberCalls:
    """One prompt on its way to registered chat models."""

    models: Mapping[str, Member]
    prompt: LanguageModelInput
    kwargs: dict[str, Any]
    scope: Scope

    def to_judge(self, judge: Member, prompt: Sequence[BaseMessage]) -> "MemberCalls":
        """The judge's prompt on its way to it, without the arguments meant for members."""
        return judge_calls(judge, prompt, self.scope)

    def invoke(self, name: str) -> AIMessage:
        """The member's reply."""
        with self._scope(name) as (context, config):
            return as_reply(context.run(self.models[name].model.invoke, self.prompt, config, **self.kwargs))

    async def ainvoke(self, name: str) -> AIMessage:
        """The member's reply; a model without an async form, such as ChatHuggingFace, is run in a thread."""
        model = self.models[name].model
        with self._scope(name) as (context, config):
            if has_async(model):
                with suppress(NotImplementedError):
                    calling = model.ainvoke(self.prompt, config, **self.kwargs)
                    return as_reply(await coro_with_context(calling, context, create_task=True))
            # A copy: the loop may still be in the context for the end of a task that just failed.
            return as_reply(
                await in_daemon(partial(context.copy().run, model.invoke, self.prompt, config, **self.kwargs))
            )

    def stream(self, name: str) -> Chunks:
        """The member's reply as it comes."""
        with self._scope(name) as (context, config):
            chunks = context.run(self.models[name].model.stream, self.prompt, config, **self.kwargs)
            with closing(within(context, chunks)) as live:
                for chunk in live:
                    yield as_chunk(chunk)

    async def astream(self, name: str) -> AsyncChunks:
        """The member's reply as it comes; a model without an async form is run in a thread."""
        model, chunk = self.models[name].model, None
        if has_async(model, streams=True):
            with self._scope(name) as (context, config):
                try:
                    async with aclosing(
                        awithin(context, model.astream(self.prompt, config, **self.kwargs))
                    ) as live:
                        async for chunk in live:
                            yield as_chunk(chunk)
                except NotImplementedError:
                    if chunk is not None:
                        raise
                else:
                    return
        async with aclosing(threaded(self.stream(name))) as live:
            async for chunk in live:
                yield chunk

    def _scope(self, name: str) -> AbstractContextManager[tuple[Context, RunnableConfig]]:
        return self.scope(JUDGE_TAG if name == JUDGE_TAG else f"{MEMBER_TAG}{name}")


def has_async(model: Runnable[Any, Any], *, streams: bool = False) -> bool:
    """Whether a call can wait on the event loop alone.

    Otherwise LangChain would wait in one of the few threads that asyncio shares: calls that hang there hold up all others,
    and the end of the loop.

    Args:
        model: A chat model, any wrapper of one, or another Runnable.
        streams: Whether chunks are asked for.
    """
    inside = list(raw_models(model))
    if inside:
        return all(_is_async(type(raw), streams=streams) for raw in inside)
    while isinstance(model, RunnableBindingBase):
        model = model.bound
    return (
        hasattr(model, "afunc")
        if isinstance(model, RunnableLambda)
        else type(model).ainvoke is not Runnable.ainvoke
    )


def _is_async(kind: type[BaseChatModel], *, streams: bool) -> bool:
    if streams and _has_own(kind, "_astream"):
        return True
    return _has_own(kind, "_agenerate") and not (streams and _has_own(kind, "_stream"))


def _has_own(kind: type[BaseChatModel], method: str) -> bool:
    return all(
        getattr(kind, method) is not getattr(base, method) for base in (BaseChatModel, SimpleChatModel)
    )


def within(context: Context, chunks: Iterator[_T]) -> Generator[_T, None, None]:
    """What a generator yields, with every step of it run in a context."""
    try:
        while (chunk := context.run(next, chunks, None)) is not None:
            yield chunk
    finally:
        context.run(cast("Any", chunks).close)


async def awithin(context: Context, chunks: AsyncIterator[_T]) -> AsyncGenerator[_T, None]:
    """What an asynchronous generator yields, with every step of it run in a context."""
    try:
        while (chunk := await coro_with_context(anext(chunks, None), context, create_task=True)) is not None:
            yield chunk
    finally:
        await coro_with_context(cast("Any", chunks).aclose(), context, create_task=True)


def judge_calls(judge: Member, prompt: Sequence[BaseMessage], scope: Scope) -> MemberCalls:
    """The judge's prompt on its way to it; the judge is called `JUDGE_TAG`."""
    return MemberCalls({JUDGE_TAG: judge}, list(prompt), {}, scope)
