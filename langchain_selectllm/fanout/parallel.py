"""Parallel calls of the chosen members, in threads or as tasks: the only I/O of the package."""

import asyncio
import contextlib
import queue
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from functools import partial

from langchain_core.messages import AIMessage

from langchain_selectllm.fanout.call_plan import CallPlan, CallResult
from langchain_selectllm.fanout.concurrency import ConcurrencyLimit
from langchain_selectllm.fanout.daemon_threads import run_in_daemon
from langchain_selectllm.fanout.deadlines import Limits, PatienceClock, deadline_error


def run(
    plan: CallPlan,
    call: Callable[[int], AIMessage],
    limits: Limits,
    shared_limit: ConcurrencyLimit | None = None,
) -> None:
    """Carries the plan out in threads.

    Python cannot stop a thread: a call that passed its deadline, or that was given up, ends by itself in the
    background. Its thread is a daemon, which does not delay the end of the process, and its slot of the
    shared limit is freed at its deadline.

    Args:
        plan: Filled in as replies arrive.
        call: Calls one member; runs in a thread, in a copy of this context.
        limits: Deadline and concurrency.
        shared_limit: Bounds calls across several fan-outs.
    """
    finished: queue.SimpleQueue[tuple[int, CallResult, float]] = queue.SimpleQueue()
    started_at: dict[int, float] = {}
    clock = PatienceClock(limits.patience_after_s)

    def work(member: int) -> None:
        slot = contextlib.nullcontext() if shared_limit is None else shared_limit.slot(limits.lease_s())
        with slot:
            if plan.done:
                return
            started_at[member] = start = time.perf_counter()
            result: CallResult
            try:
                result = call(member)
            except BaseException as error:  # noqa: BLE001 - a member's failure is a result like any other
                result = _as_failure(error)
            finished.put((member, result, time.perf_counter() - start))

    while not plan.done:
        if limits.timer is not None and limits.is_over:
            plan.close(limits.timer.error(), _elapsed(started_at))
            return
        for member in plan.take(limits.max_concurrency):
            run_in_daemon(partial(copy_context().run, work, member))
        late_in_s = clock.update(plan)
        if not plan.done:
            _record_result(plan, finished, started_at, limits, late_in_s)


def _record_result(
    plan: CallPlan,
    finished: "queue.SimpleQueue[tuple[int, CallResult, float]]",
    started_at: Mapping[int, float],
    limits: Limits,
    late_in_s: float | None,
) -> None:
    """Waits for a result, until a deadline or until members are late, and records it."""
    timeout = _least(_until_deadline(plan, started_at, limits), late_in_s)
    try:
        member, result, latency = finished.get(timeout=timeout)
    except queue.Empty:
        for late in _late(plan, started_at, limits.deadline_s):
            plan.finish(late, deadline_error(limits.deadline_s or 0.0), limits.deadline_s or 0.0)
        return
    plan.finish(member, result, latency)


async def arun(
    plan: CallPlan,
    call: Callable[[int], Awaitable[AIMessage]],
    limits: Limits,
    shared_limit: asyncio.Semaphore | None = None,
) -> None:
    """Carries the plan out in tasks, and cancels those left when the vote is settled or the caller cancelled.

    Args:
        plan: Filled in as replies arrive.
        call: Calls one member; runs in a task, whose context is its own.
        limits: Deadline and concurrency.
        shared_limit: Bounds calls across several fan-outs.
    """
    fan_out = _TaskFanOut(plan, call, limits, shared_limit)
    clock = PatienceClock(limits.patience_after_s)
    try:
        while not plan.done:
            if limits.timer is not None and limits.is_over:
                await fan_out.close(limits.timer.error())
                return
            fan_out.start_calls()
            late_in_s = clock.update(plan)
            if not plan.done:
                await fan_out.record_results(_least(_time_left(limits), late_in_s))
    finally:
        await fan_out.cancel_rest()


class _TaskFanOut:
    """Tasks of one fan-out, with their results as they arrive."""

    def __init__(
        self,
        plan: CallPlan,
        call: Callable[[int], Awaitable[AIMessage]],
        limits: Limits,
        shared_limit: asyncio.Semaphore | None,
    ) -> None:
        self._plan = plan
        self._call = call
        self._limits = limits
        self._shared_limit = shared_limit
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._results: dict[int, tuple[CallResult, float]] = {}
        self._started_at: dict[int, float] = {}
        self._arrived: asyncio.Future[None] | None = None
        self._cancelled = False

    def start_calls(self) -> None:
        """Start a task per member that may be called now."""
        for member in self._plan.take(self._limits.max_concurrency):
            work = self._call_member
            if self._shared_limit is not None:
                work = self._call_in_slot
            self._tasks[member] = asyncio.create_task(work(member))

    async def record_results(self, timeout_s: float | None) -> None:
        """Wait for a result, for so many seconds at most, and record those that arrived."""
        if not self._results:
            await self._wait(timeout_s)
        arrived, self._results = self._results, {}
        # Replies that arrive together are recorded in pool order.
        for member in sorted(arrived):
            result, latency_s = arrived[member]
            if self._plan.is_slow:
                await asyncio.to_thread(self._plan.finish, member, result, latency_s)
            else:
                self._plan.finish(member, result, latency_s)

    async def _wait(self, timeout_s: float | None) -> None:
        """Wait for a result; `asyncio.wait` would keep more objects alive in every waiting request."""
        loop = asyncio.get_running_loop()
        self._arrived = loop.create_future()
        timer = None
        if timeout_s is not None:
            timer = loop.call_later(timeout_s, self._wake)
        try:
            await self._arrived
        finally:
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def close(self, error: Exception) -> None:
        """End the fan-out, with an error as the failure of the members that have not replied."""
        close = partial(self._plan.close, error, _elapsed(self._started_at))
        if self._plan.is_slow:
            await asyncio.to_thread(close)
        else:
            close()

    async def cancel_rest(self) -> None:
        """Cancel the tasks that are left; none is waited for, since it may ignore its cancellation."""
        self._cancelled = True
        left = [task for task in self._tasks.values() if not task.done()]
        for task in left:
            task.cancel()
        if left:
            # One turn of the loop lets members see their cancellation.
            await asyncio.sleep(0)

    async def _call_in_slot(self, member: int) -> None:
        async with self._shared_limit or contextlib.nullcontext():
            await self._call_member(member)

    async def _call_member(self, member: int) -> None:
        self._started_at[member] = start = time.perf_counter()
        deadline_s = self._limits.deadline_s
        result: CallResult
        try:
            if deadline_s is None:
                result = await self._call(member)
            else:
                result = await self._call_within(deadline_s, member)
        except (asyncio.CancelledError, SystemExit) as error:
            if self._cancelled:
                raise
            # Not cancelled by the fan-out: code inside the member gave up or exits, which is its own failure.
            result = _as_failure(error)
        except Exception as error:  # noqa: BLE001 - a member's failure is a result like any other
            result = error
        self._results[member] = (result, time.perf_counter() - start)
        self._wake()

    async def _call_within(self, deadline_s: float, member: int) -> AIMessage:
        try:
            async with asyncio.timeout(deadline_s) as timer:
                return await self._call(member)
        except TimeoutError:
            if timer.expired():
                raise deadline_error(deadline_s) from None
            raise


def _until_deadline(plan: CallPlan, started_at: Mapping[int, float], limits: Limits) -> float | None:
    """Seconds until a deadline can pass, of the request or of a call, started or not; None without any."""
    left_s = _time_left(limits)
    if limits.deadline_s is None:
        return left_s
    outstanding, now = plan.outstanding, time.perf_counter()
    first = min((start for k, start in list(started_at.items()) if k in outstanding), default=now)
    return _least(max(first + limits.deadline_s - now, 0.0), left_s)


def _least(*seconds: float | None) -> float | None:
    """The least of those that are known; None where none is."""
    return min((known for known in seconds if known is not None), default=None)


def _time_left(limits: Limits) -> float | None:
    """Seconds until the end of the request; None without one."""
    if limits.timer is None:
        return None
    return limits.timer.left_s


def _elapsed(started_at: Mapping[int, float]) -> dict[int, float]:
    """Seconds since each call started."""
    now = time.perf_counter()
    return {member: now - start for member, start in list(started_at.items())}


def _late(plan: CallPlan, started_at: Mapping[int, float], deadline_s: float | None) -> list[int]:
    """Outstanding members that passed their deadline; those that wait for a free slot have not started."""
    if deadline_s is None:
        return []
    outstanding, latest_start = plan.outstanding, time.perf_counter() - deadline_s
    return sorted(k for k, start in list(started_at.items()) if k in outstanding and start <= latest_start)


def _as_failure(error: BaseException) -> Exception:
    """The error as a result can carry it: a member that exits or cancels itself has merely failed."""
    if isinstance(error, Exception):
        return error
    failure = RuntimeError(f"The member's call ended in {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
