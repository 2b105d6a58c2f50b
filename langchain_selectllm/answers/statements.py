"""The part of a reply that answers the query, and the statements of an answer in it."""

import re
from collections import deque
from collections.abc import Iterator, Sequence

SPAN = 400
"""Characters that are read of a statement, or of a last line."""

_STATEMENTS = 64
"""Statements that are read, counted from the end. With SPAN it bounds the work on a reply of any length."""

# A model that has answered often goes on: with the next few-shot question, past its own end mark, or with a
# summary of "all the answers" to further questions. Both alternatives start with a literal, which
# keeps the search fast.
_RUN_ON = re.compile(
    r"\n[ \t]{0,8}(?:(?:[#*_>]{1,6}[ \t]?)?(?i:question|q)[ \t]?[0-9]{0,4}[*_]{0,2}[ \t]?:"
    r"|Now, [^\n]{0,60}?(?:\b(?:answers|questions)\b|答案))"
    r"|<(?:/s>|EOS_TOKEN>|end_of_turn>|\|(?:im_end|eot_id|endoftext|end)\|>)"
)


# White space and marks that end a word; a point may stand within a number.
_CLOSERS = (" ", "\t", "\n", ")", "]", "}", "*", '"', "”", "’", "!", "?")


def cue(nouns: Sequence[str], *others: str) -> re.Pattern[str]:
    """Pattern of what introduces a committed answer; a match ends where the answer begins.

    Args:
        nouns: Words in lower case for what is stated ("answer"), as in "the answer … is" and "Answer:".
        others: Further patterns, each ending where its answer begins.
    """
    # The boundary is looked up behind the word: with it in front, the search could not skip to the first
    # letters.
    spelt = "|".join(
        rf"(?:[{noun[0]}{noun[0].upper()}]{noun[1:]}|{noun.upper()})(?<!\w.{{{len(noun)}}})" for noun in nouns
    )
    stated = rf"(?:{spelt})s?\b[*_]{{0,3}}[^\n.,;:=()]{{0,60}}?(?:\b(?i:is|are|be)\b|[:=≈→]|->)"
    return re.compile("|".join([stated, r"\\f?boxed\s{0,3}\{", *others]))


def own_part(reply: str) -> str:
    """`reply` up to the point where it runs on into something else, such as a new question."""
    for match in _RUN_ON.finditer(reply):
        if reply[: match.start()].strip():
            return reply[: match.start()]
    return reply


def runs_on(reply: str) -> bool:
    """Whether `reply` ended before its text does, and runs on into something else."""
    return len(own_part(reply)) < len(reply)


def whole_words(text: str) -> str:
    """The text of a reply that was cut off, without a last word that may be part of a longer one."""
    if not text.strip() or text.endswith(_CLOSERS):
        return text
    last_word = text.rsplit(maxsplit=1)[-1]
    return text.removesuffix(last_word)


def statements(text: str, pattern: re.Pattern[str]) -> Iterator[str]:
    """The text behind each cue in `text`, the last cue first, one line and SPAN characters at most."""
    for match in reversed(deque(pattern.finditer(text), maxlen=_STATEMENTS)):
        behind = text[match.end() : match.end() + SPAN]
        # A cue may stand alone on its line ("Answer:") or open mark-up ("is: **"); the answer follows.
        if match[0].endswith("{"):
            yield _braced(behind)
        else:
            yield behind.lstrip(": \t\r\n").partition("\n")[0]


def last_line(text: str) -> str:
    """The last line that is not blank, its last SPAN characters at most."""
    return text.rstrip()[-SPAN:].rpartition("\n")[2].strip()


def _braced(text: str) -> str:
    """`text` up to the brace that closes the one before it, or up to the end of its line when none does."""
    depth = 1
    for position, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[:position]
    return text.partition("\n")[0]
