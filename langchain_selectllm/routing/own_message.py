"""The router's message as the chat model's own: its model name, its run, and its costs."""

from typing import Any, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.utils.utils import LC_ID_PREFIX

_Message = TypeVar("_Message", AIMessage, AIMessageChunk)

_COSTS = ("input_cost", "output_cost", "total_cost")


def own_message(message: _Message, model: str, *, with_costs: bool) -> _Message:
    """The message under the chat model's name; the winner's stays in the metadata as `winner_model`.

    Summed tokens under the winner's name would be priced at the winner's rates.

    Args:
        message: The router's message.
        model: Name of the chat model, or of the member that was called by name.
        with_costs: Whether `usage_metadata` has the known costs under LangSmith's names.
    """
    message = _without_run_id(message)
    response_metadata = {**message.response_metadata, "model_name": model}
    update: dict[str, Any] = {"response_metadata": response_metadata}
    if with_costs and message.usage_metadata is not None:
        priced = response_metadata["selectllm"]["usage"] or {}
        costs = {key: priced[key] for key in _COSTS if key in priced}
        update["usage_metadata"] = {**message.usage_metadata, **costs}
    return message.model_copy(update=update)


def own_chunk(chunk: AIMessageChunk, model: str, *, with_costs: bool) -> AIMessageChunk:
    """The chunk under the chat model's name, which the last one carries: several names are joined."""
    if chunk.chunk_position == "last":
        return own_message(chunk, model, with_costs=with_costs)
    if "model_name" not in chunk.response_metadata:
        return _without_run_id(chunk)
    kept = {key: value for key, value in chunk.response_metadata.items() if key != "model_name"}
    return _without_run_id(chunk).model_copy(update={"response_metadata": kept})


def as_cached(message: BaseMessage) -> BaseMessage:
    """A reply from LangChain's cache: nobody was called for it, so that its costs are 0."""
    metadata = message.response_metadata.get("selectllm")
    if not isinstance(message, AIMessage) or metadata is None:
        return message
    by_member = dict.fromkeys(metadata["cost"]["by_member"], 0.0)
    cost = {"known_usd": 0.0, "estimated_usd": 0.0, "by_member": by_member, "estimated": [], "unknown": []}
    free = {**metadata, "cached": True, "cost_usd": 0.0, "cost": cost, "usage": _free(metadata["usage"])}
    update = {
        "response_metadata": {**message.response_metadata, "selectllm": free},
        "usage_metadata": _free(message.usage_metadata),
    }
    return message.model_copy(update=update)


def _free(usage: Any) -> Any:
    """The usage with the costs that it has set to 0, in whole numbers, which langchain-core can add."""
    if usage is None:
        return None
    return {**usage, **dict.fromkeys(usage.keys() & set(_COSTS), 0)}


def _without_run_id(message: _Message) -> _Message:
    """The message without the id of a member's run, which no callback of the caller has seen."""
    if message.id is None or not message.id.startswith(LC_ID_PREFIX):
        return message
    return message.model_copy(update={"id": None})
