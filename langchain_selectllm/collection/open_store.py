"""From a URL to a store."""

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_selectllm._optional import require
from langchain_selectllm.exceptions import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from langchain_selectllm.collection.store import OutcomeStore

_BUSY_S = 30.0
"""Seconds that a statement waits for another process's transaction on the same SQLite file."""

_BUSY_RETRY_S = 0.02
"""Seconds between two attempts to switch a file that another process has locked to write-ahead logging."""


def is_store_url(text: str) -> bool:
    """Whether the text is a URL rather than the path of a folder."""
    return "://" in text


def open_store(url: str, *, create: bool = True) -> "OutcomeStore":
    """Returns the store at a database URL; one of an earlier format is migrated.

    Args:
        url: "sqlite:///outcomes.db", or "postgresql://user@host/database".
        create: Whether a missing store is created.

    Raises:
        StoreError: If the URL is malformed, names another kind of database, the database cannot be opened, or
            it holds no store and `create` is false.
        MissingDependencyError: If SQLAlchemy or the database's driver is not installed.
    """
    engine = _engine(url)
    from langchain_selectllm.collection.migrations import missing_store
    from langchain_selectllm.collection.store import OutcomeStore

    # To connect is enough to create an empty file.
    if not create and not _file_exists(engine):
        raise missing_store(engine)
    try:
        return OutcomeStore(engine, create=create)
    except StoreError:
        engine.dispose()
        raise


def store_exists(url: str) -> bool:
    """Whether there is a store at the URL; nothing is created.

    Raises:
        StoreError: If the URL is malformed, names another kind of database, or the database cannot be read.
        MissingDependencyError: If SQLAlchemy or the database's driver is not installed.
    """
    engine = _engine(url)
    if not _file_exists(engine):
        return False
    from sqlalchemy.exc import SQLAlchemyError

    from langchain_selectllm.collection.migrations import read_format

    try:
        with engine.connect() as connection:
            return read_format(connection) is not None
    except SQLAlchemyError as error:
        raise StoreError(f"{engine.url.render_as_string()} cannot be read: {error}") from error
    finally:
        engine.dispose()


def _engine(url: str) -> "Engine":
    sqlalchemy = require("sqlalchemy", extra="collect", needed_by="A store of outcomes")
    try:
        parsed = sqlalchemy.engine.make_url(url)
    except sqlalchemy.exc.ArgumentError as error:
        raise StoreError(f"{url!r} is no database URL. Give one such as sqlite:///outcomes.db.") from error
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        require("psycopg", extra="postgres", needed_by="A store on PostgreSQL")
        parsed = parsed.set(drivername="postgresql+psycopg")
        return sqlalchemy.create_engine(parsed, pool_pre_ping=True)  # type: ignore[no-any-return]
    if parsed.drivername in ("sqlite", "sqlite+pysqlite") and parsed.database not in (None, "", ":memory:"):
        engine: Engine = sqlalchemy.create_engine(parsed, connect_args={"timeout": _BUSY_S})
        sqlalchemy.event.listen(engine, "connect", _prepare_sqlite)
        return engine
    raise StoreError(
        f"{parsed.render_as_string(hide_password=True)!r} cannot be a store. Use a file "
        "(sqlite:///outcomes.db) or PostgreSQL (postgresql://user@host/database)."
    )


def _file_exists(engine: "Engine") -> bool:
    """Whether an SQLite file is there; a server's databases are looked up by a query instead."""
    return engine.dialect.name != "sqlite" or Path(str(engine.url.database)).exists()


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # WAL lets others read while replies are saved. FULL makes a commit outlive a power cut too: the rows were
    # paid for.
    _use_wal(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switches the file to write-ahead logging, also while other processes do the same.

    Raises:
        sqlite3.OperationalError: If the file is still locked after `_BUSY_S`, or cannot be written.
    """
    deadline = time.monotonic() + _BUSY_S
    # SQLite does not wait for the lock of this switch, whatever the timeout of the connection: two
    # connections with a shared lock would wait for each other.
    while not _wal_is_on(connection, last_attempt=time.monotonic() > deadline):
        time.sleep(_BUSY_RETRY_S)


def _wal_is_on(connection: sqlite3.Connection, *, last_attempt: bool) -> bool:
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        if last_attempt or "locked" not in str(error):
            raise
        return False
    return True
