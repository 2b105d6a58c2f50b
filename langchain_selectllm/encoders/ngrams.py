"""Hashes of the words of texts and of pairs of neighbours, without a Python loop over their characters."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MAX_CHARACTERS = 20_000
"""Characters of a text that are read, so that a pasted book does not slow the decision down."""

MAX_TEXTS = 1 << 10
"""Texts that are hashed at once: the number of a text takes the lowest bits of a hash."""

HASH_BITS = np.uint64((1 << 64) - MAX_TEXTS)
"""Bits of an entry of `ngram_hashes` that are the hash; the others are the number of its text."""

_BASE = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_BIGRAM = np.uint64(0xD6E8FEB86659FD93)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_UNSPACED = ((0x0E00, 0x109F), (0x1780, 0x17FF), (0x2E80, 0xD7FF), (0x20000, 0x3FFFF))
"""Scripts written without spaces, where every character is a word of its own: Thai to Myanmar, Khmer, Han,
kana and Hangul, rarer Han characters."""
_IN_WORD = np.zeros(256, dtype=np.bool_)
"""Whether each code point below 256 is part of a word."""
_IN_WORD[ord("0") : ord("9") + 1] = True
_IN_WORD[ord("a") : ord("z") + 1] = True
_IN_WORD[0xAA:] = True


def ngram_hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Words and pairs of neighbouring words of at most `MAX_TEXTS` texts, (n_words + n_pairs,).

    54 bits of a hash, then 10 bits of the number of the text. An n-gram has the same hash in every text.

    A rolling (Karp-Rabin) hash: with prefix sums of c_i P^i modulo 2^64, the hash of any span is one
    subtraction and one product away, wherever the span stands.
    """
    # A line break ends each text, and is part of no word.
    read = [f"{text[:MAX_CHARACTERS].lower()}\n" for text in texts]
    codes = _code_points("".join(read))
    powers, inverse = _powers(len(codes))
    prefix = np.empty(len(codes) + 1, dtype=np.uint64)
    prefix[0] = 0
    # In place, here and below: memory that was just used is still in the cache.
    sums = prefix[1:]
    np.add(codes, np.uint64(1), out=sums)
    sums *= powers[: len(codes)]
    np.cumsum(sums, out=sums)
    starts, ends = _words(codes)
    words = (prefix.take(ends) - prefix.take(starts)) * inverse.take(starts)
    numbers = np.searchsorted(np.cumsum(list(map(len, read))), starts, side="right").astype(np.uint64)
    paired = numbers[:-1] == numbers[1:]
    pairs = (words[:-1] * _BIGRAM + words[1:])[paired]
    return _entries(np.concatenate([words, pairs]), np.concatenate([numbers, numbers[:-1][paired]]))


def _code_points(text: str) -> NDArray[np.uint8] | NDArray[np.uint32]:
    """Code points of a text, (n,), in the smallest type that holds them."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32)


def _words(codes: NDArray[np.uint8] | NDArray[np.uint32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Start and end of each word, (n_words,)."""
    if codes.dtype == np.uint8:
        # Of ASCII alone: a word starts and ends where it changes. The last character is in no word.
        word = _IN_WORD.take(codes)
        edges = np.flatnonzero(word[1:] != word[:-1]) + 1
        if word[:1].any():
            edges = np.concatenate([[0], edges])
        return edges[::2], edges[1::2]
    word = (codes >= 256) | _IN_WORD.take(np.minimum(codes, 255))
    alone = np.zeros(len(codes), dtype=np.bool_)
    for first, last in _UNSPACED:
        alone |= (codes >= first) & (codes <= last)
    before = np.concatenate([[False], word[:-1]])
    starts = np.flatnonzero(word & (~before | alone | np.concatenate([[False], alone[:-1]])))
    after = np.concatenate([word[1:], [False]])
    ends = np.flatnonzero(word & (~after | alone | np.concatenate([alone[1:], [False]]))) + 1
    return starts, ends


def _entries(hashes: NDArray[np.uint64], numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The hashes mixed, with the numbers of their texts; in place."""
    shifted = hashes >> np.uint64(33)
    hashes ^= shifted
    hashes *= _MIX
    np.right_shift(hashes, np.uint64(29), out=shifted)
    hashes ^= shifted
    hashes &= HASH_BITS
    hashes |= numbers
    return hashes


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
