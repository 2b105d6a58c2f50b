"""Call plan: the members to call next and the end of a fan-out, computed from the results so far; no I/O."""

import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from langchain_core.messages import AIMessage

logger = logging.getLogger(__name__)

CallResult = AIMessage | Exception
"""Reply or failure of one call."""


class RepliesCounter(Protocol):
    """Counts replies as they arrive, such as an election."""

    @property
    def is_slow(self) -> bool:
        """Whether counting runs a model, which would block an event loop."""
        ...

    def add(self, member: int, reply: AIMessage) -> None:
        """Count a reply."""
        ...

    def is_settled(self, outstanding: Sequence[int], *, are_late: bool) -> bool:
        """Whether the outstanding members need not be waited for, and no other member has to be called."""
        ...

    def next_round(self, called: Collection[int]) -> Sequence[int]:
        """Members to call after all calls have ended; none when the result stands."""
        ...


@dataclass(kw_only=True)
class CallPlan:
    """State of one fan-out.

    Starts with the selection. A failure that leaves fewer possible replies than `min_replies` calls the next
    member of the reserve. When every call has ended, the counter may ask for another round. The plan is done
    when nothing is outstanding, or when the counter is settled. At most `max_calls` members are called, and
    none once the plan is closed. A member that is called several times has a number per call; see
    `voting.call_numbers`.
    """

    selected: Sequence[int]
    reserve: Sequence[int] = ()
    min_replies: int = 1
    counter: RepliesCounter | None = None
    early_stop: bool = True
    """Whether calls are given up once the counter is settled."""
    max_calls: int | None = None
    replies: dict[int, AIMessage] = field(default_factory=dict)
    failures: dict[int, Exception] = field(default_factory=dict)
    latencies: dict[int, float] = field(default_factory=dict)
    topped_up: list[int] = field(default_factory=list)
    held_back: list[int] = field(default_factory=list)
    """Members that were not called because of `max_calls`, or because the time of the request was over."""
    rounds: int = 1
    are_late: bool = True
    """Whether the outstanding members are late, so that the vote may end by patience."""
    called: list[list[int]] = field(default_factory=list)
    """Members whose calls were started, by round; top-ups stand in the round of the failure."""
    _waiting: list[int] = field(default_factory=list)
    _running: set[int] = field(default_factory=set)
    _stopped: bool = False
    _is_closed: bool = False

    def __post_init__(self) -> None:
        self._waiting = list(self.selected)

    @classmethod
    def single_call(cls) -> "CallPlan":
        """Plan of one call, of member 0."""
        return cls(selected=(0,))

    @property
    def result(self) -> CallResult:
        """Result of a plan with one member."""
        (member,) = self.selected
        if member in self.replies:
            return self.replies[member]
        return self.failures[member]

    @property
    def is_slow(self) -> bool:
        """Whether recording a result runs a model, which would block an event loop."""
        return self.counter is not None and self.counter.is_slow

    @property
    def outstanding(self) -> list[int]:
        """Members called or about to be called that have not replied, ascending."""
        return sorted([*self._running, *self._waiting])

    @property
    def given_up(self) -> list[int]:
        """Members whose calls were started and have not ended, ascending."""
        return sorted(self._running)

    @property
    def calls(self) -> int:
        """Calls that were started."""
        return len(self.replies) + len(self.failures) + len(self._running)

    @property
    def done(self) -> bool:
        """Whether there is nothing to wait for."""
        return self._stopped or not (self._running or self._waiting)

    def take(self, limit: int | None) -> list[int]:
        """Members to call now, with at most `limit` calls in flight."""
        room = len(self._waiting)
        if limit is not None:
            room = max(limit - len(self._running), 0)
        started, self._waiting = self._waiting[:room], self._waiting[room:]
        self._running.update(started)
        if len(self.called) < self.rounds:
            self.called.append([])
        self.called[-1] += started
        return started

    def finish(self, member: int, result: CallResult, latency_s: float) -> None:
        """Record the result of a call and update the plan.

        Raises:
            Exception: The result, where a member leaves LangGraph's graph: an interrupt, or a command for the
                parent graph.
        """
        if member not in self._running:
            return
        if isinstance(result, Exception) and _leaves_graph(result):
            raise result
        self._running.remove(member)
        self.latencies[member] = latency_s
        if isinstance(result, Exception):
            self.failures[member] = result
            self._top_up()
        else:
            self.replies[member] = result
            self._count(member, result)
        if not (self._running or self._waiting):
            self._start_next_round()

    def set_late(self, are_late: bool) -> None:
        """Record whether the outstanding members are late, and end the plan if the vote may end then."""
        if are_late == self.are_late:
            return
        self.are_late = are_late
        if are_late:
            self._stop_if_settled()

    def close(self, error: Exception, elapsed_s: Mapping[int, float]) -> None:
        """End the fan-out now: outstanding members count as failed, and no other member is called.

        Args:
            error: Failure of the members that were called and have not replied.
            elapsed_s: Seconds since the start of each member's call.
        """
        self._is_closed = True
        if self.outstanding:
            logger.warning("%d calls ended without a reply (%s)", len(self.outstanding), type(error).__name__)
        self._waiting = self._within_bound(self._waiting)
        for member in sorted(self._running):
            self.finish(member, error, elapsed_s.get(member, 0.0))

    def _count(self, member: int, reply: AIMessage) -> None:
        if self.counter is None:
            return
        self.counter.add(member, reply)
        self._stop_if_settled()

    def _stop_if_settled(self) -> None:
        if self.counter is not None and self.early_stop and (self._running or self._waiting):
            self._stopped = self.counter.is_settled(self.outstanding, are_late=self.are_late)

    def _start_next_round(self) -> None:
        if self.counter is None:
            return
        called = {*self.replies, *self.failures}
        further = [k for k in self.counter.next_round(called) if k not in called]
        self._waiting = self._within_bound(further)
        self.rounds += bool(self._waiting)

    def _top_up(self) -> None:
        spare = [k for k in self.reserve if k not in self.topped_up]
        while spare and len(self.replies) + len(self.outstanding) < self.min_replies:
            admitted = self._within_bound(spare[:1])
            if not admitted:
                return
            logger.info("%d calls failed: one more member is called", len(self.failures))
            self.topped_up += admitted
            self._waiting += admitted
            del spare[0]

    def _within_bound(self, members: Sequence[int]) -> list[int]:
        """The first of further members, as many as may still be called."""
        room = len(members)
        if self._is_closed:
            room = 0
        elif self.max_calls is not None:
            room = max(self.max_calls - self.calls - len(self._waiting), 0)
        for member in members[room:]:
            if member not in self.held_back:
                self.held_back.append(member)
        return list(members[:room])


def _leaves_graph(error: Exception) -> bool:
    # Code that raises such an error has imported the module.
    langgraph = sys.modules.get("langgraph.errors")
    return langgraph is not None and isinstance(error, langgraph.GraphBubbleUp)
