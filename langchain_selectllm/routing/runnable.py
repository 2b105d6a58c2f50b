"""The Runnable over an engine: invoked, batched and streamed, in threads or on an event loop."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.utils import ConfigurableFieldSpec
from typing_extensions import override

from langchain_selectllm.fanout.concurrency import BoundedBatches
from langchain_selectllm.members.tool_binding import Tools
from langchain_selectllm.routing.schemas import Schema
from langchain_selectllm.routing.structured_vote import StructuredVote, VoteBy

if TYPE_CHECKING:
    from langchain_selectllm.routing.engine import Engine
    from langchain_selectllm.routing.request import Request, RunManager


class StructuredOutput(Runnable[LanguageModelInput, AIMessage]):
    """A Runnable with `with_structured_output`, for the router, its configurable form and the chat model."""

    @abstractmethod
    def bind_tools(
        self, tools: Tools, *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The same model with tools."""

    @abstractmethod
    def with_structure(self, structure: StructuredVote) -> Self:
        """The same model, whose members' objects are voted on."""

    def with_structured_output(
        self, schema: Schema, *, include_raw: bool = False, vote: VoteBy = "fields", **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """A Runnable that returns the object that members fill `schema` with, voted on.

        Args:
            schema: A pydantic class, a TypedDict, or a JSON schema with a title. Objects that are not valid
                abstain.
            include_raw: Whether to return a dict of the message ("raw"), the object ("parsed") and
                "parsing_error".
            vote: "fields" for a vote on every field, "whole" for a vote of equal objects.
            kwargs: `method` and `strict` are accepted and ignored: each member fills the schema through a
                tool or, where it has native JSON and no tools, in JSON text.

        Raises:
            ToolSupportError: If no member can call tools, and none has native JSON.
            ValueError: If there are other arguments.
        """
        from langchain_selectllm.routing.structured_output import check_ignored, parse_object, tracing_format

        structure = StructuredVote(schema, vote)
        check_ignored(kwargs)
        bound = self.with_structure(structure).bind_tools(
            [schema], tool_choice="any", ls_structured_output_format=tracing_format(structure)
        )
        return parse_object(bound, structure, include_raw=include_raw)


class BindableRunnable(StructuredOutput):
    """A Runnable that stays of its class when tools are bound."""

    @abstractmethod
    def with_tools(self, tools: Tools, *, tool_choice: str | None = None, **kwargs: Any) -> Self:
        """The result of `bind_tools`, typed as this class."""

    def bind_tools(
        self, tools: Tools, *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The router with tools bound on every member that can call tools; the others leave the selection.

        Members vote with the calls they make, names and arguments. Tools bound before are replaced.

        Args:
            tools: As for any chat model's `bind_tools`.
            tool_choice: The tool to use; "any" for any of them.
            kwargs: Passed on to the members' `bind_tools`.

        Raises:
            ToolSupportError: If no member can call tools.
        """
        return self.with_tools(tools, tool_choice=tool_choice, **kwargs)


class EngineRunnable(BindableRunnable, BoundedBatches, RunnableSerializable[LanguageModelInput, AIMessage]):
    """From a prompt to the message that wins, as its engine decides.

    The modules of requests are imported with the first one: a router is made without them.
    """

    @property
    @abstractmethod
    def engine(self) -> "Engine":
        """The engine of the present fields."""

    def prepared(self, config: RunnableConfig) -> "EngineRunnable":
        """The router with the fields that a request sets; this one, where a request can set none."""
        del config
        return self

    @property
    @override
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """Fields of members that a request may set through `configurable` of its config.

        If several members share an id, the first member's spec is returned.
        """
        specs: dict[str, ConfigurableFieldSpec] = {}
        for member in self.engine.settings.models.values():
            for spec in member.model.config_specs:
                specs.setdefault(spec.id, spec)
        return list(specs.values())

    @override
    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """The winning member's message.

        Raises:
            FanOutError: If every called member failed.
        """
        return self._call_with_config(self._invoke, input, config, **kwargs)

    @override
    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """The winning member's message.

        Raises:
            FanOutError: If every called member failed.
        """
        return await self._acall_with_config(self._ainvoke, input, config, **kwargs)

    @override
    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """The winning message per prompt; encoded together, and `max_concurrency` bounds all their calls."""
        return self._batch_with_config(
            self._batch, inputs, config, return_exceptions=return_exceptions, **kwargs
        )

    @override
    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """The winning message per prompt; encoded together, and `max_concurrency` bounds all their calls."""
        replies = await self._abatch_with_config(
            self._abatch, inputs, config, return_exceptions=return_exceptions, **kwargs
        )
        for reply in replies:
            # LangChain takes a cancellation of this task for a result where exceptions are returned.
            if isinstance(reply, asyncio.CancelledError):
                raise reply
        return replies

    @override
    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessage]:
        """The reply in chunks: as they arrive when one member is selected, else the winner's in pieces.

        The last chunk carries the metadata. A single member that fails before its first chunk is replaced by
        the next most probable one; a failure after it is raised.
        """
        yield from self._transform_stream_with_config(iter([input]), self._stream, config, **kwargs)

    @override
    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessage]:
        """The reply in chunks, as `stream`."""

        async def one_input() -> AsyncIterator[LanguageModelInput]:
            yield input

        async for chunk in self._atransform_stream_with_config(one_input(), self._astream, config, **kwargs):
            yield chunk

    def _open(
        self,
        prompts: Sequence[LanguageModelInput],
        run_managers: "Sequence[RunManager]",
        configs: Sequence[RunnableConfig],
        arguments: dict[str, Any],
    ) -> "list[Request]":
        from langchain_selectllm.routing.request import open_requests

        return open_requests(self.engine, prompts, run_managers, configs, arguments)

    async def _open_async(
        self,
        prompts: Sequence[LanguageModelInput],
        run_managers: "Sequence[RunManager]",
        configs: Sequence[RunnableConfig],
        arguments: dict[str, Any],
    ) -> "list[Request]":
        from langchain_selectllm.routing.request import open_requests_async

        return await open_requests_async(self.engine, prompts, run_managers, configs, arguments)

    def _invoke(
        self,
        prompt: LanguageModelInput,
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AIMessage:
        (request,) = self._open([prompt], [run_manager], [config], kwargs)
        return request.answer()

    async def _ainvoke(
        self,
        prompt: LanguageModelInput,
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AIMessage:
        (request,) = await self._open_async([prompt], [run_manager], [config], kwargs)
        return await request.answer_async()

    def _batch(
        self,
        prompts: list[LanguageModelInput],
        run_manager: list[CallbackManagerForChainRun],
        config: list[RunnableConfig],
        **kwargs: Any,
    ) -> list[AIMessage | Exception]:
        from langchain_selectllm.routing.request import answer_all

        return answer_all(self._open(prompts, run_manager, config, kwargs))

    async def _abatch(
        self,
        prompts: list[LanguageModelInput],
        run_manager: list[AsyncCallbackManagerForChainRun],
        config: list[RunnableConfig],
        **kwargs: Any,
    ) -> list[AIMessage | Exception]:
        from langchain_selectllm.routing.request import answer_all_async

        return await answer_all_async(await self._open_async(prompts, run_manager, config, kwargs))

    def _stream(
        self,
        prompts: Iterator[LanguageModelInput],
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Iterator[AIMessage]:
        for request in self._open(list(prompts), [run_manager], [config], kwargs):
            yield from request.chunks()

    async def _astream(
        self,
        prompts: AsyncIterator[LanguageModelInput],
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessage]:
        inputs = [prompt async for prompt in prompts]
        for request in await self._open_async(inputs, [run_manager], [config], kwargs):
            async with aclosing(request.chunks_async()) as chunks:
                async for chunk in chunks:
                    yield chunk
