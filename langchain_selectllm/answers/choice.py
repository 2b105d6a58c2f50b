"""The letter of a multiple-choice answer."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from langchain_selectllm.answers.letters import UNDECIDED, lone_letter, read_letter
from langchain_selectllm.answers.options import fold, parse_options
from langchain_selectllm.answers.statements import (
    SPAN,
    cue,
    last_line,
    own_part,
    runs_on,
    statements,
    whole_words,
)

_Reading = Callable[[str, Mapping[str, str]], str | None]
"""From a text and its options to a letter, UNDECIDED, or None."""

_CUE = cue(["answer", "option", "choice"])

_ASSERTED = re.compile(
    r"(?:\(([A-J])\)|\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s([A-J])\b|\b([A-J]))[*_]{0,2}"
    r"\s(?:is|seems|must be|would be)\s"
    r"(?:therefore\s|thus\s|indeed\s|clearly\s)?(?:the\s)?(?:most\s|best\s|only\s)?"
    r"(?:correct|right|true|best|answer|accurate|appropriate)\b"
)
_CONCLUDED = re.compile(
    r"\b(?:is|are|be|option|choice|choose|select|pick|to|matches|answer|of)[\s:*_]{1,4}"
    r"\(([A-J])\)[^()]{0,200}$"
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
# "Consider each choice: (A) means …" opens a list and states nothing, in spite of "choice:".
_LIST_OPENED = re.compile(
    r"(?:\b[Ee](?:ach|very)\s(?:\w{1,20}\s)?(?:option|choice):(?=[\s*_]{0,6}\(?A[).:])"
    r"|\b(?:[Oo]ption|[Cc]hoice)s?:(?=[\s*_]{0,6}\(?A[).:](?:[^\n]{0,400}\n){1,9}?[ \t*_-]{0,4}\(?B[).:]))"
)
_ENDED = re.compile(r"[.!?:)\]}$*\"”'。！？）]\s*$")
_REPR = re.compile(r"""\[(["'])(.*)\1\]""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ChoiceExtractor:
    """Answers are letters from A to J, bounded by the options that the query shows.

    A last line that is nothing but "Answer: (C)" decides; otherwise the last committed statement wins. An
    English "A" or "I" is no answer, and neither are two letters in one statement.
    """

    @property
    def name(self) -> str:
        """Always "choice"."""
        return "choice"

    def extract(self, reply: str, query: str | None = None) -> str | None:
        """The letter that `reply` states; None without one, with several, or if `query` lacks it."""
        text = own_part(reply).strip()
        # RouterBench writes a reply as the one element of a Python list.
        if listed := _REPR.fullmatch(text):
            text = listed[2]
        return _first_letter((_final_line, _stated, _labelled, _asserted, _verbatim), text, query)

    def extract_cut_off(self, reply: str, query: str | None = None) -> str | None:
        """The letter of the last committed statement, or one that is the whole reply; None without either."""
        if runs_on(reply) or lone_letter(reply.strip()):
            return self.extract(reply, query)
        return _first_letter((_final_line, _stated), whole_words(reply).strip(), query)

    def canonical(self, reference: str) -> str | None:
        """The letter of a bare reference ("c", "(C)", "C. text"), or of a sentence that states it."""
        return self.extract(reference)


def _first_letter(readings: Sequence[_Reading], text: str, query: str | None) -> str | None:
    """The letter of the first reading that finds one; None if it is undecided, or if `query` lacks it."""
    options: Mapping[str, str] = {}
    if query is not None:
        options = parse_options(query)
    for read in readings:
        letter = read(text, options)
        if letter is None:
            continue
        if letter == UNDECIDED or (options and letter not in options):
            return None
        return letter
    return None


def _final_line(text: str, _: Mapping[str, str]) -> str | None:
    """The letter of a last line that is an answer line, whatever was stated before it in other words.

    None where an earlier answer line names another letter: such a reply corrects itself or runs in circles.
    """
    named = _ANSWER_LINE.findall(text)
    if len(set(named)) == 1 and _ANSWER_LINE.match(last_line(text)):
        return str(named[0])
    return None


def _stated(text: str, options: Mapping[str, str]) -> str | None:
    """The letter that the last statement of an answer names, by itself or by the text of an option.

    UNDECIDED when the statements name three letters or more: such a reply lists the options, or repeats
    itself.
    """
    prose = _LIST_OPENED.sub("", text)
    named: list[str] = []
    for statement in statements(prose, _CUE):
        letter = _option_at_start(statement, options) or read_letter(statement)
        if letter is not None:
            named.append(letter)
    if len(set(named)) > 2:
        return UNDECIDED
    return next(iter(named), None)


def _labelled(text: str, options: Mapping[str, str]) -> str | None:
    """The letter that is the last or the first line, or the only label, at the start of the reply."""
    first = text[:SPAN].partition("\n")[0]
    alone = lone_letter(_concluding_line(text)) or lone_letter(first)
    if alone or not _LABEL_FIRST.match(first):
        return alone
    letter = read_letter(first)
    others = _letters(_LABELS, text) - {letter}
    if letter and not others and _option_at_start(_unlabelled(first), options) in (None, letter):
        return letter
    return None


def _asserted(text: str, _: Mapping[str, str]) -> str | None:
    """The letter that is called correct, or the one that the last sentence concludes with.

    UNDECIDED when two are called correct.
    """
    asserted = _letters(_ASSERTED, text)
    if len(asserted) > 1:
        return UNDECIDED
    if asserted:
        return asserted.pop()
    sentence = _last_sentence(text)
    concluded = _CONCLUDED.search(sentence)
    if concluded is None or _NEGATED.search(sentence):
        return None
    return concluded[1]


def _verbatim(text: str, options: Mapping[str, str]) -> str | None:
    """The one option whose text is the reply or its last line, or stands in its last sentence.

    None where a long reply was cut off in that sentence.
    """
    line = fold(_unlabelled(_concluding_line(text)))
    whole, sentence = fold(text[: 2 * SPAN]), fold(_last_sentence(text))
    for letter, option in options.items():
        if option == whole or (option == line and _WORD.search(option)):
            return letter
    was_cut_off = len(text) > SPAN and not _ENDED.search(text[-SPAN:])
    if was_cut_off or _NEGATED.search(sentence):
        return None
    return _only_option(options, sentence)


def _only_option(options: Mapping[str, str], sentence: str) -> str | None:
    """The one option that stands in `sentence`; options within the longest one do not count."""
    found = [letter for letter, option in options.items() if _stands_in(option, sentence)]
    if not found:
        return None
    best = max(found, key=lambda letter: len(options[letter]))
    rest = sentence.replace(options[best], " ")
    for letter in found:
        is_same = letter != best and options[letter] == options[best]
        if is_same or _stands_in(options[letter], rest):
            return None
    return best


def _option_at_start(text: str, options: Mapping[str, str]) -> str | None:
    """The option that `text` begins with, word for word; the longest one of several, None without one."""
    folded = fold(text.lstrip(_MARKS))
    fits: list[tuple[int, str]] = []
    for letter, option in options.items():
        behind = folded[len(option) : len(option) + 1]
        if len(option) > 1 and folded.startswith(option) and not behind.isalnum():
            fits.append((len(option), letter))
    return max(fits, default=(0, None))[1]


def _unlabelled(line: str) -> str:
    label = _LABEL_FIRST.match(line)
    if label is None:
        return line
    return line[label.end() :]


def _letters(pattern: re.Pattern[str], text: str) -> set[str]:
    """The letters that a pattern with one group per way of writing them finds."""
    return {match[match.lastindex or 0] for match in pattern.finditer(text)}


def _concluding_line(text: str) -> str:
    """The last line; empty where it is only the next item of a list of options."""
    if _is_next_item(text):
        return ""
    return last_line(text)


def _is_next_item(text: str) -> bool:
    """Whether the last line is an item of a list of options: its label follows that of the line before."""
    lines = list(filter(str.strip, text[-4 * SPAN :].splitlines()))
    if len(lines) < 2:
        return False
    before, last = _ITEM.match(lines[-2]), _ITEM.match(lines[-1])
    if before is None or last is None:
        return False
    return ord(last[1]) == ord(before[1]) + 1


def _stands_in(option: str, sentence: str) -> bool:
    """Whether an option with a word of three letters stands in `sentence` between word boundaries."""
    return bool(_WORD.search(option) and re.search(rf"(?<!\w){re.escape(option)}(?!\w)", sentence))


def _last_sentence(text: str) -> str:
    return _SENTENCE_END.split(last_line(text))[-1]
