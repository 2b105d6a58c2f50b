"""The number that a reply arrives at."""

import re
from dataclasses import dataclass
from fractions import Fraction

from langchain_selectllm.answers.assertion import asserted_number, describes_computation
from langchain_selectllm.answers.numerals import numerals, render, tidy
from langchain_selectllm.answers.statements import (
    SPAN,
    cue,
    last_line,
    own_part,
    runs_on,
    statements,
    whole_words,
)

_CUE = cue(["answer"], r"####(?=[ \t]{0,3}[-−+$€£\\.]{0,3}[0-9])", r"A:(?<![^\n]A:)")
_HEDGE = re.compile(
    r"(?:[\s*_`\"“‘'(\[{~≈]|\\(?:text|textbf|mathbf|mathrm)\{|\\[(\[]|\$(?=\\)|"
    r"(?:about|approximately|around|roughly|exactly|only|just|therefore|thus|equal to|a total of)\b){0,8}",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_FULL_STOP = re.compile(r"[.!?。！？][\s*_`$\"”'’)\]}]*$")
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")
_LABEL = re.compile(r"^[-*\s]{0,6}(?:[0-9]{1,2}[.)]\s)?\*\*[^*\n]{1,80}(?::\*\*|\*\*:)")
_ARITHMETIC = re.compile(r"[0-9][^=≈]*?[-−–+*×x/÷][^=≈]*?[0-9][^=≈]*[=≈]")
_REFERS_BACK = re.compile(r"(?:so|therefore|thus|hence|this|that|which|these|it)\b", re.IGNORECASE)
_OPEN_END = re.compile(
    r"\b(?:solv\w+|equations?|need|since|must|then|next|to|round\w*|we|will|not?|but)\b|n[’']t\b",
    re.IGNORECASE,
)


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
        """The number that `reply` states; None without one, or with several of which none is singled out."""
        text = own_part(reply)
        value = _committed(text)
        if value is None:
            value = _arrived_at(text)
        if value is None:
            return None
        return render(value)

    def extract_cut_off(self, reply: str, query: str | None = None) -> str | None:
        """The number of the last committed statement; None without one."""
        if runs_on(reply):
            return self.extract(reply, query)
        value = _committed(whole_words(reply))
        if value is None:
            return None
        return render(value)

    def canonical(self, reference: str) -> str | None:
        """The number of a bare reference ("18", "$1,234", "3/4") or of a worked solution ("... #### 18")."""
        return self.extract(reference)


def _committed(text: str) -> Fraction | None:
    """The number of the last statement of an answer that has one."""
    for statement in statements(text, _CUE):
        value = _stated(tidy(statement))
        if value is not None:
            return value
    return None


def _stated(statement: str) -> Fraction | None:
    """The number a statement begins with, otherwise the one that its sentence asserts."""
    start = _HEDGE.match(statement)
    first = next(numerals(statement), None)
    if first and start and first.start == start.end() and first.value is not None:
        return first.value
    return asserted_number(_SENTENCE_END.split(statement, maxsplit=1)[0])


def _arrived_at(text: str) -> Fraction | None:
    """The number in bold in the last line of `text`, otherwise the one that the last sentence asserts."""
    # A label in bold ("**Year 3:** ...") is no answer.
    line = _LABEL.sub("", last_line(text)) or last_line(text)
    for bold in reversed(_BOLD.findall(line)):
        value = asserted_number(tidy(bold))
        if value is not None:
            return value
    sentence = _SENTENCE_END.split(tidy(line))[-1]
    if any(numerals(sentence)):
        return asserted_number(sentence, is_cut_off=len(text) > SPAN and not _FULL_STOP.search(line))
    return _concluded_before(text, sentence)


def _concluded_before(text: str, sentence: str) -> Fraction | None:
    """The result of the equation before a last sentence without numbers that refers back ("So ...")."""
    if not _REFERS_BACK.match(sentence) or _OPEN_END.search(sentence) or describes_computation(sentence):
        return None
    before = text.rstrip()[: -len(sentence)].rstrip()[-SPAN:]
    previous = _SENTENCE_END.split(tidy(last_line(before)))[-1]
    if not _ARITHMETIC.search(previous):
        return None
    return asserted_number(previous)
