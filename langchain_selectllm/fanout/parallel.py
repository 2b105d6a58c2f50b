"""Chosen members called in parallel, in threads or as tasks: the only I/O of the package."""

import asyncio
import contextlib
import queue
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial

from langchain_core.messages import AIMessage

from langchain_selectllm.exceptions import DeadlineError
from langchain_selectllm.fanout.concurrency import Places
from langchain_selectllm.fanout.daemon_threads import run_in_daemon

Outcome = AIMessage | Exception


@dataclass(frozen=True)
class Limits:
    """What bounds a fan-out."""

    deadline_s: float | None = None
    """Seconds that one call may take; None = for ever."""
    max_concurrency: int | None = None
    """Calls in flight at once; None = all of them."""


@dataclass
class CallPlan:
    """Whom to call next and when to stop, as a function of what came back; no I/O.

    Starts with the selection. A failure that leaves fewer possible replies than `min_replies` brings in the next of the
    reserve. When every call has ended, `next_round` is asked whom else to call. Stops when nothing is outstanding, or
    when `is_decided` says that the rest cannot change the winner. Nobody is called beyond `max_calls`.
    """

    selected: Sequence[int]
    reserve: Sequence[int]
    min_replies: int
    is_decided: Callable[[dict[int, AIMessage], Sequence[int]], bool]
    next_round: Callable[[dict[int, AIMessage], Collection[int]], Sequence[int]] = lambda *_: ()
    is_slow: bool = False
    """Whether these two take a model's work, which does not belong on an event loop."""
    max_calls: int | None = None
    replies: dict[int, AIMessage] = field(default_factory=dict)
    failures: dict[int, Exception] = field(default_factory=dict)
    latencies: dict[int, float] = field(default_factory=dict)
    topped_up: list[int] = field(default_factory=list)
    held_back: list[int] = field(default_factory=list)
    """Members that would have been called if it were not for `max_calls`."""
    rounds: int = 1
    _waiting: list[int] = field(default_factory=list)
    _running: set[int] = field(default_factory=set)
    _stopped: bool = False

    def __post_init__(self) -> None:
        self._waiting = list(self.selected)

    @property
    def outstanding(self) -> list[int]:
        """Members called or about to be called that have not replied, ascending."""
        return sorted([*self._running, *self._waiting])

    @property
    def calls(self) -> int:
        """Calls that were started."""
        return len(self.replies) + len(self.failures) + len(self._running)

    @property
    def outcome(self) -> Outcome:
        """What came of a plan with one member."""
        (member,) = self.selected
        return self.replies[member] if member in self.replies else self.failures[member]

    @property
    def done(self) -> bool:
        """Whether there is nothing to wait for."""
        return self._stopped or not self.outstanding

    def take(self, limit: int | None) -> list[int]:
        """Members to call now, with at most `limit` calls in flight."""
        room = len(self._waiting) if limit is None else max(limit - len(self._running), 0)
        started, self._waiting = self._waiting[:room], self._waiting[room:]
        self._running.update(started)
        return started

    def finish(self, member: int, outcome: Outcome, latency_s: float) -> None:
        """Record a reply or failure, and decide whether to go on.

        Raises:
            Exception: The outcome, where a member leaves LangGraph's graph, to interrupt it or with a command for its parent.
        """
        if member not in self._running:
            return
        if isinstance(outcome, Exception) and _leaves_graph(outcome):
            raise outcome
        self._running.remove(member)
        self.latencies[member] = latency_s
        if isinstance(outcome, Exception):
            self.failures[member] = outcome
            self._top_up()
        else:
            self.replies[member] = outcome
            self._stopped = bool(self.outstanding) and self.is_decided(self.replies, self.outstanding)
        if not self.outstanding:
            called = {*self.replies, *self.failures}
            further = [k for k in self.next_round(self.replies, called) if k not in called]
            self._waiting = self._within_bound(further)
            self.rounds += bool(self._waiting)

    def _top_up(self) -> None:
        spare = [k for k in self.reserve if k not in self.topped_up]
        while spare and len(self.replies) + len(self.outstanding) < self.min_replies:
            admitted = self._within_bound(spare[:1])
            if not admitted:
                return
            self.topped_up += admitted
            self._waiting += admitted
            del spare[0]

    def _within_bound(self, members: Sequence[int]) -> list[int]:
        """Those of further members that may still be called."""
        room = (
            len(members)
            if self.max_calls is None
            else max(self.max_calls - self.calls - len(self._waiting), 0)
        )
        self.held_back += [k for k in members[room:] if k not in self.held_back]
        return list(members[:room])


def run(plan: CallPlan, call: Callable[[int], AIMessage], limits: Limits, gate: Places | None = None) -> None:
    """Carry the plan out in threads.

    Python cannot stop a thread: a call that passed its deadline, or was not waited for, ends by itself in the background.
    Its thread is a daemon, which does not hold up the end of the process. At the gate it loses its place at its deadline.

    Args:
        plan: Filled in as replies come.
        call: Calls one member; runs in a thread, in a copy of this context.
        limits: Deadline and concurrency.
        gate: Bounds calls across several fan-outs.
    """
    finished: queue.SimpleQueue[tuple[int, Outcome, float]] = queue.SimpleQueue()
    started_at: dict[int, float] = {}

    def work(member: int) -> None:
        with gate.taken(limits.deadline_s) if gate else contextlib.nullcontext():
            if plan.done:
                return
            started_at[member] = start = time.perf_counter()
            outcome: Outcome
            try:
                outcome = call(member)
            except BaseException as error:  # noqa: BLE001 - one member's failure is a result like any other
                outcome = _as_failure(error)
            finished.put((member, outcome, time.perf_counter() - start))

    while not plan.done:
        for member in plan.take(limits.max_concurrency):
            run_in_daemon(partial(copy_context().run, work, member))
        try:
            member, outcome, latency = finished.get(timeout=_patience(plan, started_at, limits.deadline_s))
        except queue.Empty:
            for late in _late(plan, started_at, limits.deadline_s):
                plan.finish(late, deadline_error(limits.deadline_s or 0.0), limits.deadline_s or 0.0)
            continue
        plan.finish(member, outcome, latency)


async def arun(
    plan: CallPlan,
    call: Callable[[int], Awaitable[AIMessage]],
    limits: Limits,
    gate: asyncio.Semaphore | None = None,
) -> None:
    """Carry the plan out in tasks, and cancel what is left, whether the vote is decided or the caller was cancelled.

    Args:
        plan: Filled in as replies come.
        call: Calls one member.
        limits: Deadline and concurrency.
        gate: Bounds calls across several fan-outs.
    """
    tasks: dict[asyncio.Task[tuple[Outcome, float]], int] = {}

    async def work(member: int) -> tuple[Outcome, float]:
        async with gate or contextlib.nullcontext():
            start = time.perf_counter()
            try:
                async with asyncio.timeout(limits.deadline_s) as timer:
                    return await call(member), time.perf_counter() - start
            except (asyncio.CancelledError, SystemExit) as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # Nobody cancelled us: something inside the member gave up or exits, which is its own failure.
                return _as_failure(error), time.perf_counter() - start
            except Exception as error:  # noqa: BLE001 - one member's failure is a result like any other
                late = isinstance(error, TimeoutError) and timer.expired()
                return deadline_error(
                    limits.deadline_s or 0.0
                ) if late else error, time.perf_counter() - start

    try:
        while not plan.done:
            for member in plan.take(limits.max_concurrency):
                tasks[asyncio.create_task(work(member))] = member
            finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # Replies that arrive together are recorded in pool order.
            for task in sorted(finished, key=tasks.__getitem__):
                outcome, latency = task.result()
                ended = tasks.pop(task), outcome, latency
                # Without a model at work in the count, a thread would cost more than it frees.
                await asyncio.to_thread(plan.finish, *ended) if plan.is_slow else plan.finish(*ended)
    finally:
        for task in tasks:
            task.cancel()
        # One turn of the loop lets members see their cancellation; nobody waits for one that ignores it.
        await asyncio.sleep(0)


def _patience(plan: CallPlan, started_at: Mapping[int, float], deadline_s: float | None) -> float | None:
    """Seconds until the first deadline of a call can pass, whether it runs already or starts now; None without one."""
    if deadline_s is None:
        return None
    starts = [start for k, start in list(started_at.items()) if k in plan.outstanding]
    return max(min(starts, default=time.perf_counter()) + deadline_s - time.perf_counter(), 0.0)


def _late(plan: CallPlan, started_at: Mapping[int, float], deadline_s: float | None) -> list[int]:
    """Outstanding members whose time is up; those that wait for a free slot have not started."""
    now = time.perf_counter()
    started = sorted((k, start) for k, start in list(started_at.items()) if k in plan.outstanding)
    return [k for k, start in started if deadline_s is not None and now - start >= deadline_s]


def _as_failure(error: BaseException) -> Exception:
    """The error as one that a result can carry: a member that exits or cancels itself has failed, and no more than that."""
    if isinstance(error, Exception):
        return error
    failure = RuntimeError(f"The member's call ended in {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def _leaves_graph(error: Exception) -> bool:
    # Whoever raises it has imported it.
    langgraph = sys.modules.get("langgraph.errors")
    return langgraph is not None and isinstance(error, langgraph.GraphBubbleUp)


def deadline_error(deadline_s: float) -> DeadlineError:
    """The error of a member that passed its deadline."""
    return DeadlineError(f"No reply within deadline_s={deadline_s:g}. Raise it, or leave slow members out.")
