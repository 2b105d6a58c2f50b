"""Retries: hopeless members, and the wait before the next attempt."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

from langchain_core.exceptions import ModelAuthenticationError, ModelNotFoundError

from langchain_selectllm.fanout.failures import status_of

_HOPELESS_STATUS = frozenset({401, 404})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Number of attempts per call, and the waits between them."""

    max_attempts: int = 6
    base_s: float = 0.5
    """The first wait; each further one is twice as long."""
    max_s: float = 30.0
    """The longest wait, unless the server asks for more."""

    def wait_s(self, attempt: int, error: Exception, random: Random) -> float:
        """Returns the seconds to wait after that many attempts.

        Exponential backoff with jitter, so that calls that failed together do not return together; at least
        the server's `Retry-After`.
        """
        backoff = min(self.base_s * 2.0 ** (attempt - 1), self.max_s) * random.uniform(0.5, 1.0)
        return max(backoff, (retry_after_s(error) or 0.0) + 0.1 * backoff)


def is_hopeless(error: Exception) -> bool:
    """Whether every other call to the member will fail too: its key is refused, or it does not exist."""
    return (
        isinstance(error, (ModelAuthenticationError, ModelNotFoundError))
        or status_of(error) in _HOPELESS_STATUS
    )


def retry_after_s(error: Exception) -> float | None:
    """Returns the seconds of the server's `Retry-After`; None without one."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    milliseconds, value = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            return max(float(milliseconds) / 1000.0, 0.0)
        if value is not None:
            return max(_seconds(value), 0.0)
    except (ValueError, TypeError):
        # A header that cannot be read is no demand.
        return None
    return None


def describe(error: Exception) -> str:
    """Returns the error in one line."""
    text = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {text[:500]}"


async def sleep_or_stop(delay_s: float, stop: asyncio.Event) -> bool:
    """Waits, at most until `stop` is set; whether it is set."""
    try:
        async with asyncio.timeout(delay_s):
            return await stop.wait()
    except TimeoutError:
        return False


def _seconds(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        moment = parsedate_to_datetime(value)
        return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
