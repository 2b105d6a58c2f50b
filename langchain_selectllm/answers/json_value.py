"""A JSON value as an answer."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_OPENING = re.compile(r"[{\[]")
# A reply is searched from its end; this much of it, so that a flood of brackets costs no time.
_MAX_SEARCHED = 20_000
_MAX_FALSE_STARTS = 2_000


@dataclass(frozen=True, slots=True)
class JsonExtractor:
    """Answers are JSON values, equal whatever the order of their keys, their spacing, and whether 1 was written 1.0."""

    @property
    def name(self) -> str:
        """Always "json"."""
        return "json"

    def extract(self, reply: str, query: str | None = None) -> str | None:  # noqa: ARG002
        """The whole reply where it is JSON, else the last fenced block, else the last object or array; None without any."""
        whole = self.canonical(reply)
        if whole is not None:
            return whole
        fenced = [value for value in map(self.canonical, _FENCED.findall(reply)) if value is not None]
        values = fenced or list(_embedded(reply[-_MAX_SEARCHED:]))
        return values[-1] if values else None

    def canonical(self, reference: str) -> str | None:
        """`reference` as compact JSON with sorted keys; None where it is no JSON."""
        try:
            return _render(_DECODER.decode(reference.strip()))
        except (ValueError, RecursionError):
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
            yield _render(value)


def _render(value: Any) -> str:
    return json.dumps(_whole(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _whole(value: Any) -> Any:
    """The value with whole numbers as integers."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
