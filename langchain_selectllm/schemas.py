"""Whether an object is what a schema asks for: pydantic classes of both versions, TypedDicts, JSON schemas."""

import json
from collections.abc import Mapping
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel
from pydantic.v1 import BaseModel as BaseModelV1

Schema = dict[str, Any] | type
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": Mapping,
    "null": type(None),
}


def tool_of(schema: Schema) -> dict[str, Any]:
    """Name, description and parameters of the tool that stands for a schema."""
    function: dict[str, Any] = convert_to_openai_tool(schema)["function"]
    return function


def normal_object(schema: Schema, parameters: Mapping[str, Any], given: Any) -> Any:
    """The object as the schema reads it, defaults filled in, as plain JSON; None where it is not valid.

    Pydantic classes validate as they do everywhere. For TypedDicts and JSON schemas types, enums, constants, required
    fields, items and combinations are checked; other keywords are not.

    Args:
        schema: What is asked for.
        parameters: The same as JSON schema, from `tool_of`.
        given: What a member gave.
    """
    try:
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            return schema.model_validate(given).model_dump(mode="json", by_alias=True)
        if isinstance(schema, type) and issubclass(schema, BaseModelV1):
            return json.loads(schema.parse_obj(given).json(by_alias=True))
    except (ValueError, TypeError):
        return None
    return given if _conforms(given, parameters, parameters) else None


def _conforms(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    while "$ref" in schema:
        schema = _resolve(schema["$ref"], root)
    options = [option for key in ("anyOf", "oneOf") for option in schema.get(key, ())]
    if options and not any(_conforms(value, option, root) for option in options):
        return False
    if not all(_conforms(value, part, root) for part in schema.get("allOf", ())):
        return False
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return False
    kinds = schema.get("type", [])
    if kinds and not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    return _parts_conform(value, schema, root)


def _parts_conform(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    if isinstance(value, Mapping):
        fields = schema.get("properties", {})
        return all(name in value for name in schema.get("required", ())) and all(
            _conforms(value[name], field, root) for name, field in fields.items() if name in value
        )
    if isinstance(value, list):
        return all(_conforms(item, schema.get("items", {}), root) for item in value)
    return True


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, object))


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in reference.removeprefix("#/").split("/"):
        root = root[key]
    return root
