"""A LlamaIndex LLM as a LangChain chat model, so that it can be a member like any other."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from inspect import getattr_static
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from pydantic import ConfigDict
from typing_extensions import override

from langchain_selectllm.integrations.llama_index.instrumentation import tagged_by_member
from langchain_selectllm.integrations.llama_index.messages import to_llama_index, uncarried
from langchain_selectllm.integrations.llama_index.reply_details import ending_of_response, usage_of
from langchain_selectllm.integrations.llama_index.tools import SpecifiedTool, choice_of
from langchain_selectllm.members.registry import Member


class LlamaIndexChatModel(BaseChatModel):
    """LangChain chat model over a LlamaIndex LLM, with tools, streams and usage."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    llm: LLM
    """The LlamaIndex LLM."""

    @property
    def model_name(self) -> str:
        """What the LLM calls its model."""
        return str(self.llm.metadata.model_name)

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model, offered the tools.

        Raises:
            NotImplementedError: If the LLM cannot call functions.
        """
        if not self.llm.metadata.is_function_calling_model:
            raise NotImplementedError(f"{self.model_name!r} ({self.llm.class_name()}) cannot call functions.")
        return self.bind(
            tools=[convert_to_openai_tool(tool) for tool in tools], tool_choice=tool_choice, **kwargs
        )

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with tagged_by_member(run_manager):
            return self._result(self._asked("", messages, stop, kwargs))

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with tagged_by_member(run_manager):
            if self._blocks:
                return await super()._agenerate(messages, stop, None, **kwargs)
            return self._result(await self._asked("a", messages, stop, kwargs))

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        response, ending = None, dict[str, str]()
        with tagged_by_member(run_manager):
            stream = self._asked("stream_", messages, stop, kwargs)
        for response in stream:
            ending |= ending_of_response(response)
            if response.delta:
                yield _chunk(AIMessageChunk(content=response.delta))
        yield _chunk(self._last_chunk(response, ending))

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        if self._blocks:
            async for chunk in super()._astream(messages, stop, None, **kwargs):
                yield chunk
            return
        response, ending = None, dict[str, str]()
        with tagged_by_member(run_manager):
            stream = await self._asked("astream_", messages, stop, kwargs)
        async for response in stream:
            ending |= ending_of_response(response)
            if response.delta:
                yield _chunk(AIMessageChunk(content=response.delta))
        yield _chunk(self._last_chunk(response, ending))

    @property
    def _blocks(self) -> bool:
        """Whether the LLM's async form blocks the event loop like its sync form and needs a thread."""
        # A static look-up: LlamaIndex wraps its methods anew at every access.
        return getattr_static(self.llm, "achat") is getattr_static(CustomLLM, "achat")

    def _asked(
        self, form: str, messages: list[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> Any:
        """What the LLM returns, in the form "", "a", "stream_" or "astream_"."""
        history = [to_llama_index(message) for message in messages]
        settings = {**kwargs, **({"stop": stop} if stop else {})}
        tools, choice = settings.pop("tools", None), choice_of(settings.pop("tool_choice", None))
        if not tools:
            return getattr(self.llm, f"{form}chat")(messages=history, **settings)
        if choice not in (None, "any"):
            settings["tool_choice"] = choice
        return getattr(self.llm, f"{form}chat_with_tools")(
            tools=[SpecifiedTool(tool) for tool in tools],
            chat_history=history,
            allow_parallel_tool_calls=settings.pop("parallel_tool_calls", True),
            tool_required=choice == "any",
            **settings,
        )

    def _result(self, response: ChatResponse) -> ChatResult:
        message = AIMessage(
            response.message.content or "",
            tool_calls=self._tool_calls(response),
            additional_kwargs=uncarried(response.message.blocks),
            response_metadata={"model_name": self.model_name, **ending_of_response(response)},
            usage_metadata=usage_of(response),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _last_chunk(self, response: ChatResponse | None, ending: Mapping[str, str]) -> AIMessageChunk:
        """Everything that is only known, or only sure, when the stream is over."""
        return AIMessageChunk(
            content="",
            tool_calls=[] if response is None else self._tool_calls(response),
            additional_kwargs={} if response is None else uncarried(response.message.blocks),
            response_metadata={"model_name": self.model_name, **ending},
            usage_metadata=None if response is None else usage_of(response),
            chunk_position="last",
        )

    def _tool_calls(self, response: ChatResponse) -> list[Any]:
        if not isinstance(self.llm, FunctionCallingLLM) or not self.llm.metadata.is_function_calling_model:
            return []
        calls = self.llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
        return [{"name": call.tool_name, "args": call.tool_kwargs, "id": call.tool_id} for call in calls]

    @property
    def _llm_type(self) -> str:
        return "llama-index"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        # Settings tell two LLMs apart in a cache; their digest gives no key away.
        settings = hashlib.sha256(repr(self.llm).encode()).hexdigest()
        return {"llm": self.llm.class_name(), "model": self.model_name, "settings": settings}


def adapted(model: Any) -> Any:
    """The model as a chat model: wraps a LlamaIndex LLM, alone or in a `Member`; returns others unchanged."""
    if isinstance(model, Member):
        return replace(model, model=adapted(model.model))
    if isinstance(model, LLM):
        return LlamaIndexChatModel(llm=model)
    return model


def smallest(values: Sequence[int | None], default: int) -> int:
    """The smallest known value; LlamaIndex LLMs write -1 for unknown."""
    return min((value for value in values if value is not None and value > 0), default=default)


def _chunk(message: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=message)
