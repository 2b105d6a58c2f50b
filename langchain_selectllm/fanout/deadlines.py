"""Deadlines of single calls and of whole requests."""

import time
from dataclasses import dataclass, field

from langchain_selectllm.exceptions import DeadlineError
from langchain_selectllm.fanout.call_plan import CallPlan


@dataclass(frozen=True, kw_only=True)
class RequestTimer:
    """The time that a whole request may take, with all of its rounds."""

    deadline_s: float
    started_at: float = field(default_factory=time.perf_counter)
    """Start of the request, as `time.perf_counter` counts."""

    @property
    def left_s(self) -> float:
        """Seconds that are left, 0 at least."""
        return max(self.started_at + self.deadline_s - time.perf_counter(), 0.0)

    def error(self) -> DeadlineError:
        """The error of a member whose reply did not come before the request's end."""
        return DeadlineError(
            f"No reply within request_deadline_s={self.deadline_s:g}, which bounds all rounds. Raise it, "
            "or bound single calls by a shorter deadline_s."
        )


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """Seconds that are left for one wait."""

    seconds: float
    error: DeadlineError
    """Raised, or recorded as the member's failure, when they are over."""


class PatienceClock:
    """The time from which the members of a round that have not replied are late."""

    def __init__(self, after_s: float) -> None:
        """Start with the first round, `after_s` seconds before its members are late."""
        self._after_s = after_s
        self._round = 0
        self._late_at = 0.0

    def update(self, plan: CallPlan) -> float | None:
        """Tell the plan whether its members are late; returns the seconds until then, None if they are."""
        if self._after_s == 0.0:
            return None
        if plan.rounds != self._round:
            self._round, self._late_at = plan.rounds, time.perf_counter() + self._after_s
        left_s = self._late_at - time.perf_counter()
        plan.set_late(left_s <= 0.0)
        if plan.are_late:
            return None
        return left_s


@dataclass(frozen=True)
class Limits:
    """Bounds of a fan-out."""

    deadline_s: float | None = None
    """Deadline of one call in seconds; no deadline when None."""
    max_concurrency: int | None = None
    """Calls in flight at once; no bound when None."""
    timer: RequestTimer | None = None
    """Bounds all calls of the request together; no bound when None."""
    patience_after_s: float = 0.0
    """Seconds from the start of a round of calls from which the vote may end by patience."""

    @property
    def is_over(self) -> bool:
        """Whether the time of the request is over."""
        return self.timer is not None and self.timer.left_s == 0.0

    def of_a_call(self) -> Deadline | None:
        """Deadline of a call that starts now: its own, or the rest of the request's; None without both."""
        timer, deadline_s = self.timer, self.deadline_s
        if timer is not None and (deadline_s is None or timer.left_s < deadline_s):
            return Deadline(seconds=timer.left_s, error=timer.error())
        if deadline_s is None:
            return None
        return Deadline(seconds=deadline_s, error=deadline_error(deadline_s))

    def lease_s(self) -> float | None:
        """Seconds after which a call that starts now frees its slot for others; never when None."""
        deadline = self.of_a_call()
        if deadline is None:
            return None
        return deadline.seconds


def deadline_error(deadline_s: float) -> DeadlineError:
    """The error of a member that passed the deadline of its call."""
    return DeadlineError(f"No reply within deadline_s={deadline_s:g}. Raise it, or leave slow members out.")
