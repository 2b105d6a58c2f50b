"""The lock of a store in an SQLite file, which holds under every name of that file."""

import socket
import sqlite3
import sys
from pathlib import Path

from langchain_selectllm.exceptions import StoreError


class SqliteLock:
    """An open transaction in a database beside the store's, and on Linux a name made of device and inode.

    The database beside works wherever SQLite works, and for every machine that shares the folder. A hard link
    in another folder is covered by the name alone, which is that of an abstract Unix socket: it needs no
    file, belongs to no user, and ends with the process.
    """

    def __init__(self, database: Path) -> None:
        """Prepare the lock; nothing is taken.

        Args:
            database: File of the store, which exists.
        """
        file = database.resolve()
        self._path = lock_path(database)
        found = file.stat()
        # The leading zero byte makes the name abstract.
        self._name = f"\0selectllm-store-{found.st_dev}-{found.st_ino}"
        self._connection: sqlite3.Connection | None = None
        self._socket: socket.socket | None = None

    def acquire(self) -> bool:
        """Takes the lock; False while another process holds it, under this or another name of the file.

        Raises:
            StoreError: If the lock cannot be made.
        """
        if not self._lock_beside():
            return False
        if not self._lock_name():
            self.release()
            return False
        return True

    def is_held(self) -> bool:
        """Whether the lock is held."""
        return self._connection is not None

    def release(self) -> None:
        """Ends the lock."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _lock_beside(self) -> bool:
        if self._path.is_dir():
            raise StoreError(f"{self._path} is a folder, so that the store cannot be locked. Move it away.")
        try:
            connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"{self._path} cannot be opened ({error}), so that the store cannot be locked. "
                "Make it writable."
            ) from error
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            connection.close()
            if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                return False
            raise StoreError(
                f"{self._path} cannot lock the store: {error}. Delete the file if no collection is running."
            ) from error
        self._connection = connection
        return True

    def _lock_name(self) -> bool:
        if sys.platform != "linux":
            return True
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(self._name)
        except OSError:
            name.close()
            return False
        self._socket = name
        return True


def lock_path(database: Path) -> Path:
    """Returns the file of the lock beside the store's own file, symbolic links resolved."""
    file = database.resolve()
    return file.with_name(f"{file.name}.lock")
