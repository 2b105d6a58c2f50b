"""Weighted n-gram counts as sparse rows: all columns of some texts are sorted and counted at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders.ngrams import MAX_TEXTS
from langchain_selectllm.encoders.sparse import SparseRows
from langchain_selectllm.encoders.vocabulary import distinct

Cells = NDArray[Any]
"""Unsigned integers, (n_cells,): a row, and behind it in the last bits a column."""
_NARROW_BITS = 32
"""Bits of the smaller type of cells, which is sorted in half the time."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighting:
    """Columns of a row: those of the vocabulary, then dense ones."""

    idf: NDArray[np.float32]
    """Rarity of the n-grams of the vocabulary, (n_words,)."""
    n_dense: int

    def rows(
        self, entries: NDArray[np.uint64], columns: NDArray[np.intp], dense: NDArray[np.float32]
    ) -> tuple[SparseRows, NDArray[np.intp]]:
        """Rows of n texts; an n-gram's value is (1 + log count) * idf, and those of a row have length 1.

        Args:
            entries: Entries of `ngram_hashes` that the vocabulary has, equal ones as often as they occur.
            columns: Column of each.
            dense: Values of the dense columns, (n, n_dense).

        Returns:
            Rows (n, n_columns), and the number of different n-grams of each row, (n,).
        """
        n = len(dense)
        ordered, counts = distinct(np.concatenate([self._cells(entries, columns), self._dense_cells(n)]))
        found = (ordered & self._cell_type((1 << self._column_bits) - 1)).astype(np.intp)
        values = (1 + np.log(counts.astype(np.float32))) * self._all_idf.take(found)
        # Start of the n-grams and of the dense values of each row.
        edges = np.searchsorted(ordered, self._of_each_row(n, (0, len(self.idf))))
        lengths = np.append(edges[1:], len(ordered)) - edges
        # reduceat adds up each part alone.
        values /= np.repeat(np.sqrt(np.add.reduceat(values * values, edges)), lengths)
        indptr = np.append(edges[::2], len(ordered))
        values[edges[1::2, None] + np.arange(self.n_dense)] = dense
        return SparseRows(indptr, found.astype(np.int32), values, self.n_columns), lengths[::2]

    @property
    def n_columns(self) -> int:
        """Columns of n-grams and dense ones."""
        return len(self.idf) + self.n_dense

    def _cells(self, entries: NDArray[np.uint64], columns: NDArray[np.intp]) -> Cells:
        """Entries as numbers that are in the order of rows and, within a row, of columns."""
        cells: Cells = entries.astype(self._cell_type)
        cells &= self._cell_type(MAX_TEXTS - 1)
        cells <<= self._column_bits
        cells |= columns.astype(self._cell_type)
        return cells

    def _dense_cells(self, n: int) -> Cells:
        return self._of_each_row(n, range(len(self.idf), self.n_columns))

    def _of_each_row(self, n: int, columns: Sequence[int]) -> Cells:
        """The cells of the same columns in n rows, (n * n_columns,)."""
        rows = np.arange(n)[:, None] << self._column_bits
        cells: Cells = (rows | np.array(columns)).astype(self._cell_type).ravel()
        return cells

    @cached_property
    def _all_idf(self) -> NDArray[np.float32]:
        return np.append(self.idf, np.ones(self.n_dense, dtype=np.float32))

    @cached_property
    def _column_bits(self) -> int:
        return self.n_columns.bit_length()

    @cached_property
    def _cell_type(self) -> type[np.uint32 | np.uint64]:
        if self._column_bits + MAX_TEXTS.bit_length() - 1 <= _NARROW_BITS:
            return np.uint32
        return np.uint64
