"""Tools on their way to a LlamaIndex LLM, choices among them, and calls on their way back."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from llama_index.core.base.llms.types import ToolCallBlock
from llama_index.core.tools import BaseTool, ToolMetadata, ToolOutput
from pydantic import BaseModel, create_model
from typing_extensions import override

from langchain_selectllm.integrations.llama_index.messages import arguments_of


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
        raise NotImplementedError(
            f"Only the specification of {self._metadata.name!r} is known. Call the tool itself."
        )


def choice_of(choice: str | bool | Mapping[str, Any] | None) -> str | None:
    """The tool choice as every LangChain model takes it: None, "any", "none", or the name of a tool."""
    if isinstance(choice, Mapping):
        return str(choice["function"]["name"])
    if isinstance(choice, bool):
        return "any" if choice else None
    return {"auto": None, "required": "any"}.get(choice or "auto", choice)


def openai_call(call: ToolCallBlock) -> dict[str, Any]:
    """The call in OpenAI's words, as LlamaIndex's own LLMs leave it beside the message."""
    function = {"name": call.tool_name, "arguments": json.dumps(arguments_of(call))}
    return {"id": call.tool_call_id, "type": "function", "function": function}


def _schema_class(name: str, parameters: Mapping[str, Any]) -> type[BaseModel]:
    """A class with the given JSON schema, for LlamaIndex and for providers that read the class's schema."""
    schema = create_model(name)
    # Providers write into the schema they are given.
    own_schema = classmethod(lambda *_, **__: copy.deepcopy(dict(parameters)))
    schema.model_json_schema = own_schema  # type: ignore[assignment]
    return schema
