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
_KINDS = bytes.maketrans((string.digits + string.ascii_uppercase).encode(), b"0" * 10 + b"A" * 26)
"""A digit as 0, a capital as A."""
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
    length = stem = len(text)
    n_options, breaks = 0, text.count("\n")
    # A break stands before the first line too; positions are then those of the text.
    lines = f"\n{text}"
    if breaks or _OPTION.match(lines):
        starts = [option.start() for option in _OPTION.finditer(lines)]
        n_options = len(starts)
        if starts:
            stem = starts[0]
    sizes = (length, stem, length - stem, text.count(" ", 0, stem), breaks, n_options)
    return sizes + _kinds(text)


def _kinds(text: str) -> tuple[int, ...]:
    """Numbers of digits, of capitals and of characters beyond ASCII."""
    kinds = text.encode("ascii", "ignore").translate(_KINDS)
    return kinds.count(b"0"), kinds.count(b"A"), len(text) - len(kinds)


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
