"""Weighted n-gram counts as sparse rows: all columns of some texts are sorted and counted at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
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
    """Columns of a row: those of each vocabulary, one block behind the other, then dense ones."""

    idf: tuple[NDArray[np.float32], ...]
    """Rarity of the n-grams of each vocabulary."""
    lengths: tuple[float, ...]
    """Euclidean length of the values of each vocabulary in one row."""
    n_dense: int

    def rows(self, cells: Sequence[Cells], dense: NDArray[np.float32]) -> tuple[SparseRows, NDArray[np.intp]]:
        """Rows of n texts; an n-gram's value is (1 + log count) * idf, scaled to the length of its block.

        Args:
            cells: Cells of each vocabulary's n-grams, equal ones as often as they occur.
            dense: Values of the dense columns, (n, n_dense).

        Returns:
            Rows (n, n_columns), and the number of values in each block of each row, (n, n_vocabularies + 1).
        """
        ordered, counts = distinct(np.concatenate([*cells, self._dense_cells(len(dense))]))
        columns = (ordered & self._cell_type((1 << self._column_bits) - 1)).astype(np.intp)
        edges = np.searchsorted(ordered, self._edges(len(dense)))
        runs = np.append(edges[1:], len(ordered)) - edges
        values = (1 + np.log(counts.astype(np.float32))) * self._all_idf.take(columns)
        self._scale(values, edges, runs)
        indptr = np.append(edges[:: self._n_blocks], len(ordered))
        values[indptr[1:, None] - np.arange(self.n_dense, 0, -1)] = dense
        rows = SparseRows(indptr, columns.astype(np.int32), values, self.n_columns)
        return rows, runs.reshape(len(dense), -1)

    def cells(self, entries: NDArray[np.uint64], columns: NDArray[np.intp], *, block: int) -> Cells:
        """Entries of `NgramHashes` as numbers that are in the order of rows and, within a row, of columns."""
        cells: Cells = entries.astype(self._cell_type)
        cells &= self._cell_type(MAX_TEXTS - 1)
        cells <<= self._column_bits
        cells |= (columns + self._offsets[block]).astype(self._cell_type)
        return cells

    @property
    def n_columns(self) -> int:
        """Columns of all blocks."""
        return self._offsets[-1] + self.n_dense

    def _scale(self, values: NDArray[np.float32], edges: NDArray[np.intp], runs: NDArray[np.intp]) -> None:
        """Scale the values of each block and row to the block's length; reduceat adds up each alone."""
        norms = np.sqrt(np.add.reduceat(values * values, edges))
        values /= np.repeat(norms, runs)
        lengths = np.array([*self.lengths, 1.0], dtype=np.float32)
        values *= np.repeat(np.tile(lengths, len(runs) // self._n_blocks), runs)

    def _dense_cells(self, n: int) -> Cells:
        return self._of_each_row(n, range(self._offsets[-1], self.n_columns))

    def _edges(self, n: int) -> Cells:
        """The smallest cell that each block of each row may have."""
        return self._of_each_row(n, self._offsets)

    def _of_each_row(self, n: int, columns: Sequence[int]) -> Cells:
        """The cells of the same columns in n rows, (n * n_columns,)."""
        rows = np.arange(n)[:, None] << self._column_bits
        cells: Cells = (rows | np.array(columns)).astype(self._cell_type).ravel()
        return cells

    @cached_property
    def _offsets(self) -> list[int]:
        return list(accumulate(map(len, self.idf), initial=0))

    @property
    def _n_blocks(self) -> int:
        return len(self.idf) + 1

    @cached_property
    def _all_idf(self) -> NDArray[np.float32]:
        return np.concatenate([*self.idf, np.ones(self.n_dense, dtype=np.float32)])

    @cached_property
    def _column_bits(self) -> int:
        return self.n_columns.bit_length()

    @cached_property
    def _cell_type(self) -> type[np.uint32 | np.uint64]:
        if self._column_bits + MAX_TEXTS.bit_length() - 1 <= _NARROW_BITS:
            return np.uint32
        return np.uint64
