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


class DaemonThreads:
    """Daemon threads; one that has nothing to do waits for the next task, and ends when none comes."""

    def __init__(self, idle_s: float = 10.0) -> None:
        """Start none.

        Args:
            idle_s: Seconds after which a thread without a task ends.
        """
        self.idle_s = idle_s
        self.forget()

    def forget(self) -> None:
        """Know of no thread: they do not survive a fork, and one of them may have held the lock."""
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []

    @property
    def idle(self) -> int:
        """How many threads wait for a task."""
        return len(self._idle)

    def run(self, task: Task) -> None:
        """Run a task, which must not raise, in a thread that waits since an earlier one, or in a new one."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            _Worker(self, task)
        else:
            worker.give(task)

    def rest(self, worker: "_Worker") -> None:
        """Note that a worker has nothing to do."""
        with self._lock:
            self._idle.append(worker)

    def let_go(self, worker: "_Worker") -> bool:
        """Whether a worker may end: not when a task was handed over to it at this very moment."""
        with self._lock:
            waits = worker in self._idle
            if waits:
                self._idle.remove(worker)
        return waits


class _Worker:
    """One daemon thread; a task that hangs keeps it, and does not hold up the end of the process."""

    def __init__(self, threads: DaemonThreads, task: Task) -> None:
        self._threads = threads
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self.give(task)
        threading.Thread(target=self._work, daemon=True, name="selectllm-call").start()

    def give(self, task: Task) -> None:
        """Hand the next task over; the worker must be idle."""
        self._tasks.put(task)

    def _work(self) -> None:
        while True:
            try:
                task = self._tasks.get(timeout=self._threads.idle_s)
            except queue.Empty:
                if self._threads.let_go(self):
                    return
                continue
            task()
            # What the task holds on to is not kept until the next one comes.
            del task
            self._threads.rest(self)


CALLS = DaemonThreads()
"""The threads in which members are called."""


def run_in_daemon(task: Task) -> None:
    """Run a task, which must not raise, in one of the threads in which members are called."""
    CALLS.run(task)


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


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CALLS.forget)
