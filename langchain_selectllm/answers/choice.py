"""The letter of a multiple-choice answer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from langchain_selectllm.answers.letters import UNDECIDED, lone_letter, read_letter
from langchain_selectllm.answers.options import fold, parse_options
from langchain_selectllm.answers.statements import SPAN, cue, last_line, own_part, statements

_CUE = cue(["answer", "option", "choice"])

_ASSERTED = re.compile(
    r"(?:\(([A-J])\)|\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s([A-J])\b|\b([A-J]))[*_]{0,2}\s(?:is|seems|must be|would be)\s"
    r"(?:therefore\s|thus\s|indeed\s|clearly\s)?(?:the\s)?(?:most\s|best\s|only\s)?"
    r"(?:correct|right|true|best|answer|accurate|appropriate)\b"
)
_CONCLUDED = re.compile(
    r"\b(?:is|are|be|option|choice|choose|select|pick|to|matches|answer|of)[\s:*_]{1,4}\(([A-J])\)[^()]{0,200}$"
)
_NEGATED = re.compile(
    r"\b(?:not|no|never|neither|nor|cannot|except|incorrect|wrong|false|eliminated?|rules? out)\b|n[’']t\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_WORD = re.compile(r"[^\W\d_]{3}")
_MARKS = " \t*_`$\"“‘'(["
_LABEL_FIRST = re.compile(r"[*_\s]{0,4}(?:\([A-J]\)|[A-J][.):](?=[\s*_]|$))[*_]{0,2}\s?")
_ITEM = re.compile(r"[ \t*_-]{0,4}\(?([A-J])(?:[.):]|$)")
_LABELS = re.compile(r"\(([A-J])\)|^[ \t*_]{0,4}([A-J])[.):](?=\s)", re.MULTILINE)
# A line that is nothing but "Answer: (C)".
_ANSWER_LINE = re.compile(
    r"^[ \t*_#>-]{0,6}(?:(?:the|my)\s)?(?:(?:final|correct|best)\s)?answer[ \t]?[*_]{0,3}:[ \t*_`(\[$]{0,6}"
    r"(?-i:([A-J]))[ \t*_`)\]$.]{0,6}$",
    re.IGNORECASE | re.MULTILINE,
)
# "Consider each choice: (A) means …" opens a list: nothing is stated, though "choice:" looks like it.
_LIST_OPENED = re.compile(
    r"(?:\b[Ee](?:ach|very)\s(?:\w{1,20}\s)?(?:option|choice):(?=[\s*_]{0,6}\(?A[).:])"
    r"|\b(?:[Oo]ption|[Cc]hoice)s?:(?=[\s*_]{0,6}\(?A[).:](?:[^\n]{0,400}\n){1,9}?[ \t*_-]{0,4}\(?B[).:]))"
)
_ENDED = re.compile(r"[.!?:)\]}$*\"”'。！？）]\s*$")
_REPR = re.compile(r"""\[(["'])(.*)\1\]""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ChoiceExtractor:
    """Answers are letters from A to J, bounded by the options that the query shows.

    A last line that is nothing but "Answer: (C)" decides; otherwise the last committed statement wins. An English "A"
    or "I" is no answer, and neither are two letters in one statement.
    """

    @property
    def name(self) -> str:
        """Always "choice"."""
        return "choice"

    def extract(self, reply: str, query: str | None = None) -> str | None:
        """The letter that `reply` commits itself to; None when there is none, several, or one that `query` lacks."""
        options = {} if query is None else parse_options(query)
        text = own_part(reply).strip()
        # RouterBench writes a reply as the one element of a Python list.
        if listed := _REPR.fullmatch(text):
            text = listed[2]
        for read in (_final_line, _stated, _labelled, _asserted, _verbatim):
            letter = read(text, options)
            if letter is not None:
                return letter if letter and (not options or letter in options) else None
        return None

    def canonical(self, reference: str) -> str | None:
        """The letter of a bare reference ("c", "(C)", "C. text"), or of a sentence that states it."""
        return self.extract(reference)


def _final_line(text: str, _: Mapping[str, str]) -> str | None:
    """The letter of a last line that is an answer line, whatever was stated before it in other words.

    None where an earlier answer line names another letter: such a reply corrects itself or runs in circles.
    """
    named = _ANSWER_LINE.findall(text)
    if len(set(named)) == 1 and _ANSWER_LINE.match(last_line(text)):
        return str(named[0])
    return None


def _stated(text: str, options: Mapping[str, str]) -> str | None:
    """What the last statement of an answer names, as a letter or as the text of an option.

    UNDECIDED when the statements name three letters or more: such a reply lists the options, or repeats itself.
    """
    prose = _LIST_OPENED.sub("", text)
    read = (
        _option_at_start(statement, options) or read_letter(statement)
        for statement in statements(prose, _CUE)
    )
    named = [letter for letter in read if letter is not None]
    if len(set(named)) > 2:
        return UNDECIDED
    return named[0] if named else None


def _labelled(text: str, options: Mapping[str, str]) -> str | None:
    """The letter that is the last or the first line, or the label that the reply begins with and no other follows."""
    last, first = "" if _in_a_list(text) else last_line(text), text[:SPAN].partition("\n")[0]
    alone = lone_letter(last) or lone_letter(first)
    if alone or not _LABEL_FIRST.match(first):
        return alone
    letter = read_letter(first)
    others = {match[match.lastindex or 0] for match in _LABELS.finditer(text)} - {letter}
    if letter and not others and _option_at_start(_unlabelled(first), options) in (None, letter):
        return letter
    return None


def _asserted(text: str, _: Mapping[str, str]) -> str | None:
    """The one letter said to be correct, or the one that the last sentence arrives at; UNDECIDED between two."""
    asserted = {letter for groups in _ASSERTED.findall(text) for letter in groups if letter}
    if asserted:
        return asserted.pop() if len(asserted) == 1 else UNDECIDED
    sentence = _last_sentence(text)
    concluded = None if _NEGATED.search(sentence) else _CONCLUDED.search(sentence)
    return concluded[1] if concluded else None


def _verbatim(text: str, options: Mapping[str, str]) -> str | None:
    """The one option whose text is the reply or its last line, or stands in its last sentence, unless that was cut off."""
    line = "" if _in_a_list(text) else fold(_unlabelled(last_line(text)))
    whole, sentence = fold(text[: 2 * SPAN]), fold(_last_sentence(text))
    for letter, option in options.items():
        if option == whole or (option == line and _WORD.search(option)):
            return letter
    if len(text) > SPAN and not _ENDED.search(text[-SPAN:]):
        return None
    if _NEGATED.search(sentence):
        return None
    found = {letter: option for letter, option in options.items() if _stands_in(option, sentence)}
    longest = max(found.values(), key=len, default="")
    rest = sentence.replace(longest, " ")
    others = [letter for letter, option in found.items() if option != longest and _stands_in(option, rest)]
    named = [letter for letter, option in found.items() if option == longest]
    return named[0] if len(named) == 1 and not others else None


def _option_at_start(text: str, options: Mapping[str, str]) -> str | None:
    """The option whose text `text` begins with as a whole word, the longest one of several; None without one."""
    folded = fold(text.lstrip(_MARKS))
    fits = [
        (len(option), letter)
        for letter, option in options.items()
        if len(option) > 1
        and folded.startswith(option)
        and not folded[len(option) : len(option) + 1].isalnum()
    ]
    return max(fits)[1] if fits else None


def _unlabelled(line: str) -> str:
    label = _LABEL_FIRST.match(line)
    return line[label.end() :] if label else line


def _in_a_list(text: str) -> bool:
    """Whether the last line is the next item of a list of options, whose letter it only gets round to."""
    lines = [line for line in text[-4 * SPAN :].splitlines() if line.strip()][-2:]
    labels = [match[1] for line in lines if (match := _ITEM.match(line))]
    return len(labels) == 2 and ord(labels[1]) == ord(labels[0]) + 1


def _stands_in(option: str, sentence: str) -> bool:
    """Whether an option of at least one word of three letters stands in `sentence` between word boundaries."""
    return bool(_WORD.search(option) and re.search(rf"(?<!\w){re.escape(option)}(?!\w)", sentence))


def _last_sentence(text: str) -> str:
    return _SENTENCE_END.split(last_line(text))[-1]
