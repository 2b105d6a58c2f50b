"""Exact text as an answer."""

import re
from dataclasses import dataclass
from typing import ClassVar

from langchain_selectllm.answers.statements import SPAN, cue, last_line, own_part, runs_on, whole_words

_TRAILING = " .,;:!?…。"
_MAX_STATED = 100
"""Characters of a short text; a longer statement is prose, and the whole reply is its answer."""
_LABELLED = re.compile(
    r"^[ \t*_#>-]{0,6}(?:(?:the|my)\s)?(?:(?:final|correct|short)\s)?answer[*_]{0,3}:",
    re.IGNORECASE | re.MULTILINE,
)
_STATED = cue(["answer"])
_MARKS = " \t*_`$\"“”‘’'"
# After a word of four letters, so that the point of "Dr." or "St." ends no sentence, or after a number.
_NEXT_SENTENCE = re.compile(r"(?:(?<=\w{4}[.!?])|(?<=[0-9][.!?]))\s+(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class TextExtractor:
    """The text that a reply states, or the whole reply; case, spacing and closing punctuation do not matter.

    A short text is stated by a line "Answer: Paris", or by a last line "... the answer is Paris."; of
    several labelled lines the last one counts. A reply without such a statement is its own answer.
    """

    open_ended: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Always "text"."""
        return "text"

    def extract(self, reply: str, query: str | None = None) -> str | None:  # noqa: ARG002
        """The folded answer; None when it is blank."""
        return self.canonical(reply)

    def extract_cut_off(self, reply: str, query: str | None = None) -> str | None:
        """The folded text of a statement; None without one."""
        if runs_on(reply):
            return self.extract(reply, query)
        stated = _stated(whole_words(reply))
        if stated is None:
            return None
        return self.canonical(stated)

    def canonical(self, reference: str) -> str | None:
        """The stated text, case-folded, with single spaces, without closing punctuation; None when blank.

        A text of nothing but punctuation keeps it.
        """
        text = reference
        stated = _stated(own_part(reference))
        while stated is not None:
            text = stated
            stated = _stated(text)
        folded = " ".join(text.casefold().split())
        return folded.rstrip(_TRAILING) or folded or None


def _stated(text: str) -> str | None:
    """The short text that `text` states as its answer; None without one."""
    labels = list(_LABELLED.finditer(text))
    if labels:
        start = labels[-1].end()
        behind = text[start : start + SPAN].lstrip(_MARKS + "\n").partition("\n")[0]
        return _short(behind)
    line = last_line(text)
    cues = list(_STATED.finditer(line))
    if not cues:
        return None
    return _short(line[cues[-1].end() :])


def _short(statement: str) -> str | None:
    stated = _NEXT_SENTENCE.split(statement.strip(), maxsplit=1)[0].strip().rstrip(_TRAILING).strip(_MARKS)
    if not stated or len(stated) > _MAX_STATED:
        return None
    return stated
