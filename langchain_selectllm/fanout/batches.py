"""Batches whose prompts share one bound on the calls of their members."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig
from typing_extensions import override

from langchain_selectllm.fanout.caller import Configs, gated
from langchain_selectllm.fanout.concurrency import Places


class BoundedBatches(Runnable[LanguageModelInput, AIMessage]):
    """A Runnable that answers the prompts of a batch one by one, and reads the gate that they share from their configs."""

    @override
    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """The winning message of each prompt; `max_concurrency` bounds the calls of members for all prompts together."""
        configs = gated(config, len(inputs), Places)
        return super().batch(inputs, configs, return_exceptions=return_exceptions, **kwargs)

    @override
    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """The winning message of each prompt; `max_concurrency` bounds the calls of members for all prompts together."""
        configs = gated(config, len(inputs), asyncio.Semaphore)
        return await super().abatch(inputs, configs, return_exceptions=return_exceptions, **kwargs)

    @override
    def batch_as_completed(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> Iterator[tuple[int, Any]]:
        """Index and winning message of each prompt as they come, or what went wrong; bounded as `batch`."""
        plain: Any = super()
        configs = gated(config, len(inputs), Places)
        yield from plain.batch_as_completed(inputs, configs, return_exceptions=return_exceptions, **kwargs)

    @override
    async def abatch_as_completed(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> AsyncIterator[tuple[int, Any]]:
        """Index and winning message of each prompt as they come, or what went wrong; bounded as `batch`."""
        plain: Any = super()
        configs = gated(config, len(inputs), asyncio.Semaphore)
        async for one in plain.abatch_as_completed(
            inputs, configs, return_exceptions=return_exceptions, **kwargs
        ):
            yield one
