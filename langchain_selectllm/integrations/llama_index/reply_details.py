"""Token counts and finish reasons in the raw responses of LlamaIndex LLMs, as their providers name them."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from llama_index.core.base.llms.types import ChatResponse

from langchain_selectllm.answers.endings import finish_reason_of


def usage_of(response: ChatResponse) -> UsageMetadata | None:
    """Tokens of one reply; None where the provider does not count."""
    usage = _fields(response.raw).get("usage")
    counts = response.additional_kwargs if usage is None else _fields(usage)
    n_input = counts.get("prompt_tokens", counts.get("input_tokens"))
    n_output = counts.get("completion_tokens", counts.get("output_tokens"))
    if n_input is None or n_output is None:
        return None
    # Anthropic counts tokens of its cache beside the input, OpenAI as parts of it.
    n_read = _number(counts, "cache_read_input_tokens")
    n_written = _number(counts, "cache_creation_input_tokens")
    n_input += n_read + n_written
    n_read += _detail(counts, ("prompt_tokens_details", "input_tokens_details"), "cached_tokens")
    n_reasoning = _detail(counts, ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens")
    found = UsageMetadata(input_tokens=n_input, output_tokens=n_output, total_tokens=n_input + n_output)
    if n_read or n_written:
        found["input_token_details"] = InputTokenDetails(cache_read=n_read, cache_creation=n_written)
    if n_reasoning:
        found["output_token_details"] = OutputTokenDetails(reasoning=n_reasoning)
    return found


def ending_of_response(response: ChatResponse) -> dict[str, str]:
    """The finish reason as metadata of a LangChain message; empty where the provider reports none.

    Of a stream's responses some carry none: the last one often holds the token counts alone.
    """
    raw = _fields(response.raw)
    choices = raw.get("choices") or [None]
    choice = _fields(choices[0])
    details = {**raw, **choice, "incomplete_details": _fields(raw.get("incomplete_details"))}
    for name, value in details.items():
        if isinstance(value, Enum):
            details[name] = value.value
    spoken = {**response.message.additional_kwargs, **_refusal(_fields(choice.get("message")))}
    reason = finish_reason_of("", spoken, details)
    return {} if reason is None else {"finish_reason": reason}


def _refusal(message: Mapping[str, Any]) -> dict[str, Any]:
    refusal = message.get("refusal")
    return {} if refusal is None else {"refusal": refusal}


def _fields(value: Any) -> Mapping[str, Any]:
    """Fields of a mapping or an object; empty for None."""
    if isinstance(value, Mapping):
        return value
    return getattr(value, "__dict__", {})


def _number(counts: Mapping[str, Any], name: str) -> int:
    return int(counts.get(name) or 0)


def _detail(counts: Mapping[str, Any], groups: tuple[str, ...], name: str) -> int:
    """A count in the first group of details that has it; 0 without one."""
    return next(filter(None, (_number(_fields(counts.get(group)), name) for group in groups)), 0)
