"""Sparse feature rows with the few operations that serving needs, in numpy alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._optional import require


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A compressed sparse row matrix, (n, n_columns)."""

    indptr: NDArray[np.int64]
    """Start of each row in `columns`, (n + 1,)."""
    columns: NDArray[np.int64]
    values: NDArray[np.float32]
    n_columns: int

    @classmethod
    def from_rows(
        cls, rows: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]], n_columns: int
    ) -> "SparseRows":
        """Rows given as (columns, values)."""
        return cls(
            np.cumsum([0, *(len(columns) for columns, _ in rows)], dtype=np.int64),
            np.concatenate([columns for columns, _ in rows] or [np.empty(0, dtype=np.int64)]),
            np.concatenate([values for _, values in rows] or [np.empty(0, dtype=np.float32)]),
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


def row_dot(
    features: "NDArray[np.float32] | SparseRows", weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Product of every row with one weight vector, (n,).

    Each sum depends on its own row alone, so that a text gets the same bits alone and in any batch.
    """
    if not isinstance(features, SparseRows):
        dense: NDArray[np.float32] = (features * weights).sum(axis=1)
        return dense
    products = np.append(features.values * weights[features.columns], np.float32(0))
    # The appended 0 is a segment of its own: within the last row's it would change the order of the sum.
    sums = np.add.reduceat(products, features.indptr)[:-1]
    return np.where(np.diff(features.indptr) > 0, sums, np.float32(0))
