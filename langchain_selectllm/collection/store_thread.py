"""Writes rows to the store as they arrive, many per transaction, in one thread of its own."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

Row = TypeVar("Row")
Value = TypeVar("Value")


class StoreThread(Generic[Row]):
    """Saves rows in transactions: while one is written, the rows of the next one gather.

    `save` returns when the row is committed, so that a caller that awaits it never has more than one unsaved
    row.
    """

    def __init__(self, save: Callable[[Sequence[Row]], None]) -> None:
        """Store the function; nothing runs before the context is entered."""
        self._save = save
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="selectllm-store")
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()
        self._closing = False

    async def __aenter__(self) -> Self:
        self._writing = asyncio.create_task(self._write())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Save the remaining rows, even when collecting was cancelled: they were paid for."""
        self._closing = True
        self._arrived.set()
        await asyncio.shield(self._writing)
        self._thread.shutdown()

    async def run(self, work: Callable[..., Value], *arguments: Any) -> Value:
        """Returns the value of other work on the store, done in the same thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def save(self, row: Row) -> None:
        """Returns when the row is committed.

        Raises:
            Exception: Error of the database; the row is not saved then.
        """
        committed = asyncio.get_running_loop().create_future()
        self._waiting.append((row, committed))
        self._arrived.set()
        await committed

    async def _write(self) -> None:
        while not self._closing or self._waiting:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._waiting = self._waiting, []
            if not batch:
                continue
            try:
                await self.run(self._save, [row for row, _ in batch])
            except Exception as error:  # noqa: BLE001 - raised where each row is awaited
                for _, committed in batch:
                    if not committed.done():
                        committed.set_exception(error)
            else:
                for _, committed in batch:
                    if not committed.done():
                        committed.set_result(None)
