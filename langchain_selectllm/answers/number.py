"""The number that a reply arrives at."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from langchain_selectllm.answers.numerals import Numeral, numerals, render, tidy
from langchain_selectllm.answers.statements import cue, last_line, own_part, statements

if TYPE_CHECKING:
    from collections.abc import Sequence

_CUE = cue(["answer"], r"####(?=[ \t]{0,3}[-−+$€£\\.]{0,3}[0-9])", r"A:(?<![^\n]A:)")
_HEDGE = re.compile(
    r"(?:[\s*_`\"“‘'(\[{~≈]|\\(?:text|textbf|mathbf|mathrm)\{|\\[(\[]|\$(?=\\)|"
    r"(?:about|approximately|around|roughly|exactly|only|just|therefore|thus|equal to|a total of)\b){0,8}",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_EQUALS = re.compile(r"[=≈]|\\approx\b")
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")


@dataclass(frozen=True, slots=True)
class NumberExtractor:
    """Answers are numbers, compared by exact value: "1,234.50" is "1234.5", "3/4" is "0.75", "25%" is "25".

    The last committed statement wins; without one, the number that the last line ends on.
    """

    @property
    def name(self) -> str:
        """Always "number"."""
        return "number"

    def extract(self, reply: str, query: str | None = None) -> str | None:  # noqa: ARG002
        """The number that `reply` commits itself to; None when there is none, or several and none is singled out."""
        text = own_part(reply)
        for statement in statements(text, _CUE):
            value = _stated(tidy(statement))
            if value is not None:
                return render(value)
        value = _arrived_at(last_line(text))
        return None if value is None else render(value)

    def canonical(self, reference: str) -> str | None:
        """The number of a bare reference ("18", "$1,234", "3/4"), or of a worked solution that ends in "#### 18"."""
        return self.extract(reference)


def _stated(statement: str) -> Fraction | None:
    """The number a statement begins with, otherwise what its sentence arrives at."""
    start = _HEDGE.match(statement)
    first = next(numerals(statement), None)
    if first and start and first.start == start.end() and first.value is not None:
        return first.value
    return _only(_SENTENCE_END.split(statement, maxsplit=1)[0])


def _arrived_at(line: str) -> Fraction | None:
    """The number in bold, otherwise what the last sentence of `line` arrives at."""
    bold = _BOLD.findall(line)
    if bold:
        value = _only(tidy(bold[-1]))
        if value is not None:
            return value
    return _only(_SENTENCE_END.split(tidy(line))[-1])


def _only(sentence: str) -> Fraction | None:
    """The first number behind the last equals sign, or the only number of a sentence without one."""
    behind = _EQUALS.split(sentence)[-1]
    found: Sequence[Numeral] = list(numerals(behind))
    if len(found) == 1 or (found and len(behind) < len(sentence)):
        return found[0].value
    return None
