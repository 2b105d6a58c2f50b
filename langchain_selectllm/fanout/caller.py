"""The config that a chat model was called with, which LangChain does not hand to what generates."""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import (
    ensure_config,
    get_config_list,
    patch_config,
    var_child_runnable_config,
)

from langchain_selectllm.fanout.concurrency import Places

Configs = RunnableConfig | list[RunnableConfig] | None
Gate = Places | asyncio.Semaphore

# Keys that start with two underscores stay out of the metadata of runs.
_GATE = "__selectllm_gate"


def called_with(config: RunnableConfig | None) -> Context:
    """A context in which `ensure_config()` tells the config of a call: its thread, its bound on concurrency."""
    context = copy_context()
    if config is not None:
        context.run(var_child_runnable_config.set, ensure_config(config))
    return context


def gated(config: Any, n_inputs: int, gate: Callable[[int], Gate]) -> list[RunnableConfig]:
    """The configs of a batch, with one gate of `max_concurrency` slots for all; without one where nothing bounds them."""
    configs = get_config_list(config, n_inputs) if n_inputs else []
    limit = configs[0].get("max_concurrency") if configs else None
    if not limit:
        return configs
    shared = {_GATE: gate(limit)}
    return [patch_config(one, configurable=shared) for one in configs]


def gate_of(config: RunnableConfig) -> Gate | None:
    """What bounds calls across the prompts of a batch; None outside of one."""
    return cast("Gate | None", config.get("configurable", {}).get(_GATE))


def without_gate(config: RunnableConfig) -> RunnableConfig:
    """The config for members: one that is a pool itself would wait for the place that its own call takes."""
    configurable = {key: value for key, value in config.get("configurable", {}).items() if key != _GATE}
    return {**config, "configurable": configurable}
