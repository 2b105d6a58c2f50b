"""One call to one member: attempts within its limits until there is a reply, or an error that stands."""

import asyncio
import logging
import time
from dataclasses import dataclass
from random import Random

from langchain_core.messages import AIMessage

from langchain_selectllm.collection.circuit_breaker import BreakerPolicy, CircuitBreaker
from langchain_selectllm.collection.inputs import PoolMember
from langchain_selectllm.collection.retries import RetryPolicy, describe, sleep_or_stop
from langchain_selectllm.collection.store_lock import LockWatch
from langchain_selectllm.exceptions import DeadlineError
from langchain_selectllm.fanout.failures import is_retryable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply of a member with its latency and cost."""

    message: AIMessage
    latency_s: float
    """Duration of the attempt that brought it."""
    attempts: int
    cost_usd: float | None
    """None without prices or usage."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Error that ended the last attempt of a call."""

    error: str
    attempts: int


class MemberCaller:
    """Calls one member; all calls to it share one circuit breaker."""

    def __init__(
        self,
        member: PoolMember,
        *,
        stop: asyncio.Event,
        lock: LockWatch | None = None,
        retry: RetryPolicy | None = None,
        breaker: BreakerPolicy | None = None,
    ) -> None:
        """Store the settings; no model is called.

        Args:
            member: Its chat model, prices and limits.
            stop: No attempt is begun once it is set.
            lock: No attempt is begun while it is lost.
            retry: Number of attempts per call and the waits between them.
            breaker: Failures that pause the member, and pauses that give it up.
        """
        self.member = member
        self.stop = stop
        self.breaker = CircuitBreaker(
            member.name, member.spec.requests_per_second, breaker or BreakerPolicy(), stop
        )
        self._lock = lock or LockWatch(None, stop)
        self._retry = retry or RetryPolicy()
        self._random = Random()  # noqa: S311 - jitter is no secret

    async def call(self, prompt: str) -> Reply | Failure | None:
        """Returns the result of the call; None when collecting stops or the member was given up."""
        attempt = 0
        while await self._lock.wait_until_held():
            permit = await self.breaker.enter()
            if permit is None:
                return None
            attempt += 1
            start = time.perf_counter()
            try:
                message = await self._attempt(prompt)
            except Exception as error:  # noqa: BLE001 - recorded as this call's failure
                permit.failed(error)
                if self.breaker.given_up is not None:
                    return None
                if attempt >= self._retry.max_attempts or not is_retryable(error):
                    self._log(error, attempt, "no further attempt")
                    return Failure(describe(error), attempt)
                wait_s = self._retry.wait_s(attempt, error, self._random)
                self._log(error, attempt, f"next attempt in {wait_s:.1f} s")
            else:
                permit.succeeded()
                cost = self.member.registered.cost_usd(message.usage_metadata)
                return Reply(message, time.perf_counter() - start, attempt, cost)
            finally:
                permit.give_back()
            if await sleep_or_stop(wait_s, self.stop):
                return None
        return None

    async def _attempt(self, prompt: str) -> AIMessage:
        try:
            # The client's own time-out counts from one byte to the next; a reply that trickles would never
            # end.
            async with asyncio.timeout(self.member.spec.timeout_s) as timer:
                return await self.member.registered.model.ainvoke(prompt)
        except TimeoutError as error:
            if timer.expired():
                raise DeadlineError(f"No reply within timeout_s={self.member.spec.timeout_s:g}.") from error
            raise

    def _log(self, error: Exception, attempt: int, consequence: str) -> None:
        # The type alone: providers repeat prompts and keys in their messages.
        logger.info(
            "%s: attempt %d failed (%s); %s", self.member.name, attempt, type(error).__name__, consequence
        )
