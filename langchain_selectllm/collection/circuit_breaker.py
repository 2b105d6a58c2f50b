"""When a member may be asked: its rate limit, the pauses its server asks for, and its circuit breaker."""

import asyncio
from dataclasses import dataclass

from langchain_selectllm.collection.retries import describe, is_hopeless, retry_after_s, sleep_or_stop


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a member that keeps failing is paused, and when it is given up."""

    failures: int = 10
    """Failed attempts in a row that open the breaker."""
    pause_s: float = 1.0
    """The first pause; each further one is twice as long."""
    max_pause_s: float = 60.0
    max_pauses: int = 6
    """Pauses in a row, each ended by one attempt that failed, after which the member is given up for this run."""


class Gate:
    """Lets attempts at one member through, one by one.

    After a pause a single attempt probes the member; the others follow when it succeeds.
    """

    def __init__(self, requests_per_second: float | None, policy: BreakerPolicy, stop: asyncio.Event) -> None:
        """Start closed: the first attempt goes through at once."""
        self._interval_s = 1.0 / requests_per_second if requests_per_second else 0.0
        self._policy = policy
        self._stop = stop
        self._next_s = 0.0
        self._paused_until_s = 0.0
        self._failures = 0
        self._pauses = 0
        self._probing = False
        self._probe_ended = asyncio.Event()
        self.given_up: str | None = None
        """Why the member is asked no more in this run; None while it is."""

    @property
    def pause_left_s(self) -> float:
        """Seconds until the next attempt is let through; 0 when nothing holds it back."""
        return max(self._paused_until_s - _now(), 0.0)

    async def enter(self) -> "Pass | None":
        """Leave for one attempt; None when the member was given up, or collecting stops."""
        while self.given_up is None and not self._stop.is_set():
            if self._probing:
                await self._probe_ended.wait()
            elif self.pause_left_s > 0:
                await sleep_or_stop(self.pause_left_s, self._stop)
            else:
                return await self._rate_limited()
        return None

    async def _rate_limited(self) -> "Pass | None":
        leave = Pass(self, is_probe=self._pauses > 0)
        if leave.is_probe:
            self._probing = True
            self._probe_ended.clear()
        start = max(self._next_s, _now())
        self._next_s = start + self._interval_s
        delay = start - _now()
        if delay > 0 and await sleep_or_stop(delay, self._stop):
            leave.give_back()
            return None
        return leave

    def note_success(self) -> None:
        """The member answers: whatever it did before is forgotten."""
        self._failures = self._pauses = 0
        self._paused_until_s = 0.0

    def note_failure(self, error: Exception, *, is_probe: bool) -> None:
        """The attempt failed: pause as the server asks, and open the breaker when it is one failure too many."""
        self._failures += 1
        self._paused_until_s = max(self._paused_until_s, _now() + (retry_after_s(error) or 0.0))
        if is_hopeless(error):
            self.given_up = describe(error)
        # Attempts that were on their way when the breaker opened tell nothing new.
        elif is_probe or (self._pauses == 0 and self._failures >= self._policy.failures):
            self._pauses += 1
            pause = min(self._policy.pause_s * 2.0 ** (self._pauses - 1), self._policy.max_pause_s)
            self._paused_until_s = max(self._paused_until_s, _now() + pause)
            if self._pauses > self._policy.max_pauses:
                self.given_up = f"{self._failures} attempts failed in a row, at last with {describe(error)}"

    def end_probe(self) -> None:
        """Let the waiting attempts look again."""
        self._probing = False
        self._probe_ended.set()


class Pass:
    """Leave for one attempt, to be given back with what came of it."""

    def __init__(self, gate: Gate, *, is_probe: bool) -> None:
        """Hold the leave until it is given back."""
        self._gate = gate
        self.is_probe = is_probe

    def succeeded(self) -> None:
        """The member replied."""
        self._gate.note_success()

    def failed(self, error: Exception) -> None:
        """The member did not reply."""
        self._gate.note_failure(error, is_probe=self.is_probe)

    def give_back(self) -> None:
        """The attempt is over, however it ended."""
        if self.is_probe:
            self._gate.end_probe()


def _now() -> float:
    return asyncio.get_running_loop().time()
