"""Surface features of a text beside its words: length, options, formulas, digits."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders.ngrams import code_points

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
N_SURFACE = 9 + len(_CUES)


def surface_features(texts: Sequence[str]) -> NDArray[np.float64]:
    """Raw surface features of n texts, (n, N_SURFACE); unscaled.

    Logarithms of the counts (length, length before and from the first option, spaces before it, lines, cues),
    then the number of options and the shares of digits, capitals and characters beyond ASCII.
    """
    counts = np.array([_counts(text) for text in texts], dtype=np.float64).reshape(len(texts), -1)
    lengths = counts[:, 0]
    columns = [np.log1p(counts[:, :-1]), np.log1p(_cues(texts)), counts[:, -1:]]
    shares = _kinds(texts, lengths) / np.maximum(lengths, 1)[:, None]
    return np.concatenate([*columns, shares], axis=1)


def _counts(text: str) -> tuple[int, ...]:
    """Length, length of the stem and behind it, spaces of the stem, lines, and options of one text."""
    # A break stands before the first line too; positions are then those of the text.
    starts = [option.start() for option in _OPTION.finditer("\n" + text)]
    length = stem = len(text)
    if starts:
        stem = starts[0]
    return length, stem, length - stem, text.count(" ", 0, stem), text.count("\n"), len(starts)


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


def _kinds(texts: Sequence[str], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Digits, capitals and characters beyond ASCII in each text, (n, 3)."""
    # The line break behind each text is none of them.
    codes = code_points("\n".join(texts) + "\n")
    digits = (codes >= ord("0")) & (codes <= ord("9"))
    capitals = (codes >= ord("A")) & (codes <= ord("Z"))
    ends = np.cumsum(lengths + 1).astype(np.intp)
    counts = np.zeros((len(texts), 3))
    for number, kind in enumerate((digits, capitals, codes > 127)):
        before = np.searchsorted(np.flatnonzero(kind), ends)
        counts[:, number] = np.diff(before, prepend=0)
    return counts
