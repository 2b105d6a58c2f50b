"""Tools on their way to the members: every tool is an OpenAI tool specification in between."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from llama_index.core.tools import BaseTool, ToolMetadata, ToolOutput
from pydantic import BaseModel, create_model
from typing_extensions import override

from langchain_selectllm.registry import ChatModel, ModelRegistry
from langchain_selectllm.router import SelectLLMRouter


class SpecifiedTool(BaseTool):
    """A tool of which only the specification is known: enough to offer it, not to call it."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        """Take an OpenAI tool specification, `{"type": "function", "function": {…}}`."""
        function = spec["function"]
        parameters = function.get("parameters") or {"type": "object", "properties": {}}
        self._metadata = ToolMetadata(
            name=function["name"],
            description=function.get("description") or "",
            fn_schema=_schema_class(function["name"], parameters),
        )

    @property
    def metadata(self) -> ToolMetadata:
        """Name, description and parameters."""
        return self._metadata

    @override
    def __call__(self, input: Any) -> ToolOutput:
        raise NotImplementedError(f"Only the specification of {self._metadata.name!r} is known. Call the tool itself.")


def _schema_class(name: str, parameters: Mapping[str, Any]) -> type[BaseModel]:
    """A class with the given JSON schema: LlamaIndex asks a class, and some providers ask for its schema themselves."""
    schema = create_model(name)
    # Providers write into the schema they are given.
    schema.model_json_schema = classmethod(lambda *_, **__: copy.deepcopy(dict(parameters)))  # type: ignore[assignment]
    return schema


class _Toolless(Runnable[LanguageModelInput, AIMessage]):
    """A member that cannot be offered tools: it fails by name, is recorded, and the next most probable one steps in."""

    def __init__(self, name: str) -> None:
        self.name = name

    @override
    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        raise NotImplementedError(f"{self.name!r} cannot call tools.")


def takes_tools(router: SelectLLMRouter) -> bool:
    """Whether at least one member can be offered tools."""
    probe = {"type": "function", "function": {"name": "probe", "description": "", "parameters": {"type": "object"}}}
    return any(not isinstance(member.model, _Toolless) for member in with_tools(router, [probe], None).models.values())


def with_tools(router: SelectLLMRouter, tools: list[dict[str, Any]], tool_choice: str | None) -> SelectLLMRouter:
    """The router over members that were offered the tools.

    Args:
        router: Left as it is.
        tools: OpenAI tool specifications.
        tool_choice: "any" (some tool must be called), "none", the name of a tool, or None (the member's choice).
    """
    settings = {} if tool_choice is None else {"tool_choice": tool_choice}

    def offered(name: str, model: ChatModel) -> ChatModel:
        try:
            return _bind(model, tools, settings)
        except (AttributeError, NotImplementedError):
            return _Toolless(name)

    models = {name: replace(member, model=offered(name, member.model)) for name, member in router.models.items()}
    return router.model_copy(update={"models": ModelRegistry(models)})


def _bind(model: Any, tools: list[dict[str, Any]], settings: Mapping[str, Any]) -> ChatModel:
    """The tools bound to the model itself, inside whatever wraps it."""
    if isinstance(model, RunnableBindingBase):
        return model.model_copy(update={"bound": _bind(model.bound, tools, settings)})
    if isinstance(model, RunnableWithFallbacks):
        fallbacks = [_bind(fallback, tools, settings) for fallback in model.fallbacks]
        return model.model_copy(update={"runnable": _bind(model.runnable, tools, settings), "fallbacks": fallbacks})
    bound: ChatModel = model.bind_tools(tools, **settings)
    return bound
