"""Rows into the store as they come, many to a transaction, in one thread of its own."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

Row = TypeVar("Row")
Value = TypeVar("Value")


class StoreThread(Generic[Row]):
    """Saves rows in transactions: while one is written, the next one gathers.

    `save` returns when the row is safe, so that a caller who waits for it never holds more than its own call in hand.
    """

    def __init__(self, save: Callable[[Sequence[Row]], None]) -> None:
        """Nothing runs before the context is entered."""
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
        """Save what is left, even when collecting was cancelled: it was paid for."""
        self._closing = True
        self._arrived.set()
        await asyncio.shield(self._writing)
        self._thread.shutdown()

    async def run(self, work: Callable[..., Value], *arguments: Any) -> Value:
        """The value of some other work on the store, done in the same thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def save(self, row: Row) -> None:
        """Return when the row is committed.

        Raises:
            Exception: Whatever the database raised; the row is not saved then.
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
            except Exception as error:  # noqa: BLE001 - raised where each row is waited for
                for _, committed in batch:
                    if not committed.done():
                        committed.set_exception(error)
            else:
                for _, committed in batch:
                    if not committed.done():
                        committed.set_result(None)
