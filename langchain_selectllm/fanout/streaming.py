"""Messages as chunks: one member's own stream, or the winner's message cut up."""

import json
import re
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

_WORDS = re.compile(r"\s*\S+\s*")


def as_reply(value: Any) -> AIMessage:
    """What a member returned.

    Raises:
        TypeError: If that is no message of a model.
    """
    if isinstance(value, AIMessage):
        return value
    raise TypeError(
        f"The member returned a {type(value).__name__}. Register what returns an AIMessage, such as a chat model."
    )


def as_chunk(value: Any) -> AIMessageChunk:
    """What a member returned, as one chunk; a chunk is returned as it is.

    Raises:
        TypeError: If that is no message of a model.
    """
    message = as_reply(value)
    if isinstance(message, AIMessageChunk):
        return message
    fields = {
        name: getattr(message, name)
        for name in ("content", "additional_kwargs", "response_metadata", "id", "name")
    }
    return AIMessageChunk(
        **fields, usage_metadata=message.usage_metadata, tool_call_chunks=_tool_call_chunks(message)
    )


def message_chunks(message: AIMessage) -> Iterator[AIMessageChunk]:
    """A finished message word by word; tool calls, usage and metadata come with the last chunk.

    Content that is a list of blocks comes in one chunk.
    """
    last = as_chunk(message)
    words: list[str] = _WORDS.findall(message.content) if isinstance(message.content, str) else []
    for word in words[:-1]:
        yield AIMessageChunk(content=word, id=message.id)
    rest: Any = words[-1] if words else message.content
    yield last.model_copy(update={"content": rest, "chunk_position": "last"})


def open_end(chunk: AIMessageChunk) -> AIMessageChunk:
    """The chunk without the sign that it is the last: ours comes behind it."""
    return chunk.model_copy(update={"chunk_position": None}) if chunk.chunk_position else chunk


def closing_chunk(message: AIMessage) -> AIMessageChunk:
    """The last chunk of a streamed reply: what `message` tells about the decision."""
    told = {"selectllm": message.response_metadata["selectllm"]}
    return AIMessageChunk(content="", id=message.id, response_metadata=told, chunk_position="last")


def _tool_call_chunks(message: AIMessage) -> list[ToolCallChunk]:
    calls = [
        (call["name"], json.dumps(call["args"], ensure_ascii=False), call["id"])
        for call in message.tool_calls
    ]
    calls += [(call["name"] or "", call["args"] or "", call["id"]) for call in message.invalid_tool_calls]
    return [
        tool_call_chunk(name=name, args=args, id=call_id, index=i)
        for i, (name, args, call_id) in enumerate(calls)
    ]
