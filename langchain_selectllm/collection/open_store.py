"""From a URL to a store, and the lock that keeps two collections out of one store."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from langchain_selectllm._optional import require
from langchain_selectllm.exceptions import StoreError

if TYPE_CHECKING:
    from langchain_selectllm.collection.store import OutcomeStore

_BUSY_S = 30.0
# PostgreSQL needs a moment to notice that a killed process is gone.
_LOCK_PATIENCE_S = 5.0
_LOCK_NUMBER = 0x5E1EC711


def is_store_url(text: str) -> bool:
    """Whether the text is a URL rather than the path of a folder."""
    return "://" in text


def open_store(url: str) -> "OutcomeStore":
    """The store at a database URL, made where there is none.

    Args:
        url: "sqlite:///outcomes.db", or "postgresql://user@host/database".

    Raises:
        StoreError: If the URL is malformed, names another kind of database, or the database cannot be opened.
        MissingDependencyError: If SQLAlchemy or the database's driver is not installed.
    """
    sqlalchemy = require("sqlalchemy", extra="collect", needed_by="A store of outcomes")
    try:
        parsed = sqlalchemy.engine.make_url(url)
    except sqlalchemy.exc.ArgumentError as error:
        raise StoreError(f"{url!r} is no database URL. Give one such as sqlite:///outcomes.db.") from error
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        require("psycopg", extra="postgres", needed_by="A store on PostgreSQL")
        engine = sqlalchemy.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    elif parsed.drivername in ("sqlite", "sqlite+pysqlite") and parsed.database not in (None, "", ":memory:"):
        engine = sqlalchemy.create_engine(parsed, connect_args={"timeout": _BUSY_S})
        sqlalchemy.event.listen(engine, "connect", _prepare_sqlite)
    else:
        raise StoreError(
            f"{parsed.render_as_string(hide_password=True)!r} cannot be a store. Use a file (sqlite:///outcomes.db) or "
            "PostgreSQL (postgresql://user@host/database)."
        )
    from langchain_selectllm.collection.store import OutcomeStore

    try:
        return OutcomeStore(engine)
    except StoreError:
        engine.dispose()
        raise


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # WAL lets others read while replies are saved. FULL makes a commit outlive a power cut too: the rows were paid for.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


@contextlib.contextmanager
def locked(store: "OutcomeStore") -> Iterator[None]:
    """Keep any other process from collecting into the store, so that no call is made twice.

    The lock ends with the process, however that ends; reading, grading and exporting need none.

    Raises:
        StoreError: If another process holds it.
    """
    lock = _lock_sqlite if store.engine.dialect.name == "sqlite" else _lock_postgresql
    give_up = time.monotonic() + _LOCK_PATIENCE_S
    with contextlib.ExitStack() as stack:
        while not lock(store, stack):
            if time.monotonic() > give_up:
                raise StoreError(
                    f"Another process is collecting into {store}. Wait for it, stop it, or use another store."
                )
            time.sleep(0.1)
        yield


def _lock_sqlite(store: "OutcomeStore", stack: contextlib.ExitStack) -> bool:
    # An open transaction in a database beside the store's: a lock that works wherever SQLite works.
    connection = sqlite3.connect(
        f"{store.engine.url.database}.lock", timeout=0, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        connection.close()
        return False
    stack.callback(connection.close)
    return True


def _lock_postgresql(store: "OutcomeStore", stack: contextlib.ExitStack) -> bool:
    from sqlalchemy import func, select

    connection = store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    if connection.scalar(select(func.pg_try_advisory_lock(_LOCK_NUMBER))):
        stack.callback(connection.close)
        stack.callback(connection.invalidate)
        return True
    connection.close()
    return False
