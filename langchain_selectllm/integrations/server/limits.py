"""Bounds on requests: size, number in flight, rate and cost per API key."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from langchain_core.rate_limiters import InMemoryRateLimiter
from starlette.requests import Request

from langchain_selectllm.collection.budget import Budget, Expense
from langchain_selectllm.integrations.server.errors import ApiError
from langchain_selectllm.integrations.server.settings import ServerSettings

_DAY_S = 24 * 3600.0


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The body of a request.

    Raises:
        ApiError: If it is longer than `most_bytes`, or not sent as JSON.
        ClientDisconnect: If the client hangs up before its end.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # Browsers send no other type to another site without asking first.
        raise ApiError(status=415, message="Send the body with Content-Type: application/json.")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most_bytes:
        raise _too_long(most_bytes)
    received = bytearray()
    async for part in request.stream():
        received += part
        if len(received) > most_bytes:
            raise _too_long(most_bytes)
    return bytes(received)


def _too_long(most_bytes: int) -> ApiError:
    return ApiError(status=413, message=f"The body is longer than {most_bytes} bytes.", code="body_too_large")


class InFlight:
    """Slots for the requests that are answered at the same time, and a bounded queue before them."""

    def __init__(self, max_in_flight: int, max_queued: int) -> None:
        """All slots are free at first."""
        self._slots = asyncio.Semaphore(max_in_flight)
        self._max_queued = max_queued
        self.queued = 0
        self.running = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A slot for one request, after those that waited before it.

        Raises:
            ApiError: With status 429 if the queue is full.
        """
        if self._slots.locked() and self.queued >= self._max_queued:
            message = "The server is busy and its queue is full. Repeat the request later."
            raise ApiError(status=429, message=message, code="queue_full", retry_after_s=1.0)
        self.queued += 1
        try:
            await self._slots.acquire()
        finally:
            self.queued -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._slots.release()


@dataclass
class _Account:
    """Rate and budget of one API key."""

    rate: InMemoryRateLimiter | None
    day: dt.date
    budget: Budget
    most_usd: float = 0.0
    """Cost of the most expensive request so far, which is set aside for each request in flight."""


@dataclass
class Accounts:
    """Limits of every API key, since the start of this process."""

    settings: ServerSettings
    _accounts: dict[str, _Account] = field(default_factory=dict)

    @asynccontextmanager
    async def charge(self, caller: str) -> AsyncIterator[Expense]:
        """An expense to enter the cost of one request in.

        Raises:
            ApiError: With status 429 if the rate or the day's budget of the key is used up.
        """
        account = self._account(caller)
        if account.rate is not None and not account.rate.acquire(blocking=False):
            wait = 60.0 / (self.settings.requests_per_minute or 1.0)
            message = "The rate limit of this API key is reached. Repeat the request later."
            raise ApiError(status=429, message=message, code="rate_limit_exceeded", retry_after_s=wait)
        async with account.budget.spend(account.most_usd) as expense:
            if expense is None:
                raise _used_up()
            yield expense
            account.most_usd = max(account.most_usd, expense.cost_usd)

    def _account(self, caller: str) -> _Account:
        today = dt.datetime.now(dt.UTC).date()
        account = self._accounts.get(caller)
        if account is None:
            account = _Account(self._rate(), today, Budget(self.settings.usd_per_day, 0.0))
            self._accounts[caller] = account
        if account.day != today:
            account.day, account.budget = today, Budget(self.settings.usd_per_day, 0.0)
        return account

    def _rate(self) -> InMemoryRateLimiter | None:
        per_minute = self.settings.requests_per_minute
        if per_minute is None:
            return None
        limiter = InMemoryRateLimiter(
            requests_per_second=per_minute / 60.0, max_bucket_size=max(per_minute, 1.0)
        )
        # A minute's worth at once is allowed from the start, as later.
        limiter.available_tokens = limiter.max_bucket_size
        return limiter


def _used_up() -> ApiError:
    now = dt.datetime.now(dt.UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    left = _DAY_S - (now - midnight).total_seconds()
    message = "The budget of this API key for the day (UTC) is used up."
    return ApiError(status=429, message=message, code="insufficient_quota", retry_after_s=left)
