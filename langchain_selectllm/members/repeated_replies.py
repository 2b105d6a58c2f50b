"""Members that give the same reply again, so that a second call of the same prompt adds nothing."""

from collections.abc import Mapping
from typing import Any

from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase

from langchain_selectllm.members.tool_binding import raw_models

_FIXED = {"temperature": "its temperature is 0", "seed": "its seed is fixed"}


def why_repeated(model: Runnable[Any, Any]) -> str | None:
    """Why every reply of a model to one prompt is the same; None where it is not known to be.

    The temperature and the seed count where the chat model, its `model_kwargs` or a binding around it has
    them; so does a response cache, of the model or of LangChain (`set_llm_cache`).
    """
    bound = _bound_arguments(model)
    reason = fixed_by(bound)
    if reason is not None:
        return reason
    # Of a model with fallbacks the first one answers as a rule.
    raw = next(raw_models(model), None)
    if raw is None:
        return None
    if _is_cached(raw):
        return "its replies are cached"
    own = dict(getattr(raw, "model_kwargs", None) or {})
    for name in _FIXED:
        own.setdefault(name, getattr(raw, name, None))
    return fixed_by({**own, **bound})


def _bound_arguments(model: Runnable[Any, Any]) -> dict[str, Any]:
    """Arguments that bindings around the model add to each call; the outer ones win."""
    arguments: dict[str, Any] = {}
    while isinstance(model, RunnableBindingBase):
        arguments = {**model.kwargs, **arguments}
        model = model.bound
    return arguments


def fixed_by(arguments: Mapping[str, Any]) -> str | None:
    """Why calls with these arguments give the same reply again; None where they need not."""
    if arguments.get("temperature") == 0:
        return _FIXED["temperature"]
    if arguments.get("seed") is not None:
        return _FIXED["seed"]
    return None


def _is_cached(model: BaseChatModel) -> bool:
    if model.cache is None:
        return get_llm_cache() is not None
    return model.cache is not False
