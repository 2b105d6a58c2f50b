"""Progress of a collection, per member."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class MemberProgress:
    """Progress of one member."""

    member: str
    total: int
    """Calls of the whole collection."""
    done: int = 0
    """Replies in the store, those of earlier runs included."""
    failed: int = 0
    """Calls of this run whose last attempt failed; the next run makes them again."""
    cost_usd: float | None = 0.0
    """Cost of the replies of this run; None as soon as that of some reply is unknown."""
    state: str = "waiting"
    """Such as "running", "paused 8 s", "done", or the reason why the member is not called any more."""
    _before: int = field(default=0, repr=False)
    _started_s: float = field(default_factory=time.monotonic, repr=False)
    _ended_s: float | None = field(default=None, repr=False)

    @property
    def left(self) -> int:
        """Calls without a reply."""
        return self.total - self.done

    @property
    def rate(self) -> float:
        """Replies per second in this run."""
        passed = (self._ended_s or time.monotonic()) - self._started_s
        if passed <= 0:
            return 0.0
        return (self.done - self._before) / passed

    @property
    def eta_s(self) -> float | None:
        """Seconds until the member is done at this rate; None before the first reply."""
        if self.rate <= 0:
            return None
        return max(self.left - self.failed, 0) / self.rate

    def add_reply(self, cost_usd: float | None) -> None:
        """Counts a reply with its cost; an unknown cost makes the sum unknown, never smaller."""
        self.done += 1
        self.add_cost(cost_usd)

    def add_cost(self, cost_usd: float | None) -> None:
        """Adds a cost to the sum; None makes the sum unknown."""
        if self.cost_usd is None or cost_usd is None:
            self.cost_usd = None
        else:
            self.cost_usd += cost_usd

    def start(self) -> None:
        """Begins to measure the rate."""
        self._before, self._started_s, self.state = self.done, time.monotonic(), "running"

    def end(self, state: str) -> None:
        """Stops measuring the rate."""
        self._ended_s, self.state = time.monotonic(), state

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures as plain JSON."""
        return {
            "member": self.member,
            "total": self.total,
            "done": self.done,
            "failed": self.failed,
            "left": self.left,
            "cost_usd": self.cost_usd,
            "state": self.state,
            "rate": round(self.rate, 3),
        }


MemberProgressCallback = Callable[[Sequence[MemberProgress]], None]
"""Called a few times per second during a collection."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """Result of a collection."""

    members: tuple[MemberProgress, ...]
    stopped: str | None
    """Why calls are left over: "interrupted", "max_cost_usd", "failures", "lock lost"; None when every
    call has its reply."""
    spent_usd: float
    """Sum of the known costs of everything in the store."""
    unpriced: int = 0
    """Replies in the store whose cost is unknown, and not in `spent_usd`; counted by `collect_outcomes`."""
    smallest_budget_usd: float | None = None
    """Smallest `max_cost_usd` with which one more call is made: the recorded cost plus the most that the
    cheapest call left can cost; None unless `max_cost_usd` stopped the collection on this machine."""

    @property
    def left(self) -> int:
        """Calls without a reply; the same collection run again makes them."""
        return sum(member.left for member in self.members)

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures as plain JSON."""
        return {
            "stopped": self.stopped,
            "left": self.left,
            "spent_usd": self.spent_usd,
            "unpriced": self.unpriced,
            "smallest_budget_usd": self.smallest_budget_usd,
            "members": [member.to_dict() for member in self.members],
        }
