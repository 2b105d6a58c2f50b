"""Chat models inside their wrappers: bindings, retries, fallbacks, sequences, configurable fields."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableBinding, RunnableSequence, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.tools import BaseTool

from langchain_selectllm.exceptions import ToolSupportError
from langchain_selectllm.members.registry import ChatModel, ModelRegistry

Tools = Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool]
# What an earlier binding of other tools may have left in a wrapper.
_REPLACED = frozenset({"tools", "tool_choice"})

_ANY_TOOL = {
    "type": "function",
    "function": {"name": "any", "parameters": {"type": "object", "properties": {}}},
}


@dataclass(frozen=True, eq=False)
class BoundTools:
    """A registry with tools bound, and who had to stay behind."""

    models: ModelRegistry
    left_out: Mapping[str, str]
    """Members that cannot call tools, with the reason."""


def bind_registry(models: ModelRegistry, tools: Tools, **kwargs: Any) -> BoundTools:
    """The members with tools bound, for those that can call tools.

    Raises:
        ToolSupportError: If no member can.
    """
    bound = {name: bind_model(member.model, tools, **kwargs) for name, member in models.items()}
    able = {name: replace(models[name], model=model) for name, model in bound.items() if model is not None}
    if not able:
        raise ToolSupportError(
            f"No member can call tools: {', '.join(models)}. "
            "Register at least one chat model whose bind_tools works."
        )
    left_out = {name: "cannot call tools" for name, model in bound.items() if model is None}
    return BoundTools(ModelRegistry({**models, **able}), left_out)


def without_tools(models: ModelRegistry) -> dict[str, str]:
    """Members that cannot call tools, with the reason.

    Raises:
        ToolSupportError: If that is all of them.
    """
    return dict(bind_registry(models, [_ANY_TOOL]).left_out)


def bind_model(model: Runnable[Any, Any], tools: Tools, **kwargs: Any) -> ChatModel | None:
    """Returns the model with tools bound: bound to the chat model itself, inside the wrappers as they were.

    Args:
        model: A chat model, or any wrapper of one.
        tools: What `bind_tools` takes.
        kwargs: Further arguments of `bind_tools`, such as `tool_choice`.

    Returns:
        None where the model, or one of its fallbacks, cannot call tools.
    """
    if isinstance(model, RunnableBindingBase):
        return _rebind(model, bind_model(model.bound, tools, **kwargs))
    if isinstance(model, RunnableWithFallbacks):
        branches = [bind_model(branch, tools, **kwargs) for branch in model.runnables]
        if None in branches:
            return None
        return model.model_copy(update={"runnable": branches[0], "fallbacks": branches[1:]})
    if isinstance(model, RunnableSequence):
        return _bind_step(model, tools, kwargs)
    # One that binds tools by itself, as our own configurable router does, needs no help.
    if isinstance(model, DynamicRunnable) and not hasattr(type(model), "bind_tools"):
        # Rebuilt for every call, so that nothing can be put inside; what binding adds to a call is added
        # outside.
        inner = bind_model(model.default, tools, **kwargs)
        return cast("ChatModel", model.bind(**inner.kwargs)) if isinstance(inner, RunnableBinding) else None
    return _bind_raw(model, tools, kwargs)


def raw_models(model: Runnable[Any, Any]) -> Iterator[BaseChatModel]:
    """The chat models inside all wrappers."""
    if isinstance(model, BaseChatModel):
        yield model
    for inside in wrapped(model):
        yield from raw_models(inside)


def wrapped(model: Runnable[Any, Any]) -> list[Runnable[Any, Any]]:
    """What is directly inside a wrapper; nothing where it is none."""
    if isinstance(model, RunnableBindingBase):
        return [model.bound]
    if isinstance(model, RunnableWithFallbacks):
        return list(model.runnables)
    if isinstance(model, RunnableSequence):
        return model.steps
    return [model.default] if isinstance(model, DynamicRunnable) else []


def _rebind(wrapper: RunnableBindingBase[Any, Any], bound: ChatModel | None) -> ChatModel | None:
    if bound is None:
        return None
    replaced = _REPLACED | (bound.kwargs.keys() if isinstance(bound, RunnableBinding) else set())
    kept = {name: value for name, value in wrapper.kwargs.items() if name not in replaced}
    return wrapper.model_copy(update={"bound": bound, "kwargs": kept})


def _bind_step(
    sequence: RunnableSequence[Any, Any], tools: Tools, kwargs: dict[str, Any]
) -> ChatModel | None:
    """The sequence with tools bound at its last step that is a chat model."""
    steps = list(sequence.steps)
    for i in reversed(range(len(steps))):
        bound = bind_model(steps[i], tools, **kwargs)
        if bound is not None:
            steps[i] = bound
            return sequence.model_copy(update={"first": steps[0], "middle": steps[1:-1], "last": steps[-1]})
    return None


def _bind_raw(model: Runnable[Any, Any], tools: Tools, kwargs: dict[str, Any]) -> ChatModel | None:
    bind = getattr(model, "bind_tools", None)
    if bind is None or getattr(bind, "__func__", None) is BaseChatModel.bind_tools:
        return None
    if isinstance(model, BaseChatModel) and (model.profile or {}).get("tool_calling") is False:
        return None
    try:
        return cast("ChatModel", bind(tools, **kwargs))
    except NotImplementedError:
        return None
