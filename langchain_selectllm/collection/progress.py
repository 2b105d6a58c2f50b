"""How far collecting is, member by member."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class MemberProgress:
    """How far one member is."""

    member: str
    total: int
    """Calls that were asked for."""
    done: int = 0
    """Replies in the store, those of earlier runs included."""
    failed: int = 0
    """Calls of this run whose last attempt failed; the next run makes them again."""
    cost_usd: float = 0.0
    """Of the replies of this run."""
    state: str = "waiting"
    """Such as "running", "paused 8 s", "done", or why the member is asked no more."""
    _before: int = field(default=0, repr=False)
    _started_s: float = field(default_factory=time.monotonic, repr=False)
    _ended_s: float | None = field(default=None, repr=False)

    @property
    def left(self) -> int:
        """Calls without a reply."""
        return self.total - self.done

    @property
    def rate(self) -> float:
        """Replies a second in this run."""
        passed = (self._ended_s or time.monotonic()) - self._started_s
        return (self.done - self._before) / passed if passed > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds until the member is done at this rate; None when that cannot be said."""
        return max(self.left - self.failed, 0) / self.rate if self.rate > 0 else None

    def start(self) -> None:
        """Begin to measure the rate."""
        self._before, self._started_s, self.state = self.done, time.monotonic(), "running"

    def end(self, state: str) -> None:
        """Stop measuring the rate."""
        self._ended_s, self.state = time.monotonic(), state

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain JSON."""
        figures = {
            name: getattr(self, name)
            for name in ("member", "total", "done", "failed", "left", "cost_usd", "state")
        }
        return {**figures, "rate": round(self.rate, 3)}


OnProgress = Callable[[Sequence[MemberProgress]], None]
"""Called a few times a second while collecting goes on."""


@dataclass(frozen=True)
class Collected:
    """What a run of collecting has come to."""

    members: tuple[MemberProgress, ...]
    stopped: str | None
    """Why calls are left over: "interrupted", "max_cost_usd", "failures"; None when every call has its reply."""
    spent_usd: float
    """Recorded cost of everything in the store."""

    @property
    def left(self) -> int:
        """Calls without a reply; the same collection run again makes them."""
        return sum(member.left for member in self.members)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain JSON."""
        members = [member.to_dict() for member in self.members]
        return {"stopped": self.stopped, "left": self.left, "spent_usd": self.spent_usd, "members": members}
