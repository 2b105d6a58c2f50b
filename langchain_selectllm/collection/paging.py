"""Rows of a table page by page, without an open cursor between pages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, Select, Table, literal, select, tuple_

PAGE = 500
"""Rows per page; keeps memory flat for stores of any size."""


def read_in_pages(
    engine: Engine, statement: "Select[Any]", table: Table, key: Sequence[str]
) -> Iterator[Mapping[str, Any]]:
    """Yields the rows of a statement in order of the table's key; each page starts behind the last key.

    Args:
        engine: Engine of the database.
        statement: Selects at least the columns of the key.
        table: Table that holds the key.
        key: Names of the columns that identify a row.
    """
    columns = [table.c[name] for name in key]
    statement = statement.order_by(*columns).limit(PAGE)
    page_statement = statement
    while True:
        with engine.connect() as connection:
            page = connection.execute(page_statement).mappings().all()
        for row in page:
            yield dict(row)
        if len(page) < PAGE:
            return
        page_statement = statement.where(_behind(columns, [page[-1][name] for name in key]))


def read_distinct(engine: Engine, columns: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yields the different values of the first columns of an index, sorted.

    One look into the index for each of them, where `DISTINCT` would read it to its end.
    """
    statement = select(*columns).order_by(*columns).limit(1)
    with engine.connect() as connection:
        row = connection.execute(statement).first()
        while row is not None:
            yield row
            row = connection.execute(statement.where(_behind(columns, row))).first()


def _behind(columns: Sequence[Any], values: Sequence[Any]) -> Any:
    """Returns the condition that a row comes after the given key.

    A comparison of rows, which an index begins at. The same with `or` and `and` would make a database read
    the index from its beginning for every page.
    """
    given = [literal(value, column.type) for column, value in zip(columns, values, strict=True)]
    return tuple_(*columns) > tuple_(*given)
