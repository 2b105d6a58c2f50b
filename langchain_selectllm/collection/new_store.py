"""A store opened to be collected into; one that stays without any call leaves nothing behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.collection.sqlite_lock import lock_path
from langchain_selectllm.collection.store_lock import StoreLock, lock_of, locked
from langchain_selectllm.exceptions import StoreError

if TYPE_CHECKING:
    from langchain_selectllm.collection.store import OutcomeStore

_SQLITE_SCHEME = "sqlite:///"


@contextmanager
def open_to_collect(url: str) -> Iterator[tuple["OutcomeStore", StoreLock]]:
    """Yields the store at the URL and its lock, which is held until the end.

    A store that this call created is removed at the end if no call was recorded in it: after an error, or
    where a budget permitted no call.

    Raises:
        StoreError: If the store cannot be opened or locked.
    """
    earlier = [file for file in _files(url) if file.exists()]
    with open_store(url) as store:
        try:
            with locked(store) as lock:
                yield store, lock
        finally:
            if store.is_new:
                _remove_unused(store, [file for file in _files(url) if file not in earlier])


def _files(url: str) -> list[Path]:
    """Returns the files of a store in an SQLite file; none for a server."""
    if not url.startswith(_SQLITE_SCHEME):
        return []
    database = Path(url.removeprefix(_SQLITE_SCHEME).split("?")[0])
    return [database, Path(f"{database}-wal"), Path(f"{database}-shm"), lock_path(database)]


def _remove_unused(store: "OutcomeStore", files: list[Path]) -> None:
    """Removes the store's files unless a call is recorded in it or another process collects into it."""
    lock = lock_of(store)
    try:
        if not lock.acquire():
            return
    except StoreError:
        # Where this lock cannot be made, no other process holds it either.
        pass
    try:
        if not store.is_there() or store.sampled():
            return
        store.drop_tables()
        for file in files:
            file.unlink(missing_ok=True)
    finally:
        lock.release()
