"""The options that a multiple-choice query offers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

_LABEL = re.compile(r"^[ \t]*(?:\(([A-J])\)|\[([A-J])\]|([A-J])[.):])(?=\s)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Options:
    """A question and what it offers as answers."""

    stem: str
    """Text before the options."""
    texts: Mapping[str, str]
    """Option texts by letter, folded; empty when the query shows no options."""


def parse_options(query: str) -> Mapping[str, str]:
    """Option texts by letter, folded; empty when the query shows no options. See `read_options`."""
    return read_options(query).texts


@lru_cache(maxsize=1024)
def read_options(query: str) -> Options:
    """The options that a query shows.

    Options stand on lines of their own, labelled "(A)", "[A]", "A.", "A)" or "A:" from A on without a gap.
    Of several such lists (few-shot examples before the question) the last one counts.
    """
    runs: list[list[re.Match[str]]] = [[]]
    for match in _LABEL.finditer(query):
        letter = match[match.lastindex or 0]
        if letter == "A":
            runs.append([])
        if letter == chr(ord("A") + len(runs[-1])):
            runs[-1].append(match)
    labels = runs[-1]
    if len(labels) < 2:
        return Options(query, MappingProxyType({}))
    # An option may run over several lines, except the last one, behind which other text may stand.
    ends = [label.start() for label in labels[1:]] + [_end_of_line(query, labels[-1].end())]
    texts = {
        label[label.lastindex or 0]: fold(query[label.end() : end])
        for label, end in zip(labels, ends, strict=True)
    }
    return Options(query[: labels[0].start()], MappingProxyType(texts))


def fold(text: str) -> str:
    """`text` in lower case, runs of white space as one space, without a closing full stop."""
    return " ".join(text.lower().split()).removesuffix(".")


def _end_of_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    if end < 0:
        return len(text)
    return end
