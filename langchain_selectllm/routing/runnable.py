"""The Runnable over an engine: invoked, batched, streamed, with or without waiting."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from langchain_core.runnables.utils import ConfigurableFieldSpec
from typing_extensions import override

from langchain_selectllm.fanout.batches import BoundedBatches
from langchain_selectllm.fanout.daemon_threads import in_daemon
from langchain_selectllm.routing.engine import Engine
from langchain_selectllm.routing.request import aanswer_all, answer_all, ask_all


class EngineRunnable(BoundedBatches, RunnableSerializable[LanguageModelInput, AIMessage]):
    """From a prompt to the message that wins, as its engine decides."""

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """What decides and merges, as the fields say now."""

    @property
    @override
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What a request may set on members, through `configurable` of its config.

        An id that several members have, with defaults of their own, is told as the first has it.
        """
        told: dict[str, ConfigurableFieldSpec] = {}
        for member in self.engine.models.values():
            for spec in member.model.config_specs:
                told.setdefault(spec.id, spec)
        return list(told.values())

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
        """The winning message of each prompt; all prompts are encoded at once, `max_concurrency` bounds all calls together."""
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
        """The winning message of each prompt; all prompts are encoded at once, `max_concurrency` bounds all calls together."""
        replies = await self._abatch_with_config(
            self._abatch, inputs, config, return_exceptions=return_exceptions, **kwargs
        )
        for reply in replies:
            # LangChain takes our cancellation for a result where exceptions are returned.
            if isinstance(reply, asyncio.CancelledError):
                raise reply
        return replies

    @override
    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessage]:
        """The reply in chunks: as they come when one member is chosen, else the winner's message cut up after the vote.

        The last chunk carries the metadata. A single member that fails before its first chunk is replaced by the next most
        probable one; later there is no way back.
        """
        yield from self._transform_stream_with_config(iter([input]), self._stream, config, **kwargs)

    @override
    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessage]:
        """The reply in chunks, as `stream`."""

        async def given() -> AsyncIterator[LanguageModelInput]:
            yield input

        async for chunk in self._atransform_stream_with_config(given(), self._astream, config, **kwargs):
            yield chunk

    def _invoke(
        self,
        prompt: LanguageModelInput,
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AIMessage:
        (asked,) = ask_all(self.engine, [prompt], [run_manager], [config], kwargs)
        return asked.answer()

    async def _ainvoke(
        self,
        prompt: LanguageModelInput,
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AIMessage:
        (asked,) = await in_daemon(partial(ask_all, self.engine, [prompt], [run_manager], [config], kwargs))
        return await asked.aanswer()

    def _batch(
        self,
        prompts: list[LanguageModelInput],
        run_manager: list[CallbackManagerForChainRun],
        config: list[RunnableConfig],
        **kwargs: Any,
    ) -> list[AIMessage | Exception]:
        return answer_all(ask_all(self.engine, prompts, run_manager, config, kwargs))

    async def _abatch(
        self,
        prompts: list[LanguageModelInput],
        run_manager: list[AsyncCallbackManagerForChainRun],
        config: list[RunnableConfig],
        **kwargs: Any,
    ) -> list[AIMessage | Exception]:
        return await aanswer_all(
            await in_daemon(partial(ask_all, self.engine, prompts, run_manager, config, kwargs))
        )

    def _stream(
        self,
        prompts: Iterator[LanguageModelInput],
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Iterator[AIMessage]:
        for asked in ask_all(self.engine, list(prompts), [run_manager], [config], kwargs):
            yield from asked.chunks()

    async def _astream(
        self,
        prompts: AsyncIterator[LanguageModelInput],
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessage]:
        given = [prompt async for prompt in prompts]
        for asked in await in_daemon(partial(ask_all, self.engine, given, [run_manager], [config], kwargs)):
            async with aclosing(asked.achunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
