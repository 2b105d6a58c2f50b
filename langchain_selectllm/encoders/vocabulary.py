"""Rarity of the training texts' n-grams, looked up by hash."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders.ngrams import HASH_BITS


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Hashes of the known n-grams, sorted, and the rarity of each."""

    hashes: NDArray[np.uint64]
    """(n_columns,)."""
    idf: NDArray[np.float32]
    """Smoothed inverse document frequency, (n_columns,)."""

    @classmethod
    def fit(cls, chunks: list[NDArray[np.uint64]], *, n_texts: int, min_texts: int) -> "Vocabulary":
        """The n-grams that at least `min_texts` of the texts have (all texts, where there are fewer).

        Args:
            chunks: Entries of `ngram_hashes`, each chunk of other texts.
            n_texts: Texts in all chunks.
            min_texts: Texts that an n-gram must occur in.
        """
        hashes = [np.unique(chunk) & HASH_BITS for chunk in chunks]
        known, counts = np.unique(np.concatenate(hashes), return_counts=True)
        kept = counts >= min(min_texts, n_texts)
        idf = np.log((1 + n_texts) / (1 + counts[kept])) + 1
        return cls(known[kept], idf.astype(np.float32))

    def find(self, entries: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Column of each entry of `ngram_hashes`, some column where it is not known, and whether it is."""
        places, found = self._lookup.places(entries)
        # They differ in the number of the text at most. The value behind the last hash is no hash.
        found ^= entries
        known = found <= ~HASH_BITS
        known &= places < len(self.hashes)
        return places, known

    @cached_property
    def _lookup(self) -> "_Lookup":
        return _Lookup.of(self.hashes)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Lookup:
    """Sorted hashes by their first bits, about one for every four values of these bits."""

    ends: NDArray[np.uint64]
    """The largest entry of each hash, and the largest number behind them, (n_columns + 1,)."""
    starts: NDArray[np.intp]
    """Place of the first hash that has these first bits or larger ones."""
    shift: np.uint64
    """Bits behind the first ones."""

    @classmethod
    def of(cls, hashes: NDArray[np.uint64]) -> "_Lookup":
        n_bits = len(hashes).bit_length() + 2
        shift = np.uint64(64 - n_bits)
        starts = np.searchsorted(hashes, np.arange(1 << n_bits, dtype=np.uint64) << shift)
        ends = np.append(hashes | ~HASH_BITS, np.uint64((1 << 64) - 1))
        return cls(ends=ends, starts=starts, shift=shift)

    def places(self, entries: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """Place of the first hash that is not smaller, for each entry, and the largest entry of that hash."""
        places = self.starts.take((entries >> self.shift).view(np.intp))
        found = self.ends.take(places)
        smaller = np.flatnonzero(found < entries)
        while len(smaller):
            places[smaller] += 1
            found[smaller] = self.ends.take(places[smaller])
            smaller = smaller[found[smaller] < entries[smaller]]
        return places, found


def count_distinct(entries: NDArray[np.uint64], n_texts: int) -> NDArray[np.int64]:
    """Different n-grams of each of n texts among entries of `ngram_hashes`, (n,); sorts these."""
    different, _ = distinct(entries)
    return np.bincount((different & ~HASH_BITS).view(np.intp), minlength=n_texts)


def distinct(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The different values, sorted, and the count of each; sorts `values` in place."""
    # numpy.unique does the same in more than twice the time for the few values of one text.
    values.sort()
    first = np.ones(len(values) + 1, dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=first[1:-1])
    bounds = np.flatnonzero(first)
    return values.take(bounds[:-1]), bounds[1:] - bounds[:-1]
