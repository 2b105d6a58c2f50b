"""A JSON value as an answer."""

import json
import math
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_OPENING = re.compile(r"[{\[]")
# A reply is searched from its end; this much of it, so that a flood of brackets costs no time.
_MAX_SEARCHED = 20_000
_MAX_FALSE_STARTS = 2_000
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class JsonExtractor:
    """Answers are JSON values; order of keys, spacing and spelling of numbers (1, 1.0) do not matter."""

    @property
    def name(self) -> str:
        """Always "json"."""
        return "json"

    def extract(self, reply: str, query: str | None = None) -> str | None:  # noqa: ARG002
        """The whole reply where it is JSON, else the last fenced block, object or array; None without any."""
        whole = self.canonical(reply)
        if whole is not None:
            return whole
        for block in reversed(_FENCED.findall(reply)):
            value = self.canonical(block)
            if value is not None:
                return value
        found = deque(_embedded(reply[-_MAX_SEARCHED:]), maxlen=1)
        return next(iter(found), None)

    def extract_cut_off(self, reply: str, query: str | None = None) -> str | None:  # noqa: ARG002
        """The whole reply where it is a closed object or array, else the last fenced block; None without."""
        if reply.rstrip().endswith(("}", "]")):
            return self.canonical(reply)
        for block in reversed(_FENCED.findall(reply)):
            value = self.canonical(block)
            if value is not None:
                return value
        return None

    def canonical(self, reference: str) -> str | None:
        """`reference` as JSON with sorted keys; None where it is no JSON."""
        try:
            return canonical_json(_DECODER.decode(reference.strip()))
        except (ValueError, RecursionError):
            return None


def read_json(reply: str) -> Any:
    """The JSON value that is the whole reply, or else its last fenced block; None without one."""
    for text in (reply, *reversed(_FENCED.findall(reply))):
        try:
            return _DECODER.decode(text.strip())
        except (ValueError, RecursionError):
            continue
    return None


def _embedded(text: str) -> Iterator[str]:
    """The objects and arrays that stand in the text, from left to right."""
    position = false_starts = 0
    while false_starts < _MAX_FALSE_STARTS and (opening := _OPENING.search(text, position)) is not None:
        try:
            value, position = _DECODER.raw_decode(text, opening.start())
        except ValueError:
            position = opening.end()
            false_starts += 1
        except RecursionError:
            return
        else:
            yield canonical_json(value)


def canonical_json(value: Any) -> str:
    """The value as JSON with sorted keys and one spelling for equal numbers: 3, 3.0, 3.0000000000001 are 3.

    Numbers that are not whole are rounded to 12 significant digits, which takes the error of a computation
    away.
    """
    return json.dumps(_normal(value), sort_keys=True, ensure_ascii=False, default=str)


def _normal(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _normal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(item) for item in value]
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    # A long whole number has more digits than rounding would leave it.
    if not value.is_integer():
        value = float(f"{value:.{_DIGITS}g}")
    if value.is_integer():
        return int(value)
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
