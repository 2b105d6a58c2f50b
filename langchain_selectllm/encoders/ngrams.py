"""Hashes of the word and character n-grams of a text, without a Python loop over its characters."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MAX_CHARACTERS = 20_000
"""Characters of a text that are read, so that a pasted book does not slow the decision down."""

_BASE = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_BIGRAM = np.uint64(0xD6E8FEB86659FD93)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
# Scripts written without spaces (Han, kana, Hangul …): every character is a word of its own.
_IDEOGRAPHS = (0x2E80, 0xD7FF)


def ngram_hashes(text: str) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Hashes of the words with their pairs, and of the character 4-grams, each in order of the text.

    A rolling (Karp-Rabin) hash: with prefix sums of c_i P^i modulo 2^64, the hash of any span is one
    subtraction and one product away.
    """
    codes = np.frombuffer(text[:MAX_CHARACTERS].lower().encode("utf-32-le", "replace"), dtype=np.uint32)
    powers, inverse = _powers(len(codes))
    prefix = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.cumsum((codes.astype(np.uint64) + np.uint64(1)) * powers[: len(codes)], out=prefix[1:])
    starts, ends = _words(codes)
    words = (prefix[ends] - prefix[starts]) * inverse[starts]
    pairs = words[:-1] * _BIGRAM + words[1:]
    at = np.arange(max(len(codes) - 3, 0))
    characters = (prefix[at + 4] - prefix[at]) * inverse[at] + np.uint64(1)
    return _mix(np.concatenate([words, pairs])), _mix(characters)


def _words(codes: NDArray[np.uint32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    ideograph = (codes >= _IDEOGRAPHS[0]) & (codes <= _IDEOGRAPHS[1])
    digit = (codes >= ord("0")) & (codes <= ord("9"))
    word = digit | ((codes >= ord("a")) & (codes <= ord("z"))) | (codes >= 0xAA)
    before = np.concatenate([[False], word[:-1]])
    starts = np.flatnonzero(word & (~before | ideograph | np.concatenate([[False], ideograph[:-1]])))
    after = np.concatenate([word[1:], [False]])
    ends = np.flatnonzero(word & (~after | ideograph | np.concatenate([ideograph[1:], [False]]))) + 1
    return starts, ends


def _mix(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = (hashes ^ (hashes >> np.uint64(33))) * _MIX
    return mixed ^ (mixed >> np.uint64(29))


def _powers(length: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    # Rounded up, so that texts of like length share one table.
    size = 1 << max(length, 1024).bit_length()
    return _power_table(size)


@lru_cache(maxsize=8)
def _power_table(size: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    inverse = pow(_BASE, -1, 1 << 64)
    tables = []
    for base in (_BASE, inverse):
        table = np.full(size, base & _MASK, dtype=np.uint64)
        table[0] = 1
        tables.append(np.cumprod(table, dtype=np.uint64))
    return tables[0], tables[1]
