"""Sparse feature rows with the few operations that serving needs, in numpy alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._optional import require

_MOST_PRODUCTS = 1 << 16
"""Products that are held in memory at once, 256 KiB, which fits the cache; one row needs no fewer."""


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A compressed sparse row matrix, (n, n_columns)."""

    indptr: NDArray[np.int64]
    """Start of each row in `columns`, (n + 1,)."""
    columns: NDArray[np.int32]
    values: NDArray[np.float32]
    n_columns: int

    @classmethod
    def below(cls, parts: Sequence["SparseRows"], n_columns: int) -> "SparseRows":
        """The rows of one part behind those of another; all have `n_columns` columns."""
        if len(parts) == 1:
            return parts[0]
        lengths = [np.diff(part.indptr) for part in parts]
        return cls(
            np.concatenate([[0], np.cumsum(np.concatenate([*lengths, []]), dtype=np.int64)]),
            np.concatenate([*(part.columns for part in parts), np.empty(0, dtype=np.int32)]),
            np.concatenate([*(part.values for part in parts), np.empty(0, dtype=np.float32)]),
            n_columns,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n_columns)."""
        return len(self.indptr) - 1, self.n_columns

    def __getitem__(self, rows: NDArray[np.intp]) -> "SparseRows":
        """Rows of these numbers, in their order, as of an array."""
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        # Position of every value: that of its row's start, and its own behind that.
        places = np.repeat(self.indptr[rows] - indptr[:-1], lengths) + np.arange(indptr[-1])
        return SparseRows(indptr, self.columns[places], self.values[places], self.n_columns)

    def to_scipy(self) -> Any:
        """The same matrix for scikit-learn."""
        sparse = require("scipy.sparse", extra="train", needed_by="Training")
        return sparse.csr_matrix((self.values, self.columns, self.indptr), shape=self.shape)


def row_dots(
    features: "NDArray[np.float32] | SparseRows", weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Products of every row with K weight vectors, (n, K).

    Each sum depends on its own row alone, so that a text gets the same bits alone and in any batch, and with
    other weight vectors beside its own.

    Args:
        features: Rows, (n, n_features).
        weights: Weight vectors, (K, n_features); for sparse rows best in Fortran order, which needs no copy.
    """
    if isinstance(features, SparseRows):
        return _sparse_dots(features, weights)
    return _dense_dots(features, np.ascontiguousarray(weights))


def _dense_dots(features: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    at_once = max(_MOST_PRODUCTS // max(features.size, 1), 1)
    by_row = np.empty((len(features), len(weights)), dtype=np.float32)
    for start in range(0, len(weights), at_once):
        some = slice(start, start + at_once)
        by_row[:, some] = (features * weights[some, None, :]).sum(axis=2).T
    return by_row


def _sparse_dots(features: SparseRows, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Dot products; all K weights of a column are read at once, from the weights' transpose."""
    by_column = np.ascontiguousarray(weights.T)
    indptr, at_once = features.indptr, max(_MOST_PRODUCTS // max(len(weights), 1), 1)
    by_row = np.empty((features.shape[0], len(weights)), dtype=np.float32)
    start = 0
    while start < len(by_row):
        end = max(int(np.searchsorted(indptr, indptr[start] + at_once, side="right")) - 1, start + 1)
        values = slice(indptr[start], indptr[end])
        products = np.empty((len(weights), indptr[end] - indptr[start] + 1), dtype=np.float32)
        chosen = by_column.take(features.columns[values], axis=0)
        np.multiply(chosen.T, features.values[values], out=products[:, :-1])
        # A segment of its own: within the last row's it would change the order of the sum.
        products[:, -1] = 0.0
        segments = indptr[start : end + 1] - indptr[start]
        by_row[start:end] = np.add.reduceat(products, segments, axis=1)[:, :-1].T
        start = end
    # Of an empty segment numpy returns the first value behind it.
    by_row[indptr[:-1] == indptr[1:]] = 0.0
    return by_row
