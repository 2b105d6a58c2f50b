"""Weighted n-grams of the training texts, looked up by hash."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders.ngrams import HASH_BITS
from langchain_selectllm.encoders.sparse import SparseRows

# The number of a text takes 10 of the other bits.
_COLUMN_BITS = 32


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
            chunks: Entries of `NgramHashes`, each chunk of other texts.
            n_texts: Texts in all chunks.
            min_texts: Texts that an n-gram must occur in.
        """
        hashes = [np.unique(chunk) & HASH_BITS for chunk in chunks]
        known, counts = np.unique(np.concatenate(hashes), return_counts=True)
        kept = counts >= min(min_texts, n_texts)
        idf = np.log((1 + n_texts) / (1 + counts[kept])) + 1
        return cls(known[kept], idf.astype(np.float32))

    def rows(self, entries: NDArray[np.uint64], n_texts: int) -> tuple[SparseRows, NDArray[np.uint64]]:
        """Features of n texts, and the entries that the vocabulary lacks.

        A feature is (1 + log count) * idf, scaled to unit length per text.

        Args:
            entries: One field of `NgramHashes`.
            n_texts: Texts that the entries are of.

        Returns:
            Rows (n, n_columns) and entries, equal ones as often as they occur.
        """
        hashes = entries & HASH_BITS
        places, found = self._lookup.places(hashes)
        known = found == hashes
        # A text's number before the column: sorted, they are in the order of the rows.
        cells = ((entries & ~HASH_BITS) << np.uint64(_COLUMN_BITS)) | places.astype(np.uint64)
        cells, counts = _distinct(cells[known])
        texts = (cells >> np.uint64(_COLUMN_BITS)).astype(np.intp)
        columns = (cells & np.uint64((1 << _COLUMN_BITS) - 1)).astype(np.int32)
        values = (1 + np.log(counts.astype(np.float32))) * self.idf[columns]
        lengths = np.bincount(texts, minlength=n_texts)
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        scaled = values / _norms(values, indptr)[texts]
        return SparseRows(indptr, columns, scaled, len(self.hashes)), entries[~known]

    @cached_property
    def _lookup(self) -> "_Lookup":
        return _Lookup.of(self.hashes)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Lookup:
    """Sorted hashes by their first bits, about one for every two values of these bits."""

    hashes: NDArray[np.uint64]
    """The hashes, and a larger value behind them, (n_columns + 1,)."""
    starts: NDArray[np.int32]
    """Place of the first hash that has these first bits or larger ones."""
    shift: np.uint64
    """Bits behind the first ones."""

    @classmethod
    def of(cls, hashes: NDArray[np.uint64]) -> "_Lookup":
        n_bits = len(hashes).bit_length() + 1
        shift = np.uint64(64 - n_bits)
        starts = np.searchsorted(hashes, np.arange(1 << n_bits, dtype=np.uint64) << shift)
        padded = np.append(hashes, np.uint64((1 << 64) - 1))
        return cls(hashes=padded, starts=starts.astype(np.int32), shift=shift)

    def places(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
        """Place of the first hash that is not smaller, for each of these, and the hash at that place."""
        places = self.starts[(hashes >> self.shift).astype(np.intp)]
        found = self.hashes[places]
        smaller = np.flatnonzero(found < hashes)
        while len(smaller):
            places[smaller] += 1
            found[smaller] = self.hashes[places[smaller]]
            smaller = smaller[found[smaller] < hashes[smaller]]
        return places, found


def count_distinct(entries: NDArray[np.uint64], n_texts: int) -> NDArray[np.int64]:
    """How many different n-grams of each of n texts are among entries of `NgramHashes`, (n,)."""
    distinct, _ = _distinct(entries)
    return np.bincount((distinct & ~HASH_BITS).astype(np.intp), minlength=n_texts)


def _distinct(values: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The different values, sorted, and the count of each."""
    # numpy.unique does the same in more than twice the time for the few values of one text.
    ordered = np.sort(values)
    first = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    bounds = np.append(np.flatnonzero(first), len(ordered))
    return ordered[bounds[:-1]], bounds[1:] - bounds[:-1]


def _norms(values: NDArray[np.float32], indptr: NDArray[np.int64]) -> NDArray[np.float32]:
    """Euclidean length of the values of each text, (n,); without meaning where it has none."""
    # The appended 0 closes the last text; reduceat adds up each text alone, whatever stands beside it.
    squares = np.add.reduceat(np.append(values * values, np.float32(0)), indptr)
    norms: NDArray[np.float32] = np.sqrt(squares[:-1])
    return norms
