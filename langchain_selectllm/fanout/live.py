"""One member's reply while it streams, within its deadline."""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Self, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.utils import message_chunk_to_message

from langchain_selectllm.fanout.daemon_threads import run_in_daemon
from langchain_selectllm.fanout.parallel import CallPlan, deadline_error
from langchain_selectllm.fanout.streaming import open_end

Chunks = Generator[AIMessageChunk, None, None]
AsyncChunks = AsyncGenerator[AIMessageChunk, None]
# A chunk, what was raised instead of one, or the end.
_Step = AIMessageChunk | BaseException | None


class LiveReply:
    """Puts the next member's reply together from its chunks and tells the plan how it ended.

    A failure before the first chunk is the plan's business, which may call another member; after it there is no way back,
    and the error is raised.
    """

    def __init__(self, plan: CallPlan) -> None:
        self._plan = plan
        (self.member,) = plan.take(1)
        self._whole: AIMessageChunk | None = None
        self._start = time.perf_counter()

    def add(self, chunk: AIMessageChunk) -> AIMessageChunk:
        """Note a chunk; returned as it may be handed on."""
        self._whole = chunk if self._whole is None else self._whole + chunk
        return open_end(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None and (self._whole is not None or not isinstance(error, Exception)):
            return False
        if self._whole is None:
            error = error or ValueError("The stream ended without a chunk.")
        outcome = error or message_chunk_to_message(cast("AIMessageChunk", self._whole))
        self._plan.finish(
            self.member, cast("AIMessage | Exception", outcome), time.perf_counter() - self._start
        )
        return True


def until(chunks: Chunks, deadline_s: float | None) -> Chunks:
    """The chunks, with at most `deadline_s` spent waiting for them; a deadline needs a thread, which a hanging member keeps.

    Raises:
        DeadlineError: If the time is up.
    """
    if deadline_s is None:
        yield from chunks
        return
    came: queue.SimpleQueue[_Step] = queue.SimpleQueue()
    given_up = _pump(chunks, came.put)
    left = deadline_s
    try:
        while True:
            asked = time.perf_counter()
            chunk = came.get(timeout=max(left, 0.0))
            left -= time.perf_counter() - asked
            if chunk is None:
                return
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk
    except queue.Empty:
        raise deadline_error(deadline_s) from None
    finally:
        given_up.set()


async def threaded(chunks: Chunks) -> AsyncChunks:
    """The same chunks, made in a daemon thread, so that one that hangs holds up neither the loop nor asyncio's own threads."""
    loop, came = asyncio.get_running_loop(), asyncio.Queue[_Step]()

    def put(step: _Step) -> None:
        # The loop may be gone, and whoever read with it.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(came.put_nowait, step)

    given_up = _pump(chunks, put)
    try:
        while (chunk := await came.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk
    finally:
        given_up.set()


def _pump(chunks: Chunks, put: Callable[[_Step], None]) -> threading.Event:
    """Hand chunks over from a daemon thread, until the event that is returned is set."""
    given_up = threading.Event()

    def work() -> None:
        try:
            for chunk in chunks:
                put(chunk)
                if given_up.is_set():
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001 - raised again where the chunks are read
            put(error)
        finally:
            chunks.close()

    run_in_daemon(partial(copy_context().run, work))
    return given_up


async def auntil(chunks: AsyncChunks, deadline_s: float | None) -> AsyncChunks:
    """The same chunks as `until`, without a thread."""
    left = deadline_s
    try:
        while True:
            asked = time.perf_counter()
            try:
                async with asyncio.timeout(left) as timer:
                    chunk = await anext(chunks, None)
            except TimeoutError:
                if timer.expired() and deadline_s is not None:
                    raise deadline_error(deadline_s) from None
                raise
            if chunk is None:
                return
            if left is not None:
                left -= time.perf_counter() - asked
            yield chunk
    finally:
        await chunks.aclose()
