"""Objects checked by a schema: pydantic classes of both versions, TypedDicts, JSON schemas."""

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel
from pydantic.v1 import BaseModel as BaseModelV1

from langchain_selectllm.exceptions import AnswerError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Schema = dict[str, Any] | type


def tool_of(schema: Schema) -> dict[str, Any]:
    """Name, description and parameters of the tool that stands for a schema."""
    function: dict[str, Any] = convert_to_openai_tool(schema)["function"]
    return function


def normal_object(schema: Schema, parameters: Mapping[str, Any], given: Any) -> Any:
    """The object as plain JSON that the schema reads as the same object; None where it is not valid.

    Pydantic classes validate as they do everywhere, and fill in defaults. An object that they do not read
    back as the same, because of secrets or computed fields, stays as the member gave it. TypedDicts and JSON
    schemas are validated by `jsonschema`, with the draft that `$schema` names; `format` is an annotation.

    Args:
        schema: Schema of the object.
        parameters: The same as JSON schema, from `tool_of`.
        given: The member's object.

    Raises:
        AnswerError: If the JSON schema is not valid, or refers to a schema that it does not contain or to
            itself without end.
    """
    if isinstance(schema, type) and issubclass(schema, BaseModel | BaseModelV1):
        return _normal_model(schema, given)
    # Imported when the first JSON schema is checked: most routers never meet one.
    from referencing.exceptions import Unresolvable

    try:
        is_valid = _validator(json.dumps(parameters, default=str)).is_valid(given)
    except RecursionError:
        # The schema itself ends, as `_validator` checks: the member's object is nested too deeply.
        return None
    except Unresolvable as error:
        raise AnswerError(
            f"The JSON schema has a $ref that it does not contain ({error}). Put the schema that it names "
            "under $defs; nothing is fetched."
        ) from error
    if is_valid:
        return given
    return None


@lru_cache(maxsize=256)
def _validator(written: str) -> "Validator":
    """The validator of a JSON schema, given as text."""
    from jsonschema import validators
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    schema = json.loads(written)
    draft = validators.validator_for(schema, default=_draft_of(schema))
    try:
        draft.check_schema(schema)
    except SchemaError as error:
        raise AnswerError(f"The JSON schema is not valid at {error.json_path}: {error.message}") from error
    # An empty registry: a reference to another address is never fetched.
    validator = draft(schema, registry=Registry())
    # References that cannot be resolved are reported where an object meets them.
    with suppress(Unresolvable):
        try:
            validator.is_valid({})
        except RecursionError as error:
            raise AnswerError(
                "The JSON schema has a $ref that refers to itself without end. Remove it."
            ) from error
    return validator


def _draft_of(schema: Any) -> "type[Validator]":
    """The newest draft by which a schema without `$schema` is valid."""
    from jsonschema import Draft7Validator, Draft201909Validator, Draft202012Validator
    from jsonschema.exceptions import SchemaError

    for draft in (Draft202012Validator, Draft201909Validator, Draft7Validator):
        with suppress(SchemaError):
            draft.check_schema(schema)
            return draft
    return Draft202012Validator


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
