"""Calls of one prompt's members: as children of the router's run, or isolated from the caller's callbacks."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, Protocol, TypeVar, cast

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    BaseCallbackHandler,
    CallbackManagerForChainRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput, SimpleChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import _set_config_context, var_child_runnable_config
from langchain_core.runnables.utils import coro_with_context

from langchain_selectllm.fanout.daemon_threads import in_daemon
from langchain_selectllm.fanout.streaming import (
    AsyncChunks,
    Chunks,
    as_chunk,
    as_reply,
    iterate_in_thread,
)
from langchain_selectllm.members.registry import Member
from langchain_selectllm.members.tool_binding import raw_models
from langchain_selectllm.prompts import prompt_messages

MEMBER_TAG = "selectllm:member:"
JUDGE_TAG = "selectllm:judge"
# LangGraph leaves runs with this tag out of `stream_mode="messages"`.
NO_STREAM = "nostream"

_T = TypeVar("_T")

Scope = Callable[[str], RunnableConfig]
"""From the tag of a call to its config; sets variables of the present context, which ends with the call."""


def child_scope(
    config: RunnableConfig,
    run_manager: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun,
    *,
    alone: bool,
) -> Scope:
    """Scope in which runs of members and judges are children of the router's run, tagged by name.

    Args:
        config: As LangChain hands it to the router's run; passed on to members: tags, metadata, configurable.
        run_manager: Of the router's run.
        alone: Whether one member is called, whose tokens are then the router's tokens; those of several
            members are kept out of LangGraph's stream of messages, where they would run into one another.
    """
    children = run_manager.get_child()

    def scope(tag: str) -> RunnableConfig:
        # The manager of `get_child(tag)`, in half the time.
        callbacks = children.copy()
        callbacks.add_tags([tag], inherit=False)
        if tag == JUDGE_TAG or not alone:
            callbacks.add_tags([NO_STREAM])
        child: RunnableConfig = {**config, "callbacks": callbacks}
        _set_config_context(child)
        return child

    return scope


def isolated_scope(tag: str) -> RunnableConfig:
    """Scope that no callback, tracer or config of the caller reaches; its run reports summed usage."""
    # Loaded at the first call in any case; LangChain defers it too, as it takes long.
    from langsmith import tracing_context

    del tag
    with tracing_context(enabled=False):
        untraced = copy_context()
    for variable, value in untraced.items():
        # Handlers such as get_usage_metadata_callback's are found through context variables.
        if isinstance(value, BaseCallbackHandler):
            variable.set(None)
        elif variable.get(None) is not value:
            variable.set(value)
    var_child_runnable_config.set(None)
    return RunnableConfig(callbacks=[])


def inherited_scope(tag: str) -> RunnableConfig:
    """Scope of a call outside any run: the config is the one found in the context."""
    del tag
    return RunnableConfig()


class Calls(Protocol):
    """Calls of members by name."""

    def invoke(self, name: str) -> AIMessage:
        """The member's reply."""
        ...

    async def ainvoke(self, name: str) -> AIMessage:
        """The member's reply; runs in a task of its own."""
        ...

    def stream(self, name: str) -> Chunks:
        """The member's reply in chunks."""
        ...

    def astream(self, name: str) -> AsyncChunks:
        """The member's reply in chunks."""
        ...

    def to_judge(self, judge: Member, prompt: Sequence[BaseMessage]) -> "Calls":
        """Calls of a judge, named `JUDGE_TAG`, in the same scope as the members' calls."""
        ...


@dataclass(frozen=True, eq=False)
class MemberCalls:
    """Calls of registered chat models with one prompt."""

    models: Mapping[str, Member]
    prompt: LanguageModelInput
    kwargs: dict[str, Any]
    scope: Scope

    def to_judge(self, judge: Member, prompt: Sequence[BaseMessage]) -> "MemberCalls":
        """Calls of the judge with its own prompt, without the arguments meant for members."""
        return judge_calls(judge, prompt, self.scope)

    def invoke(self, name: str) -> AIMessage:
        """The member's reply."""
        return copy_context().run(self._invoke, name)

    async def ainvoke(self, name: str) -> AIMessage:
        """The member's reply; a model without an async form, such as ChatHuggingFace, is run in a thread.

        Must run in a task of its own, whose context gets the variables of the scope.
        """
        model = self.models[name].model
        if has_async(model):
            prompt, config = self._input(model, self._enter(name))
            try:
                return as_reply(await model.ainvoke(prompt, config, **self.kwargs))
            except NotImplementedError:
                # Not by `suppress`, which keeps two more objects alive per waiting call.
                pass
        return await in_daemon(partial(copy_context().run, self._invoke, name))

    def stream(self, name: str) -> Chunks:
        """The member's reply in chunks."""
        context, model = copy_context(), self.models[name].model
        prompt, config = self._input(model, context.run(self._enter, name))
        chunks = context.run(model.stream, prompt, config, **self.kwargs)
        with closing(iterate_in_context(context, chunks)) as live:
            for chunk in live:
                yield as_chunk(chunk)

    async def astream(self, name: str) -> AsyncChunks:
        """The member's reply in chunks; a model without an async form is run in a thread."""
        model, chunk = self.models[name].model, None
        if has_async(model, streams=True):
            context = copy_context()
            prompt, config = self._input(model, context.run(self._enter, name))
            chunks = model.astream(prompt, config, **self.kwargs)
            try:
                async with aclosing(iterate_in_context_async(context, chunks)) as live:
                    async for chunk in live:
                        yield as_chunk(chunk)
            except NotImplementedError:
                if chunk is not None:
                    raise
            else:
                return
        async with aclosing(iterate_in_thread(self.stream(name))) as in_thread:
            async for made in in_thread:
                yield made

    def _invoke(self, name: str) -> AIMessage:
        """The member's reply, in a context of the call's own."""
        model = self.models[name].model
        prompt, config = self._input(model, self._enter(name))
        return as_reply(model.invoke(prompt, config, **self.kwargs))

    def _enter(self, name: str) -> RunnableConfig:
        """The config of a call, whose scope begins in the present context."""
        if name == JUDGE_TAG:
            return self.scope(JUDGE_TAG)
        return self.scope(f"{MEMBER_TAG}{name}")

    def _input(
        self, model: Runnable[Any, Any], config: RunnableConfig
    ) -> tuple[LanguageModelInput, RunnableConfig | None]:
        """The prompt and the config that a model is called with.

        A chat model takes the config from the context; one that is passed as well would be copied a second
        time. Any other Runnable gets the prompt as it came.
        """
        if isinstance(model, BaseChatModel):
            return self._messages, None
        return self.prompt, config

    @cached_property
    def _messages(self) -> ChatPromptValue:
        """The prompt as every chat model would convert it, converted once for all of them."""
        return ChatPromptValue(messages=prompt_messages(self.prompt))


def judge_calls(judge: Member, prompt: Sequence[BaseMessage], scope: Scope) -> MemberCalls:
    """Calls of a judge, which is registered under the name `JUDGE_TAG`."""
    return MemberCalls({JUDGE_TAG: judge}, list(prompt), {}, scope)


def has_async(model: Runnable[Any, Any], *, streams: bool = False) -> bool:
    """Whether a call can wait on the event loop alone.

    Otherwise LangChain would wait in one of the few threads that asyncio shares: calls that hang there block
    all others, and the end of the loop.

    Args:
        model: A chat model, any wrapper of one, or another Runnable.
        streams: Whether the call streams.
    """
    if isinstance(model, BaseChatModel):
        return _is_async(type(model), streams)
    inside = list(raw_models(model))
    if inside:
        return all(_is_async(type(raw), streams) for raw in inside)
    while isinstance(model, RunnableBindingBase):
        model = model.bound
    if isinstance(model, RunnableLambda):
        return hasattr(model, "afunc")
    return type(model).ainvoke is not Runnable.ainvoke


@lru_cache(maxsize=1024)
def _is_async(kind: type[BaseChatModel], streams: bool) -> bool:
    if streams and _has_own(kind, "_astream"):
        return True
    return _has_own(kind, "_agenerate") and not (streams and _has_own(kind, "_stream"))


def _has_own(kind: type[BaseChatModel], method: str) -> bool:
    own = getattr(kind, method)
    return own is not getattr(BaseChatModel, method) and own is not getattr(SimpleChatModel, method)


def iterate_in_context(context: Context, chunks: Iterator[_T]) -> Generator[_T, None, None]:
    """Items of a generator, with every step of it run in a context."""
    try:
        while (chunk := context.run(next, chunks, None)) is not None:
            yield chunk
    finally:
        context.run(cast("Any", chunks).close)


async def iterate_in_context_async(context: Context, chunks: AsyncIterator[_T]) -> AsyncGenerator[_T, None]:
    """Items of an asynchronous generator, with every step of it run in a context."""
    try:
        while (chunk := await coro_with_context(anext(chunks, None), context, create_task=True)) is not None:
            yield chunk
    finally:
        await coro_with_context(cast("Any", chunks).aclose(), context, create_task=True)
