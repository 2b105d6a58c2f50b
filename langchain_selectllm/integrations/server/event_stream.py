"""Streams whose headers wait for the vote, and which end when their client hangs up."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack

from langchain_core.messages import AIMessageChunk
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from langchain_selectllm.integrations.server.answers import PING
from langchain_selectllm.integrations.server.errors import ApiError
from langchain_selectllm.integrations.server.exchange import Exchange
from langchain_selectllm.integrations.server.hangup import ClientGoneError, Hangup

_QUIET_TURNS = 10
"""Turns of the event loop without a chunk that mean that a member is waited for; a chunk takes about 3."""


class ChunkQueue:
    """The chunks of an exchange, read by a task of its own as soon as they come.

    A voted reply comes in one go, so that its decision is known once everything that is there has been read.
    The chunks of a single member come one by one.
    """

    def __init__(self, exchange: Exchange) -> None:
        """Start reading."""
        self._exchange = exchange
        self._queue: asyncio.Queue[AIMessageChunk | ApiError | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())
        self._head: AIMessageChunk | ApiError | None = None
        self._has_head = False

    async def head(self, wait_s: float) -> None:
        """Return once the first chunk is there, or after `wait_s` seconds.

        Raises:
            ApiError: If there is an error instead of a first chunk.
        """
        try:
            async with asyncio.timeout(wait_s):
                self._head = await self._queue.get()
        except TimeoutError:
            return
        self._has_head = True
        if isinstance(self._head, ApiError):
            raise self._head
        await self._settle()

    async def chunks(self, ping_s: float) -> AsyncIterator[AIMessageChunk | None]:
        """The chunks as they come; None after each `ping_s` seconds without one.

        Raises:
            ApiError: If the stream fails.
        """
        while True:
            try:
                item = await self._next(ping_s)
            except TimeoutError:
                yield None
                continue
            if item is None:
                return
            if isinstance(item, ApiError):
                raise item
            yield item

    async def close(self) -> None:
        """Give the members up, if they are still at work."""
        self._reading.cancel()
        await asyncio.wait({self._reading})

    async def _settle(self) -> None:
        """Return when the reading task waits for more than a turn of the event loop, or has ended."""
        quiet, seen = 0, self._queue.qsize()
        while quiet < _QUIET_TURNS and not self._reading.done():
            await asyncio.sleep(0)
            quiet += 1
            if self._queue.qsize() != seen:
                quiet, seen = 0, self._queue.qsize()

    async def _next(self, ping_s: float) -> AIMessageChunk | ApiError | None:
        if self._has_head:
            self._has_head = False
            return self._head
        if not self._queue.empty():
            return self._queue.get_nowait()
        async with asyncio.timeout(ping_s):
            return await self._queue.get()

    async def _read(self) -> None:
        try:
            async for chunk in self._exchange.chunks():
                self._queue.put_nowait(chunk)
        except ApiError as error:
            self._queue.put_nowait(error)
        else:
            self._queue.put_nowait(None)


class EventStream(Response):
    """Server-sent events; the request's slot and members are given back when they end, however they end.

    sse-starlette is not used: it ends streams at SIGTERM before they are drained, and it reads the messages
    of the connection itself, which are read here from the end of the body on to notice a hang-up.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        *,
        headers: Mapping[str, str],
        hangup: Hangup,
        closing: AsyncExitStack,
        send_timeout_s: float,
        on_first: Callable[[], None],
    ) -> None:
        """Take over events and everything that has to be closed after them."""
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no", **headers})
        # The length is not known before the end.
        del self.headers["content-length"]
        self._events = events
        self._hangup = hangup
        self._closing = closing
        self._send_timeout_s = send_timeout_s
        self._on_first = on_first

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._closing:
            try:
                await self._hangup.race(self._send_all(send))
            except (ClientGoneError, TimeoutError, OSError):
                scope.setdefault("state", {})["client_gone"] = True

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        is_first = True
        async for event in self._events:
            if is_first and event is not PING:
                self._on_first()
                is_first = False
            async with asyncio.timeout(self._send_timeout_s):
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
