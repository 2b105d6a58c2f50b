"""Surface features of a text beside its words: length, options, formulas, digits."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_OPTION = re.compile(r"^[ \t]*\(?[A-J][).:]\s", re.MULTILINE)
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
    first = _OPTION.search(text)
    stem, n_options = text, 0
    if first:
        stem = text[: first.start()]
        n_options = len(_OPTION.findall(text))
    lower = text.lower()
    counts = [len(text), len(stem), len(text) - len(stem), stem.count(" "), text.count("\n")]
    counts.extend(lower.count(cue) for cue in _CUES)
    return [*counts, n_options]
