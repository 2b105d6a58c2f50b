"""Creation of a store's tables, and migration of a store that an earlier release wrote.

The promise to users: a store holds replies that were paid for, so that a store of an earlier format is
migrated when it is opened, never refused. A release that changes the tables raises `tables.FORMAT` and adds
one step here. New tables need no code, since missing tables are created; a new column is one `add_column`.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Column, Connection, Engine, Table, func, insert, inspect, select, update
from sqlalchemy.schema import CreateColumn

from langchain_selectllm.collection import tables
from langchain_selectllm.exceptions import StoreError

logger = logging.getLogger(__name__)

Step = Callable[[Connection], None]


_CREATION_LOCK = 0x5E1EC712
"""Key of the PostgreSQL advisory lock during creation and migration; any constant of our own."""


def prepare_tables(engine: Engine, *, create: bool) -> bool:
    """Creates missing tables, and migrates tables of an earlier format.

    A store of today's format is read only, so that a store on a read-only medium can be opened.

    Args:
        engine: Engine of the database.
        create: Whether tables are created in a database without any.

    Returns:
        Whether this call created the store; of several processes that create it at once, one did.

    Raises:
        StoreError: If the database holds no store and none is to be created, or a later release wrote it.
        SQLAlchemyError: If the database cannot be read or written.
    """
    with engine.connect() as connection:
        found = read_format(connection)
    if found is None and not create:
        raise missing_store(engine)
    if found == tables.FORMAT:
        return False
    with _exclusive_transaction(engine) as connection:
        return _bring_up_to_date(connection)


def missing_store(engine: Engine) -> StoreError:
    """Returns the error about a database without a store."""
    url = engine.url.render_as_string(hide_password=True)
    return StoreError(
        f"There is no store at {url}. Correct the URL, or write into it first: "
        f"selectllm collect (or serve) --store {url}."
    )


def read_format(connection: Connection) -> int | None:
    """Returns the format of the store in the database; None without a store.

    Raises:
        StoreError: If a later release wrote it.
    """
    if not inspect(connection).has_table(tables.about.name):
        return None
    recorded = connection.scalar(select(tables.about.c.value).where(tables.about.c.name == "format"))
    if recorded is None:
        return None
    if not recorded.isdecimal() or int(recorded) > tables.FORMAT:
        raise StoreError(
            f"{connection.engine.url.render_as_string(hide_password=True)} has format {recorded!r}; "
            f"this release reads format '{tables.FORMAT}' and earlier ones. Update the package."
        )
    return int(recorded)


def add_column(connection: Connection, table: Table, column: "Column[object]") -> None:
    """Adds a column to an existing table; existing rows hold NULL, or its server default."""
    definition = CreateColumn(column).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")


def _add_token_probabilities(connection: Connection) -> None:
    add_column(connection, tables.replies, tables.replies.c.token_probabilities)


STEPS: dict[int, Step] = {1: _add_token_probabilities}
"""Steps by the format that each one starts from: step n turns format n into format n + 1."""


def _bring_up_to_date(connection: Connection) -> bool:
    """Creates and migrates under the lock, where no other process has meanwhile; whether it created."""
    found = read_format(connection)
    tables.metadata.create_all(connection)
    if found is None:
        connection.execute(insert(tables.about).values(name="format", value=str(tables.FORMAT)))
        return True
    for number in range(found, tables.FORMAT):
        STEPS[number](connection)
        logger.info("store migrated from format %d to format %d", number, number + 1)
    changed = update(tables.about).where(tables.about.c.name == "format")
    connection.execute(changed.values(value=str(tables.FORMAT)))
    return False


@contextmanager
def _exclusive_transaction(engine: Engine) -> Iterator[Connection]:
    """Yields a connection in a transaction that other creating processes wait for."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # CREATE TABLE IF NOT EXISTS of two sessions collides on the row type; the lock ends with the
            # transaction.
            connection.execute(select(func.pg_advisory_xact_lock(_CREATION_LOCK)))
        yield connection
        connection.commit()
