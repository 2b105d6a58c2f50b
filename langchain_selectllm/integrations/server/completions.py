"""Replies as OpenAI's chat completions and chunks of them."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata

_FINISH_REASONS = {
    "length": "length",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "SAFETY": "content_filter",
}
"""The words of providers for the end of a reply, in OpenAI's; any other means "stop"."""


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """Fields that all chunks of one reply share."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, message: AIMessage, selectllm: Mapping[str, Any]) -> dict[str, Any]:
        """The whole reply."""
        choice = {
            "index": 0,
            "message": assistant_message(message),
            "finish_reason": finish_reason(message),
            "logprobs": None,
        }
        completion = {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [choice],
            "selectllm": dict(selectllm),
        }
        if message.usage_metadata is not None:
            completion["usage"] = usage(message.usage_metadata)
        return completion

    def chunk(self, delta: Mapping[str, Any], *, finish: str | None = None, **further: Any) -> dict[str, Any]:
        """A chunk with one choice."""
        choice = {"index": 0, "delta": dict(delta), "finish_reason": finish, "logprobs": None}
        return {**self._chunk_fields(), "choices": [choice], **further}

    def usage_chunk(self, counted: UsageMetadata | None) -> dict[str, Any]:
        """The chunk behind the last one, with the summed usage and no choice."""
        return {**self._chunk_fields(), "choices": [], "usage": usage(counted)}

    def _chunk_fields(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
        }


def assistant_message(message: AIMessage) -> dict[str, Any]:
    """The message of a completion: text, tool calls and refusal."""
    shown: dict[str, Any] = {
        "role": "assistant",
        "content": message.text,
        "refusal": message.additional_kwargs.get("refusal"),
    }
    calls = tool_calls(message)
    if calls:
        shown["tool_calls"] = calls
        shown["content"] = message.text or None
    return shown


def tool_calls(message: AIMessage) -> list[dict[str, Any]]:
    """The calls of tools, arguments as text; arguments that are not JSON come as the model wrote them."""
    calls: list[dict[str, Any]] = []
    if message.tool_calls:
        formatted = convert_to_openai_messages([AIMessage("", tool_calls=message.tool_calls)])
        calls += formatted[0]["tool_calls"]
    for call in message.invalid_tool_calls:
        function = {"name": call["name"] or "", "arguments": call["args"] or ""}
        calls.append({"type": "function", "id": call["id"] or "", "function": function})
    return calls


def delta(chunk: AIMessageChunk) -> dict[str, Any]:
    """The new part of the reply that a chunk carries; empty where it carries none."""
    new: dict[str, Any] = {}
    if chunk.text:
        new["content"] = chunk.text
    if chunk.additional_kwargs.get("refusal"):
        new["refusal"] = chunk.additional_kwargs["refusal"]
    if chunk.tool_call_chunks:
        new["tool_calls"] = [_tool_call_delta(call) for call in chunk.tool_call_chunks]
    return new


def _tool_call_delta(call: Mapping[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = {"index": call["index"] or 0, "function": {"arguments": call["args"] or ""}}
    if call["name"]:
        part["function"]["name"] = call["name"]
    if call["id"]:
        part |= {"id": call["id"], "type": "function"}
    return part


def finish_reason(message: AIMessage) -> str:
    """OpenAI's word for the end of the winner's reply."""
    if message.tool_calls or message.invalid_tool_calls:
        return "tool_calls"
    metadata = message.response_metadata
    for name in ("finish_reason", "stop_reason", "done_reason"):
        if metadata.get(name) in _FINISH_REASONS:
            return _FINISH_REASONS[metadata[name]]
    return "stop"


def usage(counted: UsageMetadata | None) -> dict[str, Any]:
    """Summed tokens of all members; zeros where no member counts them."""
    if counted is None:
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    cached = counted.get("input_token_details", {}).get("cache_read")
    reasoning = counted.get("output_token_details", {}).get("reasoning")
    shown: dict[str, Any] = {
        "prompt_tokens": counted["input_tokens"],
        "completion_tokens": counted["output_tokens"],
        "total_tokens": counted["total_tokens"],
    }
    if cached is not None:
        shown["prompt_tokens_details"] = {"cached_tokens": cached}
    if reasoning is not None:
        shown["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return shown
