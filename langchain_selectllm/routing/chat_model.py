"""The chat model over a router: one run with summed usage, for code that requires a `BaseChatModel`."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, closing
from functools import partial
from importlib import import_module
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, Generation
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.runnables.utils import coro_with_context
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import model_validator
from typing_extensions import override

from langchain_selectllm.fanout.concurrency import BoundedBatches, context_with, shared_limit_of
from langchain_selectllm.fanout.daemon_threads import in_daemon
from langchain_selectllm.fanout.member_calls import (
    MemberCalls,
    isolated_scope,
    iterate_in_context,
    iterate_in_context_async,
)
from langchain_selectllm.members.profiles import callable_name, member_params, pool_profile
from langchain_selectllm.members.tool_binding import raw_models
from langchain_selectllm.routing.own_message import as_cached, own_chunk, own_message
from langchain_selectllm.routing.request import Request
from langchain_selectllm.routing.runnable import EngineRunnable, StructuredOutput
from langchain_selectllm.routing.settings_checks import STANDARD_PARAMETERS, check_names
from langchain_selectllm.routing.sticky import thread_of
from langchain_selectllm.routing.structured_vote import StructuredVote
from langchain_selectllm.routing.token_counter import TokenCounter


class ChatSelectLLM(StructuredOutput, BoundedBatches, TokenCounter):
    """A chat model whose every call is answered by a router's members and their vote.

    One run, one message, usage summed over the members. Callbacks, tracers and configs of the caller do not
    reach the members; where their runs should be children, use the router itself, which is a Runnable.
    """

    router: EngineRunnable
    """Decides, calls and votes."""
    model: str = "selectllm"
    """Name in traces. A call with `model=NAME` calls the member of that name alone."""
    stop: list[str] | None = None
    """Stop sequences of every call that passes none."""
    costs_in_usage: bool = False
    """Whether `usage_metadata` has the costs that LangSmith reads; a member's own stream has none.

    Off by default: `add_usage` and `UsageMetadataCallbackHandler` of langchain-core (1.8) refuse fractions.
    """

    @model_validator(mode="after")
    def _set_selectllm_version(self) -> Self:
        # By name: the root module lists names of every layer.
        self._add_version("langchain-selectllm", import_module("langchain_selectllm").__version__)
        return self

    def __init__(self, **kwargs: Any) -> None:
        """Check the names of the fields, with a `TypeError` for unknown ones."""
        check_names(type(self).__name__, kwargs.keys() - STANDARD_PARAMETERS, type(self).model_fields)
        super().__init__(**kwargs)

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """This model with tools, bound on every member that can call tools; the others leave the selection.

        Raises:
            ToolSupportError: If no member can call tools.
        """
        traced: dict[str, Any] = {}
        if "ls_structured_output_format" in kwargs:
            traced["ls_structured_output_format"] = kwargs.pop("ls_structured_output_format")
        bound: dict[str, Any] = {"tools": [_plain_tool(tool) for tool in tools]}
        if tool_choice is not None:
            bound["tool_choice"] = tool_choice
        if kwargs:
            bound["tool_settings"] = kwargs
        self._with_tools(dict(bound))
        return self.bind(**bound, **traced)

    @override
    def with_structure(self, structure: StructuredVote) -> Self:
        """This model, whose members' objects are voted on; see the router's `with_structured_output`."""
        return self.model_copy(update={"router": self.router.with_structure(structure)})

    @override
    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """The winning member's message; see the router's method."""
        return context_with(config).run(super().invoke, input, config, **kwargs)

    @override
    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """The winning member's message; see the router's method."""
        return await coro_with_context(
            super().ainvoke(input, config, **kwargs), context_with(config), create_task=True
        )

    @override
    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """The winning member's message in chunks; see the router's method."""
        with closing(
            iterate_in_context(context_with(config), super().stream(input, config, **kwargs))
        ) as chunks:
            yield from chunks

    @override
    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        """The winning member's message in chunks; see the router's method."""
        async with aclosing(
            iterate_in_context_async(context_with(config), super().astream(input, config, **kwargs))
        ) as chunks:
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
        return self._result(self._request(messages, stop, kwargs).answer(), kwargs)

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = await self._request_async(messages, stop, kwargs)
        return self._result(await request.answer_async(), kwargs)

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._request(messages, stop, kwargs).chunks():
            yield ChatGenerationChunk(message=self._own_chunk(chunk, kwargs))

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = await self._request_async(messages, stop, kwargs)
        async with aclosing(request.chunks_async()) as chunks:
            async for chunk in chunks:
                yield ChatGenerationChunk(message=self._own_chunk(chunk, kwargs))

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Request:
        kwargs = dict(kwargs)
        member = kwargs.pop("model", None)
        # Requests streaming, which every call decides for itself.
        kwargs.pop("stream", None)
        engine = self._with_tools(kwargs).engine.for_call(kwargs)
        config = ensure_config()
        start = time.perf_counter()
        (decision,) = engine.decide([messages], [config])
        decided_in_s = time.perf_counter() - start
        if member is not None:
            decision = decision.only(member)
        if stop is None:
            stop = self.stop
        if stop is not None:
            kwargs["stop"] = stop
        return Request(
            engine=engine,
            decision=decision,
            calls=MemberCalls(engine.settings.models, messages, kwargs, isolated_scope),
            max_concurrency=config.get("max_concurrency"),
            shared_limit=shared_limit_of(config),
            decided_in_s=decided_in_s,
        )

    async def _request_async(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Request:
        """The request; a decision that runs a model is made in a daemon thread."""
        if self.router.engine.settings.decides_slowly:
            return await in_daemon(partial(self._request, messages, stop, kwargs))
        return self._request(messages, stop, kwargs)

    def _with_tools(self, kwargs: dict[str, Any]) -> EngineRunnable:
        """The router with the tools and tool settings of a call, which are taken out of `kwargs`."""
        tools = kwargs.pop("tools", None)
        tool_choice = kwargs.pop("tool_choice", None)
        settings = kwargs.pop("tool_settings", None)
        if not tools and not settings:
            return self.router
        return self.router.with_tools(tools or [], tool_choice=tool_choice, **(settings or {}))

    @property
    def _thread(self) -> str | None:
        """The thread of the present call, whose members reply; None where threads keep no members."""
        if self.router.engine.settings.sticky is None:
            return None
        return thread_of(ensure_config(), ())

    @override
    def _resolve_model_profile(self) -> ModelProfile | None:
        return pool_profile(self.router.engine.settings.models)

    @property
    @override
    def _members(self) -> list[BaseChatModel]:
        models: list[BaseChatModel] = []
        for member in self.router.engine.settings.models.values():
            models += raw_models(member.model)
        return models

    @override
    def _convert_cached_generations(self, cache_val: list[Generation]) -> list[ChatGeneration]:
        """Replies from LangChain's cache, which cost nothing."""
        generations = super()._convert_cached_generations(cache_val)
        for generation in generations:
            generation.message = as_cached(generation.message)
        return generations

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "selectllm"
        params["ls_model_name"] = kwargs.get("model") or self.model
        return params

    def _result(self, message: AIMessage, kwargs: dict[str, Any]) -> ChatResult:
        own = own_message(message, kwargs.get("model") or self.model, with_costs=self.costs_in_usage)
        return ChatResult(generations=[ChatGeneration(message=own)])

    def _own_chunk(self, chunk: AIMessageChunk, kwargs: dict[str, Any]) -> AIMessageChunk:
        return own_chunk(chunk, kwargs.get("model") or self.model, with_costs=self.costs_in_usage)

    @property
    @override
    def _llm_type(self) -> str:
        return "selectllm"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        """Parameters that a cached reply depends on: two routers that could answer differently share none."""
        settings = self.router.engine.settings
        structure = rule = None
        if settings.structure is not None:
            structure = [settings.structure.by, settings.structure.tool]
        if settings.rule is not None:
            rule = [settings.rule.minimum, settings.rule.below]
        return {
            "model": self.model,
            "pool": member_params(settings.models),
            "artefact": settings.classifier.learned.digest,
            "policy": repr(settings.policy),
            "vote": repr(settings.parser.vote),
            "answer": callable_name(settings.parser.answer),
            "structure": structure,
            "calls": [settings.deadline_s, settings.min_replies, settings.early_stop, settings.max_calls],
            "request_deadline_s": settings.request_deadline_s,
            "routed": [callable_name(settings.text_of), repr(settings.sticky), self._thread],
            "confidence": rule,
        }


def _plain_tool(tool: Any) -> dict[str, Any]:
    if isinstance(tool, dict):
        return tool
    return convert_to_openai_tool(tool)
