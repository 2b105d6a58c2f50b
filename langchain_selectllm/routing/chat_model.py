"""The chat model: one run with summed usage, for places that ask for a `BaseChatModel`."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, closing
from functools import partial
from typing import Any, TypeVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.runnables.utils import coro_with_context
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.utils import LC_ID_PREFIX
from typing_extensions import override

from langchain_selectllm.fanout.batches import BoundedBatches
from langchain_selectllm.fanout.caller import called_with, gate_of
from langchain_selectllm.fanout.daemon_threads import in_daemon
from langchain_selectllm.fanout.member_calls import MemberCalls, awithin, isolated, within
from langchain_selectllm.members.profiles import callable_name, member_params, pool_profile
from langchain_selectllm.routing.request import Asked
from langchain_selectllm.routing.router import SelectLLMRouter
from langchain_selectllm.routing.schemas import Schema
from langchain_selectllm.routing.sticky import thread_of
from langchain_selectllm.routing.structured_output import StructuredVote, VoteBy, parsed

_Message = TypeVar("_Message", AIMessage, AIMessageChunk)


class ChatSelectLLM(BoundedBatches, BaseChatModel):
    """A chat model whose every call is a router's: chosen members are asked, their vote is returned.

    One run, one message, usage summed over the members. Callbacks, tracers and configs of the caller do not reach the
    members; where their runs should be seen as children, use the router itself, which is a Runnable.
    """

    router: SelectLLMRouter
    """Decides, calls and votes."""
    model: str = "selectllm"
    """Name in traces. A call with `model=NAME` asks the member of that name alone."""
    stop: list[str] | None = None
    """Stop sequences of every call that names none."""

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """This model with tools, bound on every member that can call tools; the others leave the selection, by name.

        Raises:
            ToolSupportError: If no member can call tools.
        """
        traced = {name: kwargs.pop(name) for name in ("ls_structured_output_format",) if name in kwargs}
        bound: dict[str, Any] = {
            "tools": [tool if isinstance(tool, dict) else convert_to_openai_tool(tool) for tool in tools]
        }
        if tool_choice is not None:
            bound["tool_choice"] = tool_choice
        if kwargs:
            bound["tool_settings"] = kwargs
        self._with_tools(dict(bound))
        return self.bind(**bound, **traced)

    @override
    def with_structured_output(
        self, schema: Schema, *, include_raw: bool = False, vote: VoteBy = "fields", **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """A runnable that returns the object that members fill `schema` with, voted on; see the router's method."""
        structure = StructuredVote(schema, vote)
        router = self.router.model_copy(update={"structure": structure})
        return parsed(
            self.model_copy(update={"router": router}), structure, include_raw=include_raw, ignored=kwargs
        )

    @override
    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """The winning member's message; see the router's method."""
        return called_with(config).run(super().invoke, input, config, **kwargs)

    @override
    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """The winning member's message; see the router's method."""
        return await coro_with_context(
            super().ainvoke(input, config, **kwargs), called_with(config), create_task=True
        )

    @override
    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """The winning member's message in chunks; see the router's method."""
        with closing(within(called_with(config), super().stream(input, config, **kwargs))) as chunks:
            yield from chunks

    @override
    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        """The winning member's message in chunks; see the router's method."""
        async with aclosing(awithin(called_with(config), super().astream(input, config, **kwargs))) as chunks:
            async for chunk in chunks:
                yield chunk

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _result(self._ask(messages, stop, kwargs).answer())

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = await in_daemon(partial(self._ask, messages, stop, kwargs))
        return _result(await asked.aanswer())

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._ask(messages, stop, kwargs).chunks():
            yield ChatGenerationChunk(message=_ours(chunk))

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        asked = await in_daemon(partial(self._ask, messages, stop, kwargs))
        async with aclosing(asked.achunks()) as chunks:
            async for chunk in chunks:
                yield ChatGenerationChunk(message=_ours(chunk))

    def _ask(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> Asked:
        kwargs = {**kwargs}
        chosen = kwargs.pop("model", None)
        # Asks for streaming, which every call of ours decides for itself.
        kwargs.pop("stream", None)
        engine = self._with_tools(kwargs).engine
        config = ensure_config()
        (decision,) = engine.decide([messages], [config])
        if stop is not None or self.stop is not None:
            kwargs["stop"] = stop if stop is not None else self.stop
        return Asked(
            engine,
            decision if chosen is None else decision.only(chosen),
            MemberCalls(engine.models, messages, kwargs, isolated),
            config.get("max_concurrency"),
            gate_of(config),
        )

    def _with_tools(self, kwargs: dict[str, Any]) -> SelectLLMRouter:
        """The router with the tools of a call and the settings beside them, which are taken out of `kwargs`."""
        tools, choice, settings = (
            kwargs.pop(name, None) for name in ("tools", "tool_choice", "tool_settings")
        )
        bound = tools or settings
        return (
            self.router.with_tools(tools or [], tool_choice=choice, **(settings or {}))
            if bound
            else self.router
        )

    @property
    def _thread(self) -> str | None:
        """The thread of the call under way, whose members reply; None where threads keep none."""
        return None if self.router.sticky is None else thread_of(ensure_config(), ())

    @override
    def _resolve_model_profile(self) -> ModelProfile | None:
        return pool_profile(self.router.models)

    @property
    @override
    def _llm_type(self) -> str:
        return "selectllm"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        """What a cached reply depends on: two routers that could answer differently never share one."""
        router = self.router
        return {
            "model": self.model,
            "pool": member_params(router.engine.models),
            "artefact": router.classifier.learned.digest,
            "policy": repr(router.policy),
            "vote": repr(router.parser.vote),
            "answer": callable_name(router.parser.answer),
            "structure": None if router.structure is None else [router.structure.by, router.structure.tool],
            "calls": [router.deadline_s, router.min_replies, router.early_stop, router.max_calls],
            "routed": [callable_name(router.text_of), repr(router.sticky), self._thread],
            "confidence": [router.min_confidence, router.below_confidence],
        }


def _result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=_ours(message))])


def _ours(message: _Message) -> _Message:
    """The message without the id of a member's run, which nobody sees."""
    hidden = message.id is not None and message.id.startswith(LC_ID_PREFIX)
    return message.model_copy(update={"id": None}) if hidden else message
