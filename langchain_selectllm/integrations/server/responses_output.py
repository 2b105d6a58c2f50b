"""Replies as response objects of OpenAI's Responses API."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from langchain_selectllm.integrations.server.completions import finish_reason, tool_calls, usage
from langchain_selectllm.integrations.server.errors import ApiError
from langchain_selectllm.integrations.server.responses_body import ResponsesBody

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def new_id(prefix: str) -> str:
    """A fresh id of an object."""
    return f"{prefix}_{uuid.uuid4().hex}"


@dataclass(frozen=True, kw_only=True)
class ResponseEnvelope:
    """Fields that all versions of one response share."""

    model: str
    body: ResponsesBody
    id: str = field(default_factory=lambda: new_id("resp"))
    created_at: float = field(default_factory=time.time)

    def response(
        self,
        status: str,
        output: Sequence[Mapping[str, Any]] = (),
        *,
        counted: UsageMetadata | None = None,
        **further: Any,
    ) -> dict[str, Any]:
        """The response in one of its states."""
        body = self.body
        shown = {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "model": self.model,
            "output": list(output),
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": body.reasoning,
            "store": False,
            "temperature": body.temperature,
            "text": body.text or {"format": {"type": "text"}},
            "tool_choice": body.tool_choice or "auto",
            "tools": body.tools or [],
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": _usage(counted),
        }
        return {**shown, **further}

    def finished(
        self,
        message: AIMessage,
        output: Sequence[Mapping[str, Any]],
        selectllm: Mapping[str, Any],
        counted: UsageMetadata | None,
    ) -> dict[str, Any]:
        """The response with the whole reply."""
        reason = _INCOMPLETE.get(finish_reason(message))
        if reason is None:
            return self.response("completed", output, counted=counted, selectllm=dict(selectllm))
        details = {"reason": reason}
        return self.response(
            "incomplete", output, counted=counted, selectllm=dict(selectllm), incomplete_details=details
        )

    def failed(self, error: ApiError) -> dict[str, Any]:
        """The response that an error ended."""
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        return self.response("failed", error={"code": code, "message": error.message})


def output_items(message: AIMessage) -> list[dict[str, Any]]:
    """The text of a reply and its calls of tools as output items."""
    items = []
    calls = tool_calls(message)
    if message.text or not calls:
        items.append(message_item(new_id("msg"), message.text))
    for call in calls:
        function = call["function"]
        items.append(call_item(new_id("fc"), call["id"], function["name"], function["arguments"]))
    return items


def message_item(item_id: str, text: str | None) -> dict[str, Any]:
    """A message; one that is still to be written when the text is None."""
    item: dict[str, Any] = {"id": item_id, "type": "message", "role": "assistant"}
    if text is None:
        return {**item, "status": "in_progress", "content": []}
    return {**item, "status": "completed", "content": [text_part(text)]}


def text_part(text: str) -> dict[str, Any]:
    """The text of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def call_item(
    item_id: str, call_id: str, name: str, arguments: str, *, status: str = "completed"
) -> dict[str, Any]:
    """A call of a tool."""
    return {
        "id": item_id,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def _usage(counted: UsageMetadata | None) -> dict[str, Any] | None:
    if counted is None:
        return None
    chat = usage(counted)
    cached = chat.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    reasoning = chat.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
    return {
        "input_tokens": chat["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": chat["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": chat["total_tokens"],
    }
