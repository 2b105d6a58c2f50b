"""Tool calls as answers: equal calls are equal strings."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

_DIGITS = 12


def canonical_calls(calls: Iterable[Mapping[str, Any]]) -> str | None:
    """One string for a set of tool calls, whatever their order, ids and the spelling of numbers; None without calls.

    Args:
        calls: Mappings with "name" and "args".
    """
    written = sorted(canonical_json({"name": call["name"], "args": call["args"]}) for call in calls)
    return f"[{', '.join(written)}]" if written else None


def canonical_json(value: Any) -> str:
    """The value as JSON with sorted keys and one spelling for equal numbers: 3, 3.0 and 3.0000000000001 are 3."""
    return json.dumps(_normal(value), sort_keys=True, ensure_ascii=False, default=str)


def _normal(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _normal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(item) for item in value]
    if isinstance(value, float) and math.isfinite(value):
        # A long whole number has more digits than rounding would leave it.
        rounded = value if value.is_integer() else float(f"{value:.{_DIGITS}g}")
        return int(rounded) if rounded.is_integer() else rounded
    return value
