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
from langchain_selectllm.members.registry import ChatModel, Member, ModelRegistry

Tools = Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool]
# Arguments that an earlier binding of other tools may have left in a wrapper.
_REPLACED = frozenset({"tools", "tool_choice"})

_ANY_TOOL = {
    "type": "function",
    "function": {"name": "any", "parameters": {"type": "object", "properties": {}}},
}


@dataclass(frozen=True, eq=False)
class BoundTools:
    """A registry with tools bound, and the members that cannot call tools."""

    models: ModelRegistry
    left_out: Mapping[str, str]
    """Members that can neither call the tools nor reply in another way, with the reason."""
    settings: Mapping[str, Any]
    """Further arguments of the binding, such as `response_format`."""


def bind_registry(
    models: ModelRegistry, tools: Tools, *, native_format: Mapping[str, Any] | None = None, **kwargs: Any
) -> BoundTools:
    """Returns the registry with tools bound to the members that can call tools; to all where there are none.

    Args:
        models: Members of the pool.
        tools: What `bind_tools` takes.
        native_format: The `response_format` that stands for the tool with members that have native JSON and
            no tools; without one, these are left out.
        kwargs: Further arguments of `bind_tools`.

    Raises:
        ToolSupportError: If no member can.
    """
    able: dict[str, Member] = {}
    left_out: dict[str, str] = {}
    lacking = "cannot call tools"
    if native_format is not None:
        lacking = "cannot call tools, and has no native JSON"
    for name, member in models.items():
        model = bind_model(member.model, tools, **kwargs)
        if model is None and native_format is not None and has_native_json(member.model):
            model = bind_model(member.model, [], response_format=native_format)
        if model is None:
            left_out[name] = lacking
        else:
            able[name] = replace(member, model=model)
    if not able:
        raise ToolSupportError(
            f"No member can call tools: {', '.join(models)}. Register at least one chat model whose "
            "bind_tools works; for structured output, one whose profile has structured_output is enough."
        )
    return BoundTools(ModelRegistry({**models, **able}), left_out, kwargs)


def has_native_json(model: Runnable[Any, Any]) -> bool:
    """Returns whether the profile of every chat model in the wrappers states native JSON."""
    stated = [(raw.profile or {}).get("structured_output") for raw in raw_models(model)]
    return bool(stated) and all(stated)


def without_tools(models: ModelRegistry) -> dict[str, str]:
    """Returns the members that cannot call tools, with the reason.

    Raises:
        ToolSupportError: If no member can.
    """
    return dict(bind_registry(models, [_ANY_TOOL]).left_out)


def bind_model(model: Runnable[Any, Any], tools: Tools, **kwargs: Any) -> ChatModel | None:
    """Returns the model with tools bound: bound to the chat model itself, inside the wrappers as they were.

    Args:
        model: A chat model, or any wrapper of one.
        tools: What `bind_tools` takes.
        kwargs: Further arguments of `bind_tools`, such as `tool_choice`.

    Returns:
        None where the model, or one of its fallbacks, cannot call tools. Without tools, `kwargs` alone are
        bound.
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
    # A model that binds tools by itself, such as our own configurable router, is bound as it is.
    if isinstance(model, DynamicRunnable) and not hasattr(type(model), "bind_tools"):
        return _bind_configurable(model, tools, kwargs)
    return _bind_raw(model, tools, kwargs)


def raw_models(model: Runnable[Any, Any]) -> Iterator[BaseChatModel]:
    """Yields the chat models inside all wrappers."""
    if isinstance(model, BaseChatModel):
        yield model
    for inside in wrapped(model):
        yield from raw_models(inside)


def wrapped(model: Runnable[Any, Any]) -> list[Runnable[Any, Any]]:
    """Returns the models directly inside a wrapper; an empty list for a model without one."""
    if isinstance(model, RunnableBindingBase):
        return [model.bound]
    if isinstance(model, RunnableWithFallbacks):
        return list(model.runnables)
    if isinstance(model, RunnableSequence):
        return model.steps
    if isinstance(model, DynamicRunnable):
        return [model.default]
    return []


def _rebind(wrapper: "RunnableBindingBase[Any, Any]", bound: ChatModel | None) -> ChatModel | None:
    if bound is None:
        return None
    replaced = set(_REPLACED)
    if isinstance(bound, RunnableBinding):
        replaced.update(bound.kwargs)
    kept = {name: value for name, value in wrapper.kwargs.items() if name not in replaced}
    return wrapper.model_copy(update={"bound": bound, "kwargs": kept})


def _bind_step(
    sequence: "RunnableSequence[Any, Any]", tools: Tools, kwargs: dict[str, Any]
) -> ChatModel | None:
    """Returns the sequence with tools bound to its last step that is a chat model."""
    steps = list(sequence.steps)
    for i in reversed(range(len(steps))):
        bound = bind_model(steps[i], tools, **kwargs)
        if bound is not None:
            steps[i] = bound
            return sequence.model_copy(update={"first": steps[0], "middle": steps[1:-1], "last": steps[-1]})
    return None


def _bind_configurable(
    model: "DynamicRunnable[Any, Any]", tools: Tools, kwargs: dict[str, Any]
) -> ChatModel | None:
    """Returns the configurable model with the arguments that binding adds to a call bound outside of it.

    It is rebuilt for every call, so that nothing can be put inside.
    """
    inner = bind_model(model.default, tools, **kwargs)
    if not isinstance(inner, RunnableBinding):
        return None
    return cast("ChatModel", model.bind(**inner.kwargs))


def _bind_raw(model: Runnable[Any, Any], tools: Tools, kwargs: dict[str, Any]) -> ChatModel | None:
    bound = _bind_callable_tools(model, tools, kwargs)
    if bound is None and not tools and isinstance(model, BaseChatModel):
        # Settings alone, such as `response_format`, need no tools.
        return model.bind(**kwargs)
    return bound


def _bind_callable_tools(model: Runnable[Any, Any], tools: Tools, kwargs: dict[str, Any]) -> ChatModel | None:
    bind = getattr(model, "bind_tools", None)
    if bind is None or getattr(bind, "__func__", None) is BaseChatModel.bind_tools:
        return None
    if isinstance(model, BaseChatModel) and (model.profile or {}).get("tool_calling") is False:
        return None
    try:
        return cast("ChatModel", bind(tools, **kwargs))
    except NotImplementedError:
        return None
