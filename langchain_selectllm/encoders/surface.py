"""Surface features of a text beside its words: length, options, formulas, digits."""

import re
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
N_SURFACE = 9 + len(_CUES)


def surface_features(texts: Sequence[str]) -> NDArray[np.float64]:
    """Raw surface features of n texts, (n, N_SURFACE); unscaled.

    Logarithms of the counts (length, length before and from the first option, spaces before it, lines, cues),
    then the number of options and the shares of digits, capitals and characters beyond ASCII.
    """
    counts = np.array([_counts(text) for text in texts], dtype=np.float64).reshape(len(texts), -1)
    # The line break behind each text is none of the characters that are counted.
    codes = np.frombuffer(("\n".join(texts) + "\n").encode("utf-32-le", "replace"), dtype=np.uint32)
    lengths = counts[:, 0]
    starts = np.concatenate([[0], np.cumsum(lengths[:-1] + 1)]).astype(np.intp)
    digits = (codes >= ord("0")) & (codes <= ord("9"))
    capitals = (codes >= ord("A")) & (codes <= ord("Z"))
    kinds = np.stack([digits, capitals, codes > 127]).astype(np.float64)
    shares = np.add.reduceat(kinds, starts, axis=1).T / np.maximum(lengths, 1)[:, None]
    return np.concatenate([np.log1p(counts[:, :-1]), counts[:, -1:], shares], axis=1)


def _counts(text: str) -> list[int]:
    """Length, length of the stem and behind it, spaces of the stem, lines, cues, and options of one text."""
    # A break stands before the first line too; positions are then those of the text.
    starts = [option.start() for option in _OPTION.finditer("\n" + text)]
    stem = text[: starts[0]] if starts else text
    counts = [len(text), len(stem), len(text) - len(stem), stem.count(" "), text.count("\n")]
    return [*counts, *map(text.lower().count, _CUES), len(starts)]
