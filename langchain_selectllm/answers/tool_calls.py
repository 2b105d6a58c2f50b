"""Tool calls as one canonical answer, so that members can vote on what to do next."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def canonical_tool_calls(calls: Sequence[Mapping[str, Any]]) -> str:
    """Names and arguments as JSON; the order of calls and of keys does not matter, nor whether 2 is written 2.0.

    Args:
        calls: Mappings with "name" and "args"; ids are ignored.
    """
    written = [json.dumps([call["name"], _plain(call["args"])], sort_keys=True, ensure_ascii=False) for call in calls]
    return f"[{', '.join(sorted(written))}]"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
