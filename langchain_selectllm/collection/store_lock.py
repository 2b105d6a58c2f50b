"""The lock that keeps two collections out of one store."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from langchain_selectllm.collection.retries import sleep_or_stop
from langchain_selectllm.collection.sqlite_lock import SqliteLock
from langchain_selectllm.exceptions import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from langchain_selectllm.collection.store import OutcomeStore

logger = logging.getLogger(__name__)

# PostgreSQL needs a moment to notice that a killed process is gone.
_PATIENCE_S = 5.0
_POLL_S = 0.1
_CHECK_S = 0.25
"""Seconds between two checks that the lock is still held; calls that begin in between may be made twice."""
_LOCK_NUMBER = 0x5E1EC711
"""Key of the PostgreSQL advisory lock; any constant of our own."""


class StoreLock(Protocol):
    """A lock on a store that ends with the process."""

    def acquire(self) -> bool:
        """Takes the lock; False while another process holds it.

        Raises:
            StoreError: If the lock cannot be made.
        """
        ...

    def is_held(self) -> bool:
        """Whether the lock is still held; once lost it has to be acquired again."""
        ...

    def release(self) -> None:
        """Ends the lock."""
        ...


@contextlib.contextmanager
def locked(store: "OutcomeStore") -> Iterator[StoreLock]:
    """Keeps any other process from collecting into the store, so that no call is made twice.

    The lock ends with the process, however that ends; reading, grading and exporting need none.

    Raises:
        StoreError: If another process holds it, or it cannot be made.
    """
    lock = lock_of(store)
    deadline = time.monotonic() + _PATIENCE_S
    while not lock.acquire():
        if time.monotonic() > deadline:
            raise StoreError(
                f"Another process is collecting into {store}. Wait for it, stop it, or use another store."
            )
        time.sleep(_POLL_S)
    try:
        if not store.is_there():
            raise StoreError(
                f"{store} was removed by the process that had created it. Run the command again."
            )
        yield lock
    finally:
        lock.release()


def lock_of(store: "OutcomeStore") -> StoreLock:
    """Returns the lock of a store; it is not taken yet."""
    if store.engine.dialect.name == "sqlite":
        return SqliteLock(Path(str(store.engine.url.database)))
    return _PostgresqlLock(store)


def still_locked(lock: StoreLock | None) -> bool:
    """Whether the lock is held, or could be taken again at once; there may be none to hold."""
    return lock is None or lock.is_held() or lock.acquire()


class _PostgresqlLock:
    """An advisory lock of one session, which ends with the session."""

    def __init__(self, store: "OutcomeStore") -> None:
        self._engine = store.engine
        self._connection: Connection | None = None

    def acquire(self) -> bool:
        from sqlalchemy import func, select
        from sqlalchemy.exc import SQLAlchemyError

        try:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            if connection.scalar(select(func.pg_try_advisory_lock(_LOCK_NUMBER))):
                self._connection = connection
                return True
        except SQLAlchemyError:
            # The server is not back yet.
            return False
        connection.close()
        return False

    def is_held(self) -> bool:
        from sqlalchemy import select
        from sqlalchemy.exc import SQLAlchemyError

        if self._connection is None:
            return False
        try:
            self._connection.scalar(select(1))
        except SQLAlchemyError:
            self.release()
            return False
        return True

    def release(self) -> None:
        if self._connection is not None:
            # Back in the pool the session, and with it the lock, would live on.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


class LockWatch:
    """Checks a lock while calls are made, and holds further calls back while it is lost."""

    def __init__(self, lock: StoreLock | None, stop: asyncio.Event) -> None:
        """Start with the lock held.

        Args:
            lock: Lock of the store; None where somebody else watches it.
            stop: Ends the waiting for a lost lock.
        """
        self._lock = lock
        self._stop = stop
        self._closing = asyncio.Event()
        self._held = True
        self.was_lost = False
        """Whether the lock was ever lost, so that another process may have collected in between."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        await asyncio.shield(self._task)

    @property
    def is_held(self) -> bool:
        """Whether the lock was held at the last check."""
        return self._held

    async def wait_until_held(self) -> bool:
        """Waits while the lock is lost; False when collecting stops first."""
        while not self._held:
            if await sleep_or_stop(_CHECK_S, self._stop):
                return False
        return not self._stop.is_set()

    async def _watch(self) -> None:
        while self._lock is not None and not await sleep_or_stop(_CHECK_S, self._closing):
            if self._held:
                self._held = await asyncio.to_thread(self._lock.is_held)
                if not self._held:
                    self.was_lost = True
                    logger.warning("the lock of the store is lost: no call is made until it is held again")
            elif await asyncio.to_thread(self._lock.acquire):
                self._held = True
                logger.info("the lock of the store is held again")
