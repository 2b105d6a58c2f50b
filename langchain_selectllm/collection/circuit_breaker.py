"""Rate limit, server pauses and circuit breaker of one member."""

import asyncio
import logging
from dataclasses import dataclass

from langchain_selectllm.collection.retries import describe, is_hopeless, retry_after_s, sleep_or_stop

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Number of failures that pause a member, and number of pauses after which it is given up."""

    failures: int = 10
    """Failed attempts in a row that open the breaker."""
    pause_s: float = 1.0
    """The first pause; each further one is twice as long."""
    max_pause_s: float = 60.0
    max_pauses: int = 6
    """Pauses in a row, each ended by one attempt that failed, after which the member is given up for this
    run."""


class CircuitBreaker:
    """Permits attempts at one member, one by one.

    After a pause a single attempt probes the member; the others follow when it succeeds.
    """

    def __init__(
        self, name: str, requests_per_second: float | None, policy: BreakerPolicy, stop: asyncio.Event
    ) -> None:
        """Start closed: the first attempt is permitted at once.

        Args:
            name: Name of the member, for the log.
            requests_per_second: Attempts per second at most; no limit when None.
            policy: Failures that pause the member, and pauses that give it up.
            stop: No attempt is permitted once it is set.
        """
        self._name = name
        self._interval_s = 0.0
        if requests_per_second is not None:
            self._interval_s = 1.0 / requests_per_second
        self._policy = policy
        self._stop = stop
        self._next_s = 0.0
        self._paused_until_s = 0.0
        self._failures = 0
        self._pauses = 0
        self._probing = False
        self._probe_ended = asyncio.Event()
        self.given_up: str | None = None
        """Reason why the member is not called any more in this run; None while it is."""

    @property
    def pause_left_s(self) -> float:
        """Seconds until the next attempt is permitted; 0 when no pause is on."""
        return max(self._paused_until_s - _now(), 0.0)

    async def enter(self) -> "Permit | None":
        """Returns the permit for one attempt; None when the member was given up, or collecting stops."""
        while self.given_up is None and not self._stop.is_set():
            if self._probing:
                await self._probe_ended.wait()
            elif self.pause_left_s > 0:
                await sleep_or_stop(self.pause_left_s, self._stop)
            else:
                return await self._rate_limited()
        return None

    async def _rate_limited(self) -> "Permit | None":
        permit = Permit(self, is_probe=self._pauses > 0)
        if permit.is_probe:
            self._probing = True
            self._probe_ended.clear()
        start = max(self._next_s, _now())
        self._next_s = start + self._interval_s
        delay = start - _now()
        if delay > 0 and await sleep_or_stop(delay, self._stop):
            permit.give_back()
            return None
        return permit

    def note_success(self) -> None:
        """Closes the breaker and forgets earlier failures."""
        if self._pauses:
            logger.info("%s replies again: its circuit breaker is closed", self._name)
        self._failures = self._pauses = 0
        self._paused_until_s = 0.0

    def note_failure(self, error: Exception, *, is_probe: bool) -> None:
        """Pauses as the server demands, and opens the breaker after too many failures in a row."""
        self._failures += 1
        self._paused_until_s = max(self._paused_until_s, _now() + (retry_after_s(error) or 0.0))
        if is_hopeless(error):
            self._give_up(describe(error), error)
        # Attempts that were in flight when the breaker opened carry no news.
        elif is_probe or (self._pauses == 0 and self._failures >= self._policy.failures):
            self._pause(error)

    def _pause(self, error: Exception) -> None:
        self._pauses += 1
        if self._pauses > self._policy.max_pauses:
            self._give_up(
                f"{self._failures} attempts failed in a row, the last with {describe(error)}", error
            )
        pause = min(self._policy.pause_s * 2.0 ** (self._pauses - 1), self._policy.max_pause_s)
        self._paused_until_s = max(self._paused_until_s, _now() + pause)
        if self.given_up is None:
            logger.warning(
                "%s paused for %.1f s after %d failures in a row (%s)",
                self._name,
                pause,
                self._failures,
                type(error).__name__,
            )

    def _give_up(self, reason: str, error: Exception) -> None:
        self.given_up = reason
        # The type alone: providers repeat prompts and keys in their messages.
        logger.warning("%s given up for this run (%s)", self._name, type(error).__name__)

    def end_probe(self) -> None:
        """Wakes the attempts that wait for the probe."""
        self._probing = False
        self._probe_ended.set()


class Permit:
    """Permission for one attempt, given back with its outcome."""

    def __init__(self, breaker: CircuitBreaker, *, is_probe: bool) -> None:
        """Hold the permission until it is given back."""
        self._breaker = breaker
        self.is_probe = is_probe

    def succeeded(self) -> None:
        """Records that the member replied."""
        self._breaker.note_success()

    def failed(self, error: Exception) -> None:
        """Records that the attempt failed."""
        self._breaker.note_failure(error, is_probe=self.is_probe)

    def give_back(self) -> None:
        """Ends the attempt, with any outcome."""
        if self.is_probe:
            self._breaker.end_probe()


def _now() -> float:
    return asyncio.get_running_loop().time()
