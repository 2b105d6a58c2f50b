"""Structured output: a model made to fill a schema, and the parser of the object that won."""

import json
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.tool import tool_call
from langchain_core.output_parsers import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.json import parse_partial_json
from langchain_core.utils.pydantic import is_basemodel_subclass
from typing_extensions import override

from langchain_selectllm.answers.json_value import read_json
from langchain_selectllm.routing.structured_vote import StructuredVote

# Accepted and ignored, as by LangChain's own default: each member fills the schema in the way that it can.
_IGNORED = frozenset({"method", "strict"})


class _ModelParser(PydanticToolsParser):
    """The object of a call or of JSON text, as an instance of the schema's class."""

    key_name: str

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        return super().parse_result(_as_call(result, self.key_name, partial=partial), partial=partial)


class _ObjectParser(JsonOutputKeyToolsParser):
    """The object of a call or of JSON text, once it is valid by the schema; parts of it in a stream."""

    normal: Callable[[Any], Any]

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        result = _as_call(result, self.key_name, partial=partial)
        value = super().parse_result(result, partial=partial)
        if value is None or (partial and not _is_last(result[0])) or self.normal(value) is not None:
            return value
        raise OutputParserException(
            f"No member gave an object that is valid by {self.key_name}; the winner's is {value!r}."
        )


def _as_call(result: list[Generation], name: str, *, partial: bool) -> list[Generation]:
    """The generation with its JSON text as a call of the schema's tool; one with calls or words as it is."""
    message = cast("ChatGeneration", result[0]).message
    if not isinstance(message, AIMessage) or message.tool_calls:
        return result
    value = _json_of(message, partial=partial)
    if not isinstance(value, dict):
        return result
    call = tool_call(name=name, args=value, id=None)
    return [ChatGeneration(message=message.model_copy(update={"tool_calls": [call]}))]


def _json_of(message: BaseMessage, *, partial: bool) -> Any:
    if not partial:
        return read_json(message.text)
    try:
        return parse_partial_json(message.text)
    except json.JSONDecodeError:
        return None


def _is_last(generation: Generation) -> bool:
    message = cast("ChatGeneration", generation).message
    return getattr(message, "chunk_position", None) == "last"


def check_ignored(ignored: Mapping[str, Any]) -> None:
    """Checks that further arguments of `with_structured_output` are known ones.

    Raises:
        ValueError: If there are others.
    """
    unknown = sorted(ignored.keys() - _IGNORED)
    if unknown:
        raise ValueError(
            f"with_structured_output got {', '.join(unknown)}. It takes schema, include_raw, vote, method "
            "and strict."
        )


def tracing_format(structure: StructuredVote) -> dict[str, Any]:
    """Description of the schema for traces, as LangChain's chat models give it."""
    return {"kwargs": {"method": "function_calling"}, "schema": structure.schema}


def parse_object(
    bound: Runnable[LanguageModelInput, AIMessage], structure: StructuredVote, *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """The object that a model's message holds, parsed as LangChain's chat models parse it.

    Args:
        bound: The model with the schema's tool, or the `response_format` that stands for it, bound.
        structure: Schema of the object.
        include_raw: Whether the message is returned too, and parsing errors instead of being raised.
    """
    schema = structure.schema
    name = structure.tool["name"]
    parser: _ObjectParser | _ModelParser
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        parser = _ModelParser(tools=[schema], first_tool_only=True, key_name=name)
    else:
        parser = _ObjectParser(key_name=name, first_tool_only=True, normal=structure.normal)
    if not include_raw:
        return bound | parser
    done = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | done.with_fallbacks([failed], exception_key="parsing_error")
