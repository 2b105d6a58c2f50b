"""Replies in chunks: a member's own stream within its deadline, or a finished message in pieces."""

import asyncio
import contextlib
import json
import queue
import re
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextvars import copy_context
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.messages.utils import message_chunk_to_message

from langchain_selectllm.fanout.daemon_threads import run_in_daemon
from langchain_selectllm.fanout.deadlines import Deadline

Chunks = Generator[AIMessageChunk, None, None]
AsyncChunks = AsyncGenerator[AIMessageChunk, None]

# A chunk, an error raised instead of one, or the end.
_Step = AIMessageChunk | BaseException | None
_WORDS = re.compile(r"\s*\S+\s*")


class StreamedReply:
    """One member's reply, put together from its chunks."""

    def __init__(self) -> None:
        self._whole: AIMessageChunk | None = None
        self._start = time.perf_counter()

    @property
    def started(self) -> bool:
        """Whether a chunk has come, so that no other member can answer in its place."""
        return self._whole is not None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the call started."""
        return time.perf_counter() - self._start

    def add(self, chunk: AIMessageChunk) -> AIMessageChunk:
        """The chunk to hand on, without the mark of a last chunk: the router's own comes after it."""
        self._whole = chunk if self._whole is None else self._whole + chunk
        if chunk.chunk_position is None:
            return chunk
        return chunk.model_copy(update={"chunk_position": None})

    def message(self) -> AIMessage:
        """The whole reply.

        Raises:
            ValueError: If there was no chunk.
        """
        if self._whole is None:
            raise ValueError("The stream ended without a chunk.")
        return as_reply(message_chunk_to_message(self._whole))


def with_deadline(chunks: Chunks, deadline: Deadline | None) -> Chunks:
    """The chunks, with at most the seconds of the deadline spent waiting for them.

    A deadline needs a thread, which a hanging member keeps.

    Raises:
        DeadlineError: If the time is up.
    """
    if deadline is None:
        yield from chunks
        return
    steps: queue.SimpleQueue[_Step] = queue.SimpleQueue()
    given_up = _pump(chunks, steps.put)
    left = deadline.seconds
    try:
        while True:
            waits_since = time.perf_counter()
            step = steps.get(timeout=max(left, 0.0))
            left -= time.perf_counter() - waits_since
            if step is None:
                return
            if isinstance(step, BaseException):
                raise step
            yield step
    except queue.Empty:
        raise deadline.error from None
    finally:
        given_up.set()


async def with_deadline_async(chunks: AsyncChunks, deadline: Deadline | None) -> AsyncChunks:
    """The chunks, with at most the seconds of the deadline spent waiting for them.

    Raises:
        DeadlineError: If the time is up.
    """
    left = None
    if deadline is not None:
        left = deadline.seconds
    try:
        while True:
            waits_since = time.perf_counter()
            try:
                async with asyncio.timeout(left) as timer:
                    chunk = await anext(chunks, None)
            except TimeoutError:
                if timer.expired() and deadline is not None:
                    raise deadline.error from None
                raise
            if chunk is None:
                return
            if left is not None:
                left -= time.perf_counter() - waits_since
            yield chunk
    finally:
        await chunks.aclose()


async def iterate_in_thread(chunks: Chunks) -> AsyncChunks:
    """The chunks, made in a daemon thread, so that a hanging member blocks no other work of the loop."""
    loop, steps = asyncio.get_running_loop(), asyncio.Queue[_Step]()

    def put(step: _Step) -> None:
        # The loop may be closed, and the reader gone with it.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(steps.put_nowait, step)

    given_up = _pump(chunks, put)
    try:
        while (step := await steps.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            yield step
    finally:
        given_up.set()


def _pump(chunks: Chunks, put: Callable[[_Step], None]) -> threading.Event:
    """Hands chunks over from a daemon thread until the returned event is set."""
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


def as_reply(value: Any) -> AIMessage:
    """The value, if it is a model's message.

    Raises:
        TypeError: If it is anything else.
    """
    if isinstance(value, AIMessage):
        return value
    raise TypeError(
        f"The member returned a {type(value).__name__}. Register a Runnable that returns an AIMessage, such "
        "as a chat model."
    )


def as_chunk(value: Any) -> AIMessageChunk:
    """A model's message as one chunk; a chunk is returned as it is.

    Raises:
        TypeError: If the value is no message of a model.
    """
    message = as_reply(value)
    if isinstance(message, AIMessageChunk):
        return message
    return AIMessageChunk(
        content=message.content,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        id=message.id,
        name=message.name,
        usage_metadata=message.usage_metadata,
        tool_call_chunks=list(_tool_call_chunks(message)),
    )


def message_chunks(message: AIMessage) -> Iterator[AIMessageChunk]:
    """A finished message word by word; tool calls, usage and metadata come with the last chunk.

    Content that is a list of blocks comes in one chunk.
    """
    last = as_chunk(message)
    words: list[str] = []
    if isinstance(message.content, str):
        words = _WORDS.findall(message.content)
    for word in words[:-1]:
        yield AIMessageChunk(content=word, id=message.id)
    rest: Any = message.content
    if words:
        rest = words[-1]
    yield last.model_copy(update={"content": rest, "chunk_position": "last"})


def closing_chunk(message: BaseMessage) -> AIMessageChunk:
    """Last chunk of a streamed reply, with the metadata of the decision and nothing else."""
    metadata = {"selectllm": message.response_metadata["selectllm"]}
    return AIMessageChunk(content="", id=message.id, response_metadata=metadata, chunk_position="last")


def _tool_call_chunks(message: AIMessage) -> Iterator[ToolCallChunk]:
    index = 0
    for call in message.tool_calls:
        args = json.dumps(call["args"], ensure_ascii=False)
        yield tool_call_chunk(name=call["name"], args=args, id=call["id"], index=index)
        index += 1
    for invalid in message.invalid_tool_calls:
        name, args = invalid["name"] or "", invalid["args"] or ""
        yield tool_call_chunk(name=name, args=args, id=invalid["id"], index=index)
        index += 1
