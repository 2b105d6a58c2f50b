"""One call to one member: attempts within its limits until there is a reply, or an error that stands."""

import asyncio
import time
from dataclasses import dataclass
from random import Random

from langchain_core.messages import AIMessage

from langchain_selectllm.collection.circuit_breaker import BreakerPolicy, Gate
from langchain_selectllm.collection.inputs import PoolMember
from langchain_selectllm.collection.retries import RetryPolicy, describe, is_retryable, sleep_or_stop
from langchain_selectllm.exceptions import DeadlineError


@dataclass(frozen=True, slots=True)
class Reply:
    """What a member said, and what that took."""

    message: AIMessage
    latency_s: float
    """Of the attempt that brought it."""
    attempts: int
    cost_usd: float | None
    """None without prices or usage."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a member said nothing."""

    error: str
    attempts: int


class MemberCaller:
    """Calls one member; all calls to it go through the same gate."""

    def __init__(
        self,
        member: PoolMember,
        *,
        stop: asyncio.Event,
        retry: RetryPolicy | None = None,
        breaker: BreakerPolicy | None = None,
    ) -> None:
        """Store what is needed; nobody is called yet.

        Args:
            member: Its chat model, prices and limits.
            stop: No attempt is begun once it is set.
            retry: How often a call is tried.
            breaker: When the member is paused and given up.
        """
        self.member = member
        self.stop = stop
        self.gate = Gate(member.spec.requests_per_second, breaker or BreakerPolicy(), stop)
        self._retry = retry or RetryPolicy()
        self._random = Random()  # noqa: S311 - jitter is no secret

    async def call(self, prompt: str) -> Reply | Failure | None:
        """What came of the call; None when it was left for later, because collecting stops or the member was given up."""
        attempt = 0
        while (leave := await self.gate.enter()) is not None:
            attempt += 1
            start = time.perf_counter()
            try:
                message = await self._attempt(prompt)
            except Exception as error:  # noqa: BLE001 - whatever a provider raises is a failure of this call, and recorded
                leave.failed(error)
                if self.gate.given_up is not None:
                    return None
                if attempt >= self._retry.max_attempts or not is_retryable(error):
                    return Failure(describe(error), attempt)
                wait_s = self._retry.wait_s(attempt, error, self._random)
            else:
                leave.succeeded()
                cost = self.member.member.cost_usd(message.usage_metadata)
                return Reply(message, time.perf_counter() - start, attempt, cost)
            finally:
                leave.give_back()
            if await sleep_or_stop(wait_s, self.stop):
                return None
        return None

    async def _attempt(self, prompt: str) -> AIMessage:
        try:
            # The client's own time-out counts from one byte to the next; a reply that trickles would never end.
            async with asyncio.timeout(self.member.spec.timeout_s) as timer:
                return await self.member.member.model.ainvoke(prompt)
        except TimeoutError as error:
            if timer.expired():
                raise DeadlineError(f"No reply within timeout_s={self.member.spec.timeout_s:g}.") from error
            raise
