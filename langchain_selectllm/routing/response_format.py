"""The schema that a call prescribes for its replies, by `response_format` or the `format` of its `text`."""

from collections.abc import Mapping
from typing import Any

from langchain_selectllm.routing.structured_vote import StructuredVote, VoteBy


def response_structure(arguments: Mapping[str, Any]) -> StructuredVote | None:
    """The schema of the objects that members give as JSON text; None where a call prescribes none.

    Args:
        arguments: Keyword arguments of a call or of a binding. `response_format` is a class or a mapping as
            OpenAI's chat completions take it; `text` holds one under "format", as OpenAI's responses take it.

    Raises:
        AnswerError: If the JSON schema is not valid.
    """
    form = arguments.get("response_format")
    text = arguments.get("text")
    if form is None and isinstance(text, Mapping):
        form = text.get("format")
    if isinstance(form, type):
        return StructuredVote(form, in_text=True)
    if not isinstance(form, Mapping):
        return None
    if form.get("type") == "json_object":
        return StructuredVote({"title": "json_object", "type": "object"}, "whole", in_text=True)
    schema = _schema_of(form)
    if schema is None:
        return None
    by: VoteBy = "whole"
    if schema.get("type") == "object":
        by = "fields"
    structure = StructuredVote(schema, by, in_text=True)
    structure.check()
    return structure


def _schema_of(form: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON schema in a `response_format`, with a title; None without one."""
    if "properties" in form:
        return {"title": "response", **form}
    described = form
    if isinstance(form.get("json_schema"), Mapping):
        described = form["json_schema"]
    schema = described.get("schema")
    if not isinstance(schema, Mapping):
        return None
    return {**schema, "title": str(described.get("name", "response"))}
