"""Messages of the router as responses of a LlamaIndex LLM."""

from typing import Any

from langchain_core.messages import AIMessage
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock

from langchain_selectllm.integrations.llama_index.messages import to_llama_index
from langchain_selectllm.integrations.llama_index.tools import openai_call

_TOKEN_COUNTS = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "total_tokens": "total_tokens",
}


def response_of(message: AIMessage, *, parallel: bool, delta: str | None = None) -> ChatResponse:
    """The response for a message of the router.

    Args:
        message: The winning message, or the chunks of it so far.
        parallel: Whether the reply may hold several tool calls; only the first is kept otherwise.
        delta: Text that the last chunk added.
    """
    reply = to_llama_index(message)
    calls = calls_of(reply)
    if not parallel:
        dropped = set(map(id, calls[1:]))
        reply.blocks = [block for block in reply.blocks if id(block) not in dropped]
        calls = calls[:1]
    if calls:
        # LlamaIndex's streams of objects look here whether there is a call.
        reply.additional_kwargs["tool_calls"] = list(map(openai_call, calls))
    metadata = message.response_metadata.get("selectllm")
    counts = _token_counts(message)
    raw = {
        "selectllm": metadata,
        "model": message.response_metadata.get("model_name"),
        "usage": counts or None,
    }
    extra: dict[str, Any] = dict(counts)
    if metadata:
        extra["selectllm"] = metadata
    return ChatResponse(message=reply, delta=delta, raw=raw, additional_kwargs=extra)


def calls_of(message: ChatMessage) -> list[ToolCallBlock]:
    """The tool calls of a message."""
    return [block for block in message.blocks if isinstance(block, ToolCallBlock)]


def appended(whole: Any, chunk: Any) -> Any:
    """The chunks so far with one more; the first chunk where there is none before."""
    if whole is None:
        return chunk
    return whole + chunk


def _token_counts(message: AIMessage) -> dict[str, int]:
    """Token counts under the names that LlamaIndex reads."""
    usage: dict[str, Any] = dict(message.usage_metadata or {})
    counts: dict[str, int] = {}
    for theirs, ours in _TOKEN_COUNTS.items():
        if ours in usage:
            counts[theirs] = usage[ours]
    return counts
