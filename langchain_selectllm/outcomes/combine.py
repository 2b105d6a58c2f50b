"""Two tables of recorded outcomes as one."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.outcomes.table import OutcomeTable


def combine(old: OutcomeTable, new: OutcomeTable) -> OutcomeTable:
    """The outcomes of both tables, for the members of `old`.

    A query of `new` is one of `old` where its id or its text is the same. A cell that both observed becomes
    the mean of the two; its replies are those of `old`, where it has any.

    Raises:
        OutcomeError: If `new` has a member that `old` lacks, or gives an id of `old` to another text.
    """
    _check_members(old, new)
    places = _places(old, new)
    texts = dict(zip(places, new.texts, strict=True)) | dict(zip(old.query_ids, old.texts, strict=True))
    ids = tuple(sorted(texts))
    columns = list(map(old.members.index, new.members))
    row_of = {query_id: i for i, query_id in enumerate(ids)}
    old_rows, new_rows = list(map(row_of.__getitem__, old.query_ids)), list(map(row_of.__getitem__, places))

    def mean(name: str) -> NDArray[np.float64]:
        return _mean(getattr(old, name), getattr(new, name), old_rows, np.ix_(new_rows, columns), len(ids))

    def first(name: str) -> NDArray[np.object_]:
        return _first(getattr(old, name), getattr(new, name), old_rows, new_rows, columns, len(ids))

    def described(name: str) -> tuple[Any, ...]:
        return _described(getattr(old, name), getattr(new, name), old_rows, new_rows, len(ids))

    labels = mean("labels")
    labels_from = new.labels_from
    if labels_from == "references":
        # One table labelled by agreement is enough for the mark.
        labels_from = old.labels_from
    return replace(
        old,
        query_ids=ids,
        texts=tuple(map(texts.__getitem__, ids)),
        categories=tuple(category or "" for category in described("categories")),
        # NaN >= 0.5 is False, but an unobserved cell has no label.
        labels=np.where(np.isnan(labels), np.nan, (labels >= 0.5).astype(np.float64)),
        labels_from=labels_from,
        references=described("references"),
        answer_types=described("answer_types"),
        types_inferred=tuple(map(bool, described("types_inferred"))),
        scores=mean("scores"),
        costs=mean("costs"),
        latencies=mean("latencies"),
        replies=first("replies"),
        answers=first("answers"),
        token_probabilities=first("token_probabilities"),
    )


def _check_members(old: OutcomeTable, new: OutcomeTable) -> None:
    unknown = [name for name in new.members if name not in old.members]
    if unknown:
        raise OutcomeError(
            f"The new outcomes are of {', '.join(map(repr, unknown))} too. Known members: "
            f"{', '.join(old.members)}. Leave them out with outcomes.subset(members), or add them with "
            "classifier.add_member."
        )


def _places(old: OutcomeTable, new: OutcomeTable) -> list[str]:
    """The id under which each query of `new` goes."""
    by_text = dict(zip(old.texts, old.query_ids, strict=True))
    by_id = dict(zip(old.query_ids, old.texts, strict=True))
    places = []
    for query_id, text in zip(new.query_ids, new.texts, strict=True):
        if by_id.get(query_id, text) != text:
            raise OutcomeError(
                f"query_id {query_id!r} has another text in the old outcomes. Give other queries other ids."
            )
        places.append(by_text.get(text, query_id))
    return places


def _mean(
    old: NDArray[np.float64],
    new: NDArray[np.float64],
    old_rows: list[int],
    new_cells: tuple[NDArray[np.intp], ...],
    n: int,
) -> NDArray[np.float64]:
    """Mean of what was observed of each cell, (n, K); NaN where nothing was."""
    total, count = np.zeros((n, old.shape[1])), np.zeros((n, old.shape[1]))
    total[old_rows], count[old_rows] = np.nan_to_num(old), ~np.isnan(old)
    # add.at, since several queries of `new` may be one by their text.
    np.add.at(total, new_cells, np.nan_to_num(new))
    np.add.at(count, new_cells, (~np.isnan(new)).astype(np.float64))
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)


def _first(
    old: NDArray[np.object_],
    new: NDArray[np.object_],
    old_rows: list[int],
    new_rows: list[int],
    columns: list[int],
    n: int,
) -> NDArray[np.object_]:
    cells = np.empty((n, old.shape[1]), dtype=np.object_)
    cells.fill(())
    for row, values in zip(new_rows, new, strict=True):
        for column, value in zip(columns, values, strict=True):
            cells[row, column] = value
    for row, values in zip(old_rows, old, strict=True):
        for column, value in enumerate(values):
            cells[row, column] = value or cells[row, column]
    return cells


def _described(
    old: tuple[Any, ...], new: tuple[Any, ...], old_rows: list[int], new_rows: list[int], n: int
) -> tuple[Any, ...]:
    values: list[Any] = [None] * n
    for row, value in [*zip(new_rows, new, strict=True), *zip(old_rows, old, strict=True)]:
        values[row] = value or values[row]
    return tuple(values)
