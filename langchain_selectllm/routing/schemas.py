"""Objects checked by a schema: pydantic classes of both versions, TypedDicts, JSON schemas."""

import json
from collections.abc import Mapping
from contextlib import suppress
from itertools import repeat
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
    """The object as plain JSON that the schema reads as the same object; None where it is not valid.

    Pydantic classes validate as they do everywhere, and fill in defaults. An object that they do not read
    back as the same, because of secrets or computed fields, stays as the member gave it. For TypedDicts and
    JSON schemas types, enums, constants, required fields, items and combinations are checked; other keywords are
    not.

    Args:
        schema: Schema of the object.
        parameters: The same as JSON schema, from `tool_of`.
        given: The member's object.
    """
    if isinstance(schema, type) and issubclass(schema, BaseModel | BaseModelV1):
        return _normal_model(schema, given)
    if not _conforms(given, parameters, parameters):
        return None
    return given


def _normal_model(schema: type[BaseModel | BaseModelV1], given: Any) -> Any:
    try:
        read = _validated(schema, given)
    except (ValueError, TypeError):
        return None
    with suppress(ValueError, TypeError):
        written = _written(read)
        if _validated(schema, written) == read:
            return written
    return given


def _validated(schema: type[BaseModel | BaseModelV1], given: Any) -> BaseModel | BaseModelV1:
    return schema.model_validate(given) if issubclass(schema, BaseModel) else schema.parse_obj(given)


def _written(read: BaseModel | BaseModelV1) -> Any:
    return (
        read.model_dump(mode="json", by_alias=True)
        if isinstance(read, BaseModel)
        else json.loads(read.json(by_alias=True))
    )


def _conforms(value: Any, schema: Mapping[str, Any] | bool, root: Mapping[str, Any]) -> bool:
    while not isinstance(schema, bool) and "$ref" in schema:
        schema = _resolve(schema["$ref"], root)
    if isinstance(schema, bool):
        return schema
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
        items = schema.get("items", True)
        # Schemas in a list speak of the first items, one each.
        parts = items if isinstance(items, list) else repeat(items)
        return all(_conforms(item, part, root) for item, part in zip(value, parts, strict=False))
    return True


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, object))


def _resolve(reference: str, root: Any) -> Any:
    for key in reference.split("/")[1:]:
        root = root[key]
    return root
