"""Reusable daemon threads: starting one per call would cost more than the rest of a router's work."""

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
Job = Callable[[], None]
"""Work that must not raise."""


class DaemonThreads:
    """Pool of daemon threads; an idle one waits for the next job, and ends when none comes."""

    def __init__(self, idle_s: float = 10.0) -> None:
        """Start no thread.

        Args:
            idle_s: Seconds after which an idle thread ends.
        """
        self.idle_s = idle_s
        self.forget()

    def forget(self) -> None:
        """Drop all threads: they do not survive a fork, and one of them may have held the lock."""
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []

    @property
    def idle(self) -> int:
        """Number of threads that wait for a job."""
        return len(self._idle)

    def run(self, job: Job) -> None:
        """Run a job in an idle thread, or in a new one."""
        worker = None
        with self._lock:
            if self._idle:
                worker = self._idle.pop()
        if worker is None:
            _Worker(self, job)
        else:
            worker.give(job)

    def rest(self, worker: "_Worker") -> None:
        """Mark a worker as idle."""
        with self._lock:
            self._idle.append(worker)

    def let_go(self, worker: "_Worker") -> bool:
        """Whether a worker may end: not when a job was handed over to it at this very moment."""
        with self._lock:
            waits = worker in self._idle
            if waits:
                self._idle.remove(worker)
        return waits


class _Worker:
    """One daemon thread; a job that hangs keeps it, and does not delay the end of the process."""

    def __init__(self, threads: DaemonThreads, job: Job) -> None:
        self._threads = threads
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.give(job)
        threading.Thread(target=self._work, daemon=True, name="selectllm-call").start()

    def give(self, job: Job) -> None:
        """Hand the next job over; the worker must be idle."""
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._threads.idle_s)
            except queue.Empty:
                if self._threads.let_go(self):
                    return
                continue
            job()
            # Objects that the job refers to are freed before the next one comes.
            del job
            self._threads.rest(self)


CALLS = DaemonThreads()
"""The threads in which members are called."""


def run_in_daemon(job: Job) -> None:
    """Run a job in one of the threads in which members are called."""
    CALLS.run(job)


async def in_daemon(call: Callable[[], T]) -> T:
    """Result of a call that runs in a daemon thread, in a copy of this context.

    Asyncio's own threads are few, so that calls which hang block the others, and they delay the end of its
    loop.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def resolve(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(cast("T", result))
        else:
            future.set_exception(error)

    def job() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except StopIteration as raised:
            # Would end the awaiting coroutine without an error; asyncio refuses it as a result.
            error = RuntimeError(f"The call raised StopIteration: {raised}")
            error.__cause__ = raised
        except BaseException as raised:  # noqa: BLE001 - raised again where the result is awaited
            error = raised
        # The loop may be closed, and the awaiting coroutine gone with it.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(resolve, result, error)

    run_in_daemon(partial(copy_context().run, job))
    return await future


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CALLS.forget)
