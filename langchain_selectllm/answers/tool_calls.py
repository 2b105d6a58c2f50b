"""Tool calls as answers: equal calls are equal strings."""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_selectllm.answers.json_value import canonical_json


def canonical_calls(calls: Iterable[Mapping[str, Any]]) -> str | None:
    """One string for a set of tool calls, whatever their order and ids; None without calls.

    Args:
        calls: Mappings with "name" and "args".
    """
    written = sorted(canonical_json({"name": call["name"], "args": call["args"]}) for call in calls)
    if not written:
        return None
    return f"[{', '.join(written)}]"
