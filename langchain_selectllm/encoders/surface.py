"""Surface features of a text beside its words: length, options, formulas, digits."""

import re
import string
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# From the line break before an option: the search skips from one break to the next. The space behind it is
# not consumed, as it may be the break before the next option.
_OPTION = re.compile(r"\n[ \t]*\(?[A-J][).:](?=\s)")
_CUES = (
    "?",
    "following",
    "___",
    " not ",
    "which",
    "how many",
    "calculate",
    "true",
    "def ",
    "$",
    "\\",
    "=",
    "%",
)
_DIGITS, _CAPITALS = string.digits.encode(), string.ascii_uppercase.encode()
N_SURFACE = 9 + len(_CUES)


def surface_features(texts: Sequence[str]) -> NDArray[np.float64]:
    """Raw surface features of n texts, (n, N_SURFACE); unscaled.

    Logarithms of the counts (length, length before and from the first option, spaces before it, lines, cues),
    then the number of options and the shares of digits, capitals and characters beyond ASCII.
    """
    counts = np.array([_counts(text) for text in texts], dtype=np.float64).reshape(len(texts), -1)
    sizes, n_options, kinds = counts[:, :5], counts[:, 5:6], counts[:, 6:]
    shares = kinds / np.maximum(sizes[:, :1], 1)
    return np.concatenate([np.log1p(sizes), np.log1p(_cues(texts)), n_options, shares], axis=1)


def _counts(text: str) -> tuple[int, ...]:
    """Length, length of the stem and behind it, spaces of the stem, lines, options; kinds of characters."""
    # A break stands before the first line too; positions are then those of the text.
    starts = [option.start() for option in _OPTION.finditer("\n" + text)]
    length = stem = len(text)
    if starts:
        stem = starts[0]
    sizes = (length, stem, length - stem, text.count(" ", 0, stem), text.count("\n"), len(starts))
    return sizes + _kinds(text)


def _kinds(text: str) -> tuple[int, ...]:
    """Numbers of digits, of capitals and of characters beyond ASCII."""
    ascii_text = text.encode("ascii", "ignore")
    n = len(ascii_text)
    digits, capitals = ascii_text.translate(None, _DIGITS), ascii_text.translate(None, _CAPITALS)
    return n - len(digits), n - len(capitals), len(text) - n


def _cues(texts: Sequence[str]) -> NDArray[np.float64]:
    """Count of each cue in each text, (n, n_cues)."""
    lowered = [text.lower() for text in texts]
    together = "\n".join(lowered)
    counts = np.zeros((len(texts), len(_CUES)))
    for number, cue in enumerate(_CUES):
        # Most prompts lack most cues, and one search through all of them says so.
        if cue in together:
            counts[:, number] = [text.count(cue) for text in lowered]
    return counts
