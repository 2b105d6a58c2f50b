"""Weighted n-grams of the training texts, looked up by hash."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders.ngrams import HASH_BITS
from langchain_selectllm.encoders.sparse import SparseRows


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

    def rows(self, entries: NDArray[np.uint64], n_texts: int) -> tuple[SparseRows, NDArray[np.int64]]:
        """Features of n texts, and how many distinct n-grams of each the vocabulary lacks.

        A feature is (1 + log count) * idf, scaled to unit length per text.

        Args:
            entries: One field of `NgramHashes`.
            n_texts: Texts that the entries are of.

        Returns:
            Rows (n, n_columns) and counts (n,).
        """
        texts, hashes, counts = _distinct(entries)
        columns = np.minimum(np.searchsorted(self.hashes, hashes), max(len(self.hashes) - 1, 0))
        known = np.zeros(len(hashes), dtype=np.bool_)
        if len(self.hashes):
            known = self.hashes[columns] == hashes
        n_unseen = np.bincount(texts[~known], minlength=n_texts)
        by_text = np.flatnonzero(known)
        if n_texts > 1:
            by_text = by_text[np.argsort(texts[by_text], kind="stable")]
        texts, columns = texts[by_text], columns[by_text]
        values = (1 + np.log(counts[by_text].astype(np.float32))) * self.idf[columns]
        lengths = np.bincount(texts, minlength=n_texts)
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        scaled = values / _norms(values, indptr)[texts]
        return SparseRows(indptr, columns, scaled, len(self.hashes)), n_unseen


def _distinct(
    entries: NDArray[np.uint64],
) -> tuple[NDArray[np.uint16], NDArray[np.uint64], NDArray[np.int64]]:
    """Text, hash and count of every distinct n-gram of a text, ordered by hash, then by text."""
    # Equal n-grams of a text become neighbours, and neighbours are looked up in neighbouring memory.
    entries = np.sort(entries)
    first = np.ones(len(entries), dtype=np.bool_)
    np.not_equal(entries[1:], entries[:-1], out=first[1:])
    bounds = np.append(np.flatnonzero(first), len(entries))
    distinct = entries[bounds[:-1]]
    texts = (distinct & ~HASH_BITS).astype(np.uint16)
    return texts, distinct & HASH_BITS, bounds[1:] - bounds[:-1]


def _norms(values: NDArray[np.float32], indptr: NDArray[np.int64]) -> NDArray[np.float32]:
    """Euclidean length of the values of each text, (n,); without meaning where it has none."""
    # The appended 0 closes the last text; reduceat adds up each text alone, whatever stands beside it.
    squares = np.add.reduceat(np.append(values * values, np.float32(0)), indptr)
    norms: NDArray[np.float32] = np.sqrt(squares[:-1])
    return norms
