"""Middleware for LangChain agents: every model call is answered by a few members, which vote."""

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.runnables.config import (
    _set_config_context,
    ensure_config,
    merge_configs,
    set_config_context,
)
from langchain_core.runnables.utils import coro_with_context
from typing_extensions import override

from langchain_selectllm._optional import require
from langchain_selectllm.exceptions import ToolSupportError
from langchain_selectllm.fanout.daemon_threads import in_daemon
from langchain_selectllm.fanout.member_calls import MEMBER_TAG, NO_STREAM, MemberCalls, has_async, judge_calls
from langchain_selectllm.fanout.streaming import AsyncChunks, Chunks
from langchain_selectllm.members.profiles import pool_profile
from langchain_selectllm.members.registry import Member
from langchain_selectllm.members.tool_binding import Tools, bind_model, without_tools
from langchain_selectllm.routing.configurable import ConfigurableRouter
from langchain_selectllm.routing.engine import Engine
from langchain_selectllm.routing.request import Request
from langchain_selectllm.routing.router import SelectLLMRouter

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
    from langchain.agents.structured_output import (
        AutoStrategy,
        ProviderStrategy,
        ProviderStrategyBinding,
        StructuredOutputError,
        ToolStrategy,
    )
except ModuleNotFoundError:
    require("langchain", extra="langchain", needed_by="SelectLLMMiddleware")
    raise

_Handler = TypeVar("_Handler", bound=Callable[[ModelRequest[Any]], Any])


class SelectLLMMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Fans every model call of an agent out to selected members, and returns the response that wins.

    Member runs are children of the agent's model node, tagged with the member's name. Every member gets the
    same tools and response format; members that cannot call tools leave the selection, by name. Put it last
    in the list of middleware, so that changes by the others reach every member and their retries repeat the
    vote.
    """

    def __init__(self, router: SelectLLMRouter | ConfigurableRouter) -> None:
        """Keep the router, whose members replace the agent's model.

        Args:
            router: A configurable router takes its fields from the config of the agent's run.
        """
        super().__init__()
        self.router = router

    @cached_property
    def _left_out(self) -> dict[str, str]:
        return without_tools(self.router.models)

    @override
    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """The winning member's response.

        Raises:
            FanOutError: If every called member failed.
        """
        routed, calls = self._routed_request(request, handler)
        return calls.response(routed.answer())

    @override
    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """The winning member's response.

        Raises:
            FanOutError: If every called member failed.
        """
        opening = partial(copy_context().run, self._routed_request, request, handler)
        routed, calls = await in_daemon(opening)
        return calls.response(await routed.answer_async())

    def _routed_request(
        self, request: ModelRequest[Any], handler: _Handler
    ) -> tuple[Request, "_HandlerCalls[_Handler]"]:
        config = ensure_config()
        engine = self.router.prepared(config).engine
        request = _with_native_json(request, engine)
        if isinstance(request.response_format, ProviderStrategy):
            engine = engine.for_call({**request.response_format.to_model_kwargs(), **request.model_settings})
        if request.tools or not isinstance(request.response_format, ProviderStrategy | None):
            engine = Engine(replace(engine.settings, left_out=self._left_out))
        start = time.perf_counter()
        (decision,) = engine.decide([list[BaseMessage](request.messages)], [config])
        calls = _HandlerCalls(engine, request, handler, alone=len(decision.selected) == 1)
        routed = Request(
            engine=engine,
            decision=decision,
            calls=calls,
            max_concurrency=config.get("max_concurrency"),
            decided_in_s=time.perf_counter() - start,
        )
        return routed, calls


@dataclass(eq=False)
class _HandlerCalls(Generic[_Handler]):
    """The agent's handler of model calls, with a member in the model's place."""

    engine: Engine
    request: ModelRequest[Any]
    handler: _Handler
    alone: bool
    responses: dict[str, list[ModelResponse[Any]]] = field(default_factory=dict)
    """Responses of each member, one per call."""
    invalid: dict[str, StructuredOutputError] = field(default_factory=dict)
    """Errors of the agent's own parser by member: replies whose objects are not valid."""

    def invoke(self, name: str) -> AIMessage:
        with self._scope(name) as (context, request):
            try:
                response = context.run(self.handler, request)
            except StructuredOutputError as error:
                return self._note_invalid(name, error)
            return self._note(name, response)

    async def ainvoke(self, name: str) -> AIMessage:
        with self._scope(name) as (context, request):
            try:
                response = await coro_with_context(self.handler(request), context, create_task=True)
            except StructuredOutputError as error:
                return self._note_invalid(name, error)
            return self._note(name, response)

    def stream(self, name: str) -> Chunks:
        raise NotImplementedError

    def astream(self, name: str) -> AsyncChunks:
        raise NotImplementedError

    def to_judge(self, judge: Member, prompt: Sequence[BaseMessage]) -> MemberCalls:
        return judge_calls(judge, prompt, _beside_members)

    def response(self, message: AIMessage) -> ModelResponse[Any]:
        """The winner's response with the merged message in place of its own.

        Raises:
            StructuredOutputError: If no member's object is valid; the agent's own, of the winner's reply.
        """
        metadata = message.response_metadata["selectllm"]
        winner = metadata["winner"]
        if winner in self.invalid and metadata["answer"] is None and not metadata["abstained"]:
            raise self.invalid[winner]
        won = self._won(message)
        result = list(won.result)
        for i, one in enumerate(result):
            if isinstance(one, AIMessage):
                result[i] = message
        return replace(won, result=result, structured_response=self._structured_response(won, message))

    def _won(self, message: AIMessage) -> ModelResponse[Any]:
        """The response that the merged message was made from."""
        responses = self.responses[message.response_metadata["selectllm"]["winner"]]
        for response in responses:
            if _message_of(response).id == message.id:
                return response
        return responses[0]

    def _structured_response(self, won: ModelResponse[Any], message: AIMessage) -> Any:
        """The object of a message in JSON text, which may combine several members'; else the winner's own."""
        strategy = self.request.response_format
        metadata = message.response_metadata["selectllm"]
        if metadata["abstained"]:
            return None
        if not isinstance(strategy, ProviderStrategy) or message.tool_calls or metadata["answer"] is None:
            return won.structured_response
        return ProviderStrategyBinding.from_schema_spec(strategy.schema_spec).parse(message)

    @contextmanager
    def _scope(self, name: str) -> Iterator[tuple[Context, ModelRequest[Any]]]:
        tags = [f"{MEMBER_TAG}{name}"]
        if not self.alone:
            tags.append(NO_STREAM)
        with set_config_context(merge_configs(ensure_config(), {"tags": tags})) as context:
            model = _MemberModel(bound=self.engine.settings.models[name].model)
            # Agents use bind_tools and bind of a model, and nothing else.
            yield context, self.request.override(model=model)  # type: ignore[arg-type]

    def _note(self, name: str, response: ModelResponse[Any]) -> AIMessage:
        self.responses.setdefault(name, []).append(response)
        return _message_of(response)

    def _note_invalid(self, name: str, error: StructuredOutputError) -> AIMessage:
        """The reply that the agent's parser refused, which abstains unless the vote reads its object."""
        self.invalid[name] = error
        message = error.ai_message
        if message.tool_calls:
            message = message.model_copy(
                update={
                    "tool_calls": [],
                    "invalid_tool_calls": [_invalid(call, error) for call in message.tool_calls],
                }
            )
        self.responses.setdefault(name, []).append(ModelResponse(result=[message]))
        return message


def _message_of(response: ModelResponse[Any]) -> AIMessage:
    """The model's message among those of a response."""
    return next(message for message in response.result if isinstance(message, AIMessage))


def _with_native_json(request: ModelRequest[Any], engine: Engine) -> ModelRequest[Any]:
    """The request with native JSON where LangChain may choose and every member has it; else as it is.

    LangChain chooses so for a chat model by its profile, but members come to it in a wrapper, without one.
    Beside tools the choice is left to LangChain, since some models have no native JSON there.
    """
    # Another middleware may have set a bare schema.
    chosen: Any = request.response_format
    profile = pool_profile(engine.settings.models) or {}
    if chosen is None or request.tools or not profile.get("structured_output"):
        return request
    if isinstance(chosen, ToolStrategy | ProviderStrategy):
        return request
    if isinstance(chosen, AutoStrategy):
        chosen = chosen.schema
    return request.override(response_format=ProviderStrategy(chosen))


def _invalid(call: ToolCall, error: StructuredOutputError) -> InvalidToolCall:
    return invalid_tool_call(
        name=call["name"], args=json.dumps(call["args"]), id=call["id"], error=str(error)
    )


def _beside_members(tag: str) -> RunnableConfig:
    """Scope of a run under the agent's model node that is not the agent's own."""
    config = merge_configs(ensure_config(), {"tags": [tag, NO_STREAM]})
    _set_config_context(config)
    return config


class _MemberModel(RunnableBinding[LanguageModelInput, AIMessage]):
    """A member as agents use models; wrappers of its chat model stay around it when tools are bound.

    A member without an async form is run in a thread.
    """

    def bind_tools(self, tools: Tools, **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        given = {name: value for name, value in kwargs.items() if value is not None}
        bound = bind_model(self.bound, tools, **given)
        if bound is None:
            raise ToolSupportError("The member cannot call tools.")
        return _MemberModel(bound=bound)

    @override
    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        if has_async(self.bound):
            with suppress(NotImplementedError):
                return await super().ainvoke(input, config, **kwargs)
        return await in_daemon(partial(copy_context().run, self.invoke, input, config, **kwargs))
