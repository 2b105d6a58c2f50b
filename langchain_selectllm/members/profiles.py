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
    stated: dict[str, list[Any]] = {}
    n_profiles = 0
    for member in models.values():
        for raw in raw_models(member.model):
            n_profiles += 1
            for name, value in (raw.profile or {}).items():
                stated.setdefault(name, []).append(value)
    lowest: dict[str, Any] = {}
    for name, values in stated.items():
        types = set(map(type, values))
        by_all = len(values) == n_profiles
        if types == {bool}:
            if by_all or not all(values):
                lowest[name] = all(values)
        elif by_all and types <= {bool, int, float}:
            lowest[name] = min(values)
    if not lowest:
        return None
    return cast("ModelProfile", lowest)


def member_params(models: ModelRegistry) -> dict[str, Any]:
    """Returns what replies, ties and costs depend on, by member: chat models, wrappers, prices, latency."""
    params = {}
    for name, member in models.items():
        params[name] = [described(member.model), repr(member.prices), member.latency_s]
    return params


def described(model: Any) -> Any:
    """Returns what a model's replies depend on: its chat models' own parameters, and their wrappers."""
    if isinstance(model, BaseChatModel):
        return model.asdict()
    if isinstance(model, RunnableLambda):
        return [callable_name(vars(model)[name]) for name in vars(model) if name in {"func", "afunc"}]
    inside = list(map(described, wrapped(model)))
    if not inside:
        return callable_name(model)
    own = vars(model)
    config = own.get("config") or {}
    settings = [*map(repr, map(own.get, _SETTINGS)), repr(config.get("configurable"))]
    others = {name: described(other) for name, other in own.get("alternatives", {}).items()}
    return [type(model).__name__, *settings, others, *inside]


def callable_name(value: Any) -> str:
    """Returns the identity of a callable: its qualified name, else its representation.

    The object of a method and the arguments of a partial function are part of it.
    """
    if isinstance(value, partial):
        return f"partial({callable_name(value.func)}, {value.args!r}, {value.keywords!r})"
    name, owner = getattr(value, "__qualname__", "<"), getattr(value, "__self__", None)
    if "<" in name:
        return repr(value)
    if isinstance(owner, ModuleType | None):
        return f"{value.__module__}.{name}"
    return f"{owner!r}.{name}"
