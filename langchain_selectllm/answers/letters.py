"""Option letters in running text, not the article "A", the pronoun "I" or the start of a word."""

import re

UNDECIDED = ""
"""Read from a statement that names several letters, or names none as right."""

_FILLER = (
    r"(?i:the|option|choice|letter|answer|statement|therefore|thus|hence|then|clearly|indeed|definitely|"
    r"probably|likely|most|best|correct|closest|nearest|to|only|just|simply|in|by|given|represented)"
)
_OPEN = r"(?:\\(?:text|textbf|mathbf|mathrm|boxed|rm|bf)\s?\{|\\\(|[\s*_`$\"“‘'(\[{<])"
_CLOSERS = r"(?:\\n|\\\)|[\s*_`$\"”’')\]}>])"
_LABEL = re.compile(
    rf"[\s*_]{{0,6}}(?:{_FILLER}\b[\s:,*_]{{0,4}}){{0,5}}(?P<open>{_OPEN}{{0,8}})"
    r"(?P<letter>[A-Ja-hj])(?![A-Za-z0-9])"
)
_NONE = re.compile(r"[\s*_]{0,6}(?:none|neither)\b", re.IGNORECASE)

_OPENING = re.compile(r"[*_`$\"“‘'(\[{<]")
_ENCLOSED = re.compile(r"\s?(?:\\\)|[*_`$\"”’)\]}>])")
_ALONE = re.compile(rf"{_CLOSERS}*[.!]?{_CLOSERS}*$")
# Behind a bare letter: punctuation or an explanation. Anything else may make it a word of a sentence ("A
# dog", "I am").
_EXPLAINED = re.compile(
    r"[.,;:!?](?![A-Za-z0-9])|\s?[(\[]|\s[-–—=]\s|"
    r"\s(?:because|since|as|for|which|based|given|due|and|or|but|while|is|with)\b"
)
_ANOTHER = re.compile(
    r"(?:\\\)|[*_`$\"”’)\]}>])*\s?(?:,|/|&|,?\s?\b(?:and|or)\b)\s?(?:(?:option|choice)\s)?"
    r"[*_`$\"“‘'(\[{]{0,4}(?P<letter>[A-J])(?![\w'’-]|\s[a-z])"
)


def read_letter(text: str) -> str | None:
    """The option letter that `text` begins with, once words like "option" and mark-up are passed.

    A letter counts when it is enclosed ("(C)", "**C**"), or when its text ends or is explained behind it
    ("C.", "C because"); a small letter only when it is enclosed or alone.

    Returns:
        The letter in upper case, UNDECIDED when several are named or none is right, None when there is none.
    """
    label = _LABEL.match(text)
    if label is None:
        if _NONE.match(text):
            return UNDECIDED
        return None
    letter, behind = label["letter"], text[label.end() :]
    enclosed = _OPENING.search(label["open"]) and _ENCLOSED.match(behind)
    if not (enclosed or _ALONE.match(behind) or (letter.isupper() and _EXPLAINED.match(behind))):
        return None
    another = _ANOTHER.match(behind)
    if another and another["letter"] != letter.upper():
        return UNDECIDED
    return letter.upper()


def lone_letter(text: str) -> str | None:
    """The option letter when `text` is nothing else but it and mark-up; None otherwise."""
    label = _LABEL.match(text)
    if label is None or not _ALONE.match(text, label.end()):
        return None
    return label["letter"].upper()
