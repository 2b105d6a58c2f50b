"""Concurrency limits of member calls, shared by the prompts of a batch through their configs."""

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import (
    ensure_config,
    get_config_list,
    patch_config,
    var_child_runnable_config,
)
from typing_extensions import override

Configs = RunnableConfig | list[RunnableConfig] | None

# Keys that start with two underscores stay out of the metadata of runs.
_LIMIT = "__selectllm_concurrency_limit"


class ConcurrencyLimit:
    """Limits concurrent calls across threads.

    A call that exceeds its lease frees its slot, because a hanging thread cannot be stopped.
    """

    def __init__(self, slots: int) -> None:
        """Start with all slots free."""
        self._slots = slots
        self._lease_ends: dict[object, float] = {}
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, lease_s: float | None) -> Iterator[None]:
        """Wait for a slot and hold it until the block ends.

        Args:
            lease_s: Seconds after which the slot is freed for others; never when None.
        """
        holder = object()
        with self._changed:
            while (wait_s := self._seconds_to_wait()) > 0:
                self._changed.wait(None if math.isinf(wait_s) else wait_s)
            self._lease_ends[holder] = time.perf_counter() + (math.inf if lease_s is None else lease_s)
        try:
            yield
        finally:
            with self._changed:
                self._lease_ends.pop(holder, None)
                self._changed.notify()

    def _seconds_to_wait(self) -> float:
        """Seconds until the next lease ends where no slot is free; 0 where one is."""
        now = time.perf_counter()
        for holder, lease_end in list(self._lease_ends.items()):
            if lease_end <= now:
                del self._lease_ends[holder]
        if len(self._lease_ends) < self._slots:
            return 0.0
        return min(self._lease_ends.values()) - now


SharedLimit = ConcurrencyLimit | asyncio.Semaphore
"""Limit of calls in threads, or of calls in tasks."""


def context_with(config: RunnableConfig | None) -> Context:
    """Context in which `ensure_config()` returns the config of a call, which chat models do not get."""
    context = copy_context()
    if config is not None:
        context.run(var_child_runnable_config.set, ensure_config(config))
    return context


def with_shared_limit(
    config: Any, n_inputs: int, make_limit: Callable[[int], SharedLimit]
) -> list[RunnableConfig]:
    """Configs of a batch that share one limit of `max_concurrency` slots; unchanged without a bound."""
    if not n_inputs:
        return []
    configs = get_config_list(config, n_inputs)
    slots = configs[0].get("max_concurrency")
    if not slots:
        return configs
    shared = {_LIMIT: make_limit(slots)}
    return [patch_config(one, configurable=shared) for one in configs]


def shared_limit_of(config: RunnableConfig) -> SharedLimit | None:
    """Limit shared by the prompts of a batch; None outside of one."""
    return cast("SharedLimit | None", config.get("configurable", {}).get(_LIMIT))


def without_shared_limit(config: RunnableConfig) -> RunnableConfig:
    """The config for members: a member that is a pool itself would wait for the slot of its own call."""
    configurable = config.get("configurable", {})
    if _LIMIT not in configurable:
        return config
    kept = {key: value for key, value in configurable.items() if key != _LIMIT}
    return {**config, "configurable": kept}


class BoundedBatches(Runnable[LanguageModelInput, AIMessage]):
    """A Runnable whose batches answer prompt by prompt, under a limit that the prompts' configs share."""

    def _batch_delegate(
        self, config: Configs, n_inputs: int
    ) -> Runnable[LanguageModelInput, AIMessage] | None:
        """The Runnable that answers a batch as a whole; None where it is answered prompt by prompt."""
        del config, n_inputs
        return None

    @override
    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: Configs = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """The winning message per prompt; `max_concurrency` bounds the calls of all prompts together."""
        delegate = self._batch_delegate(config, len(inputs))
        if delegate is not None:
            return delegate.batch(inputs, config, return_exceptions=return_exceptions, **kwargs)
        configs = with_shared_limit(config, len(inputs), ConcurrencyLimit)
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
        """The winning message per prompt; `max_concurrency` bounds the calls of all prompts together."""
        delegate = self._batch_delegate(config, len(inputs))
        if delegate is not None:
            return await delegate.abatch(inputs, config, return_exceptions=return_exceptions, **kwargs)
        configs = with_shared_limit(config, len(inputs), asyncio.Semaphore)
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
        """Index and winning message (or error) per prompt as they complete; bounded as `batch`."""
        # LangChain's overloads do not cover a plain bool.
        base: Any = super()
        configs = with_shared_limit(config, len(inputs), ConcurrencyLimit)
        yield from base.batch_as_completed(inputs, configs, return_exceptions=return_exceptions, **kwargs)

    @override
    async def abatch_as_completed(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> AsyncIterator[tuple[int, Any]]:
        """Index and winning message (or error) per prompt as they complete; bounded as `batch`."""
        base: Any = super()
        configs = with_shared_limit(config, len(inputs), asyncio.Semaphore)
        completed = base.abatch_as_completed(inputs, configs, return_exceptions=return_exceptions, **kwargs)
        async for one in completed:
            yield one
