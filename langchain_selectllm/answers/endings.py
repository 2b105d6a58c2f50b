"""How replies end: complete, refused, or cut off; and the answers that may be read from them."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from langchain_selectllm.answers.base import AnswerExtractor, ReadsCutOff

REFUSAL = "refusal"
"""Finish reason of a reply that refuses, whatever its provider calls it."""

_FIELDS = ("finish_reason", "stop_reason", "stopReason", "done_reason")
"""Names under which providers report why a reply ended."""


class Ending(Enum):
    """How a reply ended."""

    COMPLETE = "complete"
    REFUSED = "refused"
    CUT_OFF = "cut off"


# Words of OpenAI, Anthropic, Google, Mistral, Cohere, Amazon and Ollama, in lower case.
_ENDINGS = {
    REFUSAL: Ending.REFUSED,
    "content_filter": Ending.REFUSED,
    "content_filtered": Ending.REFUSED,
    "guardrail_intervened": Ending.REFUSED,
    "error_toxic": Ending.REFUSED,
    "safety": Ending.REFUSED,
    "recitation": Ending.REFUSED,
    "blocklist": Ending.REFUSED,
    "prohibited_content": Ending.REFUSED,
    "spii": Ending.REFUSED,
    "length": Ending.CUT_OFF,
    "max_tokens": Ending.CUT_OFF,
    "max_output_tokens": Ending.CUT_OFF,
    "model_length": Ending.CUT_OFF,
    "model_context_window_exceeded": Ending.CUT_OFF,
}


def ending_of(finish_reason: str | None) -> Ending:
    """The ending that a finish reason stands for; complete where it is unknown."""
    if finish_reason is None:
        return Ending.COMPLETE
    return _ENDINGS.get(finish_reason.casefold(), Ending.COMPLETE)


def finish_reason_of(
    content: str | Sequence[str | Mapping[str, Any]],
    additional_kwargs: Mapping[str, Any],
    response_metadata: Mapping[str, Any],
) -> str | None:
    """The finish reason of a message, from its fields; None where its provider reports none.

    Providers report a refusal by a standard block, in `additional_kwargs` or by the finish reason. The first
    two give `REFUSAL`, the last the provider's own word.
    """
    if additional_kwargs.get("refusal") or _has_refusal_block(content):
        return REFUSAL
    for name in _FIELDS:
        if isinstance(response_metadata.get(name), str):
            return str(response_metadata[name])
    # OpenAI's responses have no finish reason.
    incomplete = response_metadata.get("incomplete_details")
    if isinstance(incomplete, Mapping) and isinstance(incomplete.get("reason"), str):
        return str(incomplete["reason"])
    return None


def _has_refusal_block(content: str | Sequence[str | Mapping[str, Any]]) -> bool:
    if isinstance(content, str):
        return False
    types = [block.get("type") for block in content if isinstance(block, Mapping)]
    return REFUSAL in types


def read_answer(
    extractor: AnswerExtractor, reply: str, query: str | None = None, *, finish_reason: str | None = None
) -> str | None:
    """The canonical answer of a reply, read alike in serving, grading and training; None = abstain.

    A refused reply abstains. One that was cut off abstains unless it had stated its answer before; a callable
    decides that by itself.

    Args:
        extractor: Reads the text.
        reply: Full text of the reply.
        query: Text of the query.
        finish_reason: The provider's word for the end of the reply.
    """
    ending = ending_of(finish_reason)
    if ending is Ending.REFUSED:
        return None
    if ending is Ending.CUT_OFF and isinstance(extractor, ReadsCutOff):
        return extractor.extract_cut_off(reply, query)
    return extractor.extract(reply, query)
