"""A check of the JSON schemas that requests bring, before anything is asked to follow them."""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, SchemaError

from langchain_selectllm.integrations.server.errors import ApiError, invalid

_MOST_LEVELS = 64
"""Levels of nesting; OpenAI allows 10 for objects, each of which takes a few levels of the schema."""
_SAME_VALUE = ("allOf", "anyOf", "oneOf")
"""Keywords whose subschemas are about the same value, so that a circle through them has no end."""


def check_schema(schema: Mapping[str, Any], param: str) -> None:
    """Whether a schema is valid, shallow enough, and refers to its own parts only.

    Raises:
        ApiError: With status 400, naming the field.
    """
    for part, level in _parts(schema):
        if level > _MOST_LEVELS:
            raise _refused(param, f"it has more than {_MOST_LEVELS} levels")
        reference = part.get("$ref")
        if reference is not None:
            _resolve(schema, reference, param)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise _refused(param, error.message) from None
    for part, _ in _parts(schema):
        _check_circles(schema, part, param)


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Every object of the schema with its level."""
    waiting: list[tuple[Any, int]] = [(schema, 0)]
    while waiting:
        value, level = waiting.pop()
        if isinstance(value, Mapping):
            yield value, level
            children: Any = value.values()
        elif isinstance(value, list):
            children = value
        else:
            continue
        if level <= _MOST_LEVELS:
            waiting += [(child, level + 1) for child in children]


def _resolve(root: Mapping[str, Any], reference: Any, param: str) -> Any:
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise _refused(param, f"$ref {reference!r} leads out of the schema; use #/$defs/NAME")
    if "~" in reference or "%" in reference:
        raise _refused(param, f"$ref {reference!r} has an escape; use names of letters and digits")
    found: Any = root
    for name in reference.split("/")[1:]:
        if not isinstance(found, Mapping) or name not in found:
            raise _refused(param, f"$ref {reference!r} leads nowhere")
        found = found[name]
    return found


def _check_circles(root: Mapping[str, Any], start: Mapping[str, Any], param: str) -> None:
    """Whether the subschemas about the same value come to an end."""
    path: set[int] = set()
    waiting: list[tuple[Any, bool]] = [(start, False)]
    done: set[int] = set()
    while waiting:
        part, is_left = waiting.pop()
        if is_left:
            path.discard(id(part))
            done.add(id(part))
        elif isinstance(part, Mapping) and id(part) not in done:
            if id(part) in path:
                raise _refused(param, "it refers to itself without an end")
            path.add(id(part))
            waiting.append((part, True))
            waiting += [(child, False) for child in _same_value(root, part, param)]


def _same_value(root: Mapping[str, Any], part: Mapping[str, Any], param: str) -> list[Any]:
    found = []
    if "$ref" in part:
        found.append(_resolve(root, part["$ref"], param))
    for keyword in _SAME_VALUE:
        options = part.get(keyword)
        if isinstance(options, list):
            found += options
    return found


def _refused(param: str, reason: str) -> ApiError:
    return invalid(f"The schema is not accepted: {reason}.", param=param, code="invalid_json_schema")
