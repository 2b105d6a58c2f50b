"""Daemon threads that are used again: starting one for every call would cost more than all else a router does."""

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import TypeVar, cast

T = TypeVar("T")
Task = Callable[[], None]
IDLE_S = 10.0
"""Seconds after which a thread without a task ends."""

_lock = threading.Lock()
_idle: list["_Worker"] = []


class _Worker:
    """One daemon thread; a task that hangs keeps it, and does not hold up the end of the process."""

    def __init__(self, task: Task) -> None:
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self.give(task)
        threading.Thread(target=self._work, daemon=True, name="selectllm-call").start()

    def give(self, task: Task) -> None:
        """Hand the next task over; the worker must be idle."""
        self._tasks.put(task)

    def _work(self) -> None:
        while True:
            try:
                task = self._tasks.get(timeout=IDLE_S)
            except queue.Empty:
                with _lock:
                    if self in _idle:
                        _idle.remove(self)
                        return
                # A task was handed over at this very moment.
                continue
            task()
            # What the task holds on to is not kept until the next one comes.
            del task
            with _lock:
                _idle.append(self)


def run_in_daemon(task: Task) -> None:
    """Run a task, which must not raise, in a daemon thread that waits since an earlier one, or in a new one."""
    with _lock:
        worker = _idle.pop() if _idle else None
    if worker is None:
        _Worker(task)
    else:
        worker.give(task)


async def in_daemon(call: Callable[[], T]) -> T:
    """What a call returns that runs in a daemon thread, in a copy of this context.

    Asyncio's own threads are few, so that calls which hang hold up the others, and they hold up the end of its loop.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(cast("T", result))
        else:
            future.set_exception(error)

    def task() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except StopIteration as raised:
            # Would end whoever waits, without an error; asyncio refuses it as a result.
            error = RuntimeError(f"The call raised StopIteration: {raised}")
            error.__cause__ = raised
        except BaseException as raised:  # noqa: BLE001 - raised again where the result is waited for
            error = raised
        # The loop may be gone, and whoever waited with it.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, result, error)

    run_in_daemon(partial(copy_context().run, task))
    return await future


def _forget() -> None:
    """Threads do not survive a fork, and the lock may have been held by one of them."""
    global _lock  # noqa: PLW0603 - nobody else runs in a process that was just forked
    _lock = threading.Lock()
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
