"""Hashes of the word and character n-grams of texts, without a Python loop over their characters."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MAX_CHARACTERS = 20_000
"""Characters of a text that are read, so that a pasted book does not slow the decision down."""

MAX_TEXTS = 1 << 10
"""Texts that are hashed at once: the number of a text takes the lowest bits of a hash."""

HASH_BITS = np.uint64((1 << 64) - MAX_TEXTS)
"""Bits of an entry of `NgramHashes` that are the hash; the others are the number of its text."""

_BASE = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_BIGRAM = np.uint64(0xD6E8FEB86659FD93)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
# Scripts written without spaces (Han, kana, Hangul …): every character is a word of its own.
_IDEOGRAPHS = (0x2E80, 0xD7FF)
_GRAM = 4
_LAST_PLACES = np.arange(1, _GRAM + 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class NgramHashes:
    """N-grams of up to `MAX_TEXTS` texts: 54 bits of a hash, then 10 bits of the number of the text."""

    words: NDArray[np.uint64]
    """Words and pairs of neighbouring words, (n_words + n_pairs,)."""
    characters: NDArray[np.uint64]
    """Character 4-grams, (n_4_grams,)."""


def ngram_hashes(texts: Sequence[str]) -> NgramHashes:
    """Hashes of the n-grams of at most `MAX_TEXTS` texts; an n-gram has the same hash in every text.

    A rolling (Karp-Rabin) hash: with prefix sums of c_i P^i modulo 2^64, the hash of any span is one
    subtraction and one product away, wherever the span stands.
    """
    read = [text[:MAX_CHARACTERS].lower() for text in texts]
    # A line break ends each text: it is part of no word, and 4-grams that hold it are left out.
    joined = "".join([f"{text}\n" for text in read])
    codes = np.frombuffer(joined.encode("utf-32-le", "replace"), dtype=np.uint32)
    lengths = np.array([len(text) + 1 for text in read])
    numbers = np.arange(len(texts), dtype=np.uint64)
    powers, inverse = _powers(len(codes))
    prefix = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.cumsum((codes.astype(np.uint64) + np.uint64(1)) * powers[: len(codes)], out=prefix[1:])
    starts, ends = _words(codes)
    words = (prefix[ends] - prefix[starts]) * inverse[starts]
    word_text = np.repeat(numbers, lengths)[starts]
    paired = word_text[:-1] == word_text[1:]
    pairs = (words[:-1] * _BIGRAM + words[1:])[paired]
    spans = (prefix[_GRAM:] - prefix[:-_GRAM]) * inverse[: max(len(prefix) - _GRAM, 0)]
    characters = spans[_within_texts(lengths)[: len(spans)]] + np.uint64(1)
    return NgramHashes(
        words=_mix(np.concatenate([words, pairs])) | np.concatenate([word_text, word_text[:-1][paired]]),
        characters=_mix(characters) | np.repeat(numbers, np.maximum(lengths - _GRAM, 0)),
    )


def _within_texts(lengths: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Places whose 4-gram holds no line break, given the lengths of the texts with their line breaks."""
    ends = np.cumsum(lengths)
    within = np.ones(ends[-1], dtype=np.bool_)
    # The last places of a text, those before its start aside.
    within[ends[:, None] - np.minimum(_LAST_PLACES, lengths[:, None])] = False
    return within


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
    return (mixed ^ (mixed >> np.uint64(29))) & HASH_BITS


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
