"""Structured output: a model made to call a schema's tool, and the parser of the object that won."""

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.pydantic import is_basemodel_subclass
from typing_extensions import override

from langchain_selectllm.routing.structured_vote import StructuredVote

# Accepted and ignored, as by LangChain's own default: members fill the schema through a tool in any case.
_IGNORED = frozenset({"method", "strict"})


class _ObjectParser(JsonOutputKeyToolsParser):
    """The object of a call as it is, once it is valid by the schema; parts of it while it is streamed."""

    normal: Callable[[Any], Any]

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        value = super().parse_result(result, partial=partial)
        if value is None or (partial and not _is_last(result[0])) or self.normal(value) is not None:
            return value
        raise OutputParserException(
            f"No member gave an object that is valid by {self.key_name}; the winner's is {value!r}."
        )


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
    """The object that a model's call holds, parsed as LangChain's chat models parse it.

    Args:
        bound: The model with the schema's tool bound.
        structure: Schema of the object.
        include_raw: Whether the message is returned too, and parsing errors instead of being raised.
    """
    schema = structure.schema
    parser: JsonOutputKeyToolsParser | PydanticToolsParser
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        parser = PydanticToolsParser(tools=[schema], first_tool_only=True)
    else:
        parser = _ObjectParser(key_name=structure.tool["name"], first_tool_only=True, normal=structure.normal)
    if not include_raw:
        return bound | parser
    done = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | done.with_fallbacks([failed], exception_key="parsing_error")
