"""Capabilities and identity of a pool, from the profiles and parameters of its members."""

from functools import partial
from types import ModuleType
from typing import Any, cast

from langchain_core.language_models import BaseChatModel, ModelProfile
from langchain_core.runnables import RunnableLambda

from langchain_selectllm.members.registry import ModelRegistry
from langchain_selectllm.members.tool_binding import raw_models, wrapped

# Of bindings, configurable fields and configurable alternatives.
_SETTINGS = ("kwargs", "fields", "which")


def pool_profile(models: ModelRegistry) -> ModelProfile | None:
    """Returns the minimum over the members: capabilities that all of them have, and the smallest limits.

    A capability that some member does not state is left out, unless another one denies it. None if nothing
    is left.
    """
    profiles = [
        cast("dict[str, Any]", raw.profile or {})
        for member in models.values()
        for raw in raw_models(member.model)
    ]
    lowest: dict[str, Any] = {}
    for name in dict.fromkeys(name for profile in profiles for name in profile):
        values = [profile[name] for profile in profiles if name in profile]
        if all(isinstance(value, bool) for value in values):
            if len(values) == len(profiles) or not all(values):
                lowest[name] = all(values)
        elif all(isinstance(value, int | float) for value in values) and len(values) == len(profiles):
            lowest[name] = min(values)
    return cast("ModelProfile", lowest) if lowest else None


def member_params(models: ModelRegistry) -> dict[str, Any]:
    """Returns what replies, ties and costs depend on, by member: chat models, wrappers, prices, latency."""
    return {
        name: [
            described(member.model),
            member.price_input_usd_per_million,
            member.price_output_usd_per_million,
            member.latency_s,
        ]
        for name, member in models.items()
    }


def described(model: Any) -> Any:
    """Returns what a model's replies depend on: its chat models' own parameters, and their wrappers."""
    if isinstance(model, BaseChatModel):
        return model.asdict()
    if isinstance(model, RunnableLambda):
        return [
            callable_name(function) for name, function in vars(model).items() if name in {"func", "afunc"}
        ]
    inside = [described(one) for one in wrapped(model)]
    if not inside:
        return callable_name(model)
    own = vars(model)
    config = own.get("config") or {}
    settings = [repr(setting) for setting in (*map(own.get, _SETTINGS), config.get("configurable"))]
    others = {name: described(other) for name, other in own.get("alternatives", {}).items()}
    return [type(model).__name__, *settings, others, *inside]


def callable_name(value: Any) -> str:
    """Returns the identity of a callable: its qualified name, else its representation.

    Methods are told apart by their objects, partial functions by their arguments.
    """
    if isinstance(value, partial):
        return f"partial({callable_name(value.func)}, {value.args!r}, {value.keywords!r})"
    name, owner = getattr(value, "__qualname__", "<"), getattr(value, "__self__", None)
    if "<" in name:
        return repr(value)
    return f"{value.__module__}.{name}" if isinstance(owner, ModuleType | None) else f"{owner!r}.{name}"
