"""Work that ends when the client hangs up."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from starlette.types import Receive

Result = TypeVar("Result")


class ClientGoneError(Exception):
    """The client hung up before its answer was complete."""


class Hangup:
    """Notices that a client hangs up, from the end of the request's body on."""

    def __init__(self, receive: Receive) -> None:
        """Nothing is received before the context is entered."""
        self._receive = receive

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.cancel()
        await asyncio.wait({self._watching})

    async def race(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of the work, which is cancelled as soon as the client hangs up.

        Raises:
            ClientGoneError: If the client hung up first.
        """
        task = asyncio.create_task(work)
        try:
            await asyncio.wait({task, self._watching}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ClientGoneError
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def _watch(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return
