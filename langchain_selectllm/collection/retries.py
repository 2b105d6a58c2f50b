"""What an error says about the next attempt: whether one is worth it, and how long to wait."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any

from langchain_core.exceptions import ModelAuthenticationError, ModelError, ModelNotFoundError

from langchain_selectllm.exceptions import SelectLLMError

_RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
_HOPELESS_STATUS = frozenset({401, 404})
# Faults of the program, which the next attempt meets again.
_FAULTS = (TypeError, AttributeError, NotImplementedError, ImportError, SelectLLMError)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call is tried, and how long it waits between attempts."""

    max_attempts: int = 6
    base_s: float = 0.5
    """The first wait; each further one is twice as long."""
    max_s: float = 30.0
    """The longest wait, unless the server asks for more."""

    def wait_s(self, attempt: int, error: Exception, random: Random) -> float:
        """Seconds to wait after that many attempts, drawn so that calls that failed together do not come back together.

        A `Retry-After` is the least it waits.
        """
        backoff = min(self.base_s * 2.0 ** (attempt - 1), self.max_s) * random.uniform(0.5, 1.0)
        return max(backoff, (retry_after_s(error) or 0.0) + 0.1 * backoff)


def is_retryable(error: Exception) -> bool:
    """Whether the same call may succeed the next time.

    Errors without a status are retried, unless they are faults of the program: a reply that was cut short reaches us as any
    kind of ValueError or LookupError.
    """
    if isinstance(error, ModelError):
        return error.is_retryable
    if isinstance(error, TimeoutError):
        return True
    status = _status(error)
    if status is not None:
        return status in _RETRYABLE_STATUS or status >= 500
    return not isinstance(error, _FAULTS)


def is_hopeless(error: Exception) -> bool:
    """Whether every other call to the same member will fail as well: its key is refused, or it does not exist."""
    return (
        isinstance(error, (ModelAuthenticationError, ModelNotFoundError))
        or _status(error) in _HOPELESS_STATUS
    )


def retry_after_s(error: Exception) -> float | None:
    """Seconds that the server asks to wait; None where it does not ask."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    milliseconds, value = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            return max(float(milliseconds) / 1000.0, 0.0)
        return None if value is None else max(_seconds(value), 0.0)
    except (ValueError, TypeError):
        return None


def describe(error: Exception) -> str:
    """The error in one line."""
    text = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {text[:500]}"


async def sleep_or_stop(delay_s: float, stop: asyncio.Event) -> bool:
    """Wait, at most until `stop` is set; whether it is."""
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


def _status(error: Any) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None
