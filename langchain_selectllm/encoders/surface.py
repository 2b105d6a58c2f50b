"""Surface features of a text beside its words: length, options, formulas, digits."""

import re

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


def surface_features(text: str) -> NDArray[np.float64]:
    """Raw surface features of one text, (N_SURFACE,); unscaled."""
    first = _OPTION.search(text)
    stem = text[: first.start()] if first else text
    n = max(len(text), 1)
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32)
    digits = (codes >= ord("0")) & (codes <= ord("9"))
    capitals = (codes >= ord("A")) & (codes <= ord("Z"))
    lower = text.lower()
    return np.array(
        [
            np.log1p(len(text)),
            np.log1p(len(stem)),
            np.log1p(len(text) - len(stem)),
            len(_OPTION.findall(text)),
            digits.sum() / n,
            capitals.sum() / n,
            (codes > 127).sum() / n,
            np.log1p(stem.count(" ")),
            np.log1p(text.count("\n")),
            *(np.log1p(lower.count(cue)) for cue in _CUES),
        ]
    )
