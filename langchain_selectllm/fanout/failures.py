"""Failure of a whole fan-out, typed as the `ModelError` of langchain-core that its causes share."""

from collections.abc import Sequence
from typing import Any, Self

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from typing_extensions import override

from langchain_selectllm.exceptions import FanOutError, SelectLLMError

_RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
# Faults of the program, which the next attempt meets again.
_FAULTS = (TypeError, AttributeError, NotImplementedError, ImportError, SelectLLMError)


class FanOutModelError(FanOutError, ModelError):
    """Every called member failed; retryable if a cause is."""

    def __new__(cls, message: str, exceptions: Sequence[Exception], members: Sequence[str] = ()) -> Self:
        """Build the group; middleware that retries reads `is_retryable`."""
        self = super().__new__(cls, message, exceptions, members)
        self.is_retryable = any(map(is_retryable, exceptions))
        return self

    @override
    def derive(self, excs: Sequence[Exception]) -> FanOutError:  # type: ignore[override]
        """A group over some of the causes, of the type that those share."""
        group = super().derive(excs)
        return fan_out_error(group.message, group.exceptions, group.members)


class FanOutContextOverflowError(FanOutModelError, ContextOverflowError):
    """The prompt exceeds the context limit of every called member."""


class FanOutAuthenticationError(FanOutModelError, ModelAuthenticationError):
    """Every called member's provider refuses its key."""


class FanOutPermissionDeniedError(FanOutModelError, ModelPermissionDeniedError):
    """Every called member's key lacks a permission."""


class FanOutNotFoundError(FanOutModelError, ModelNotFoundError):
    """No called member's model exists at its provider."""


class FanOutInvalidRequestError(FanOutModelError, ModelInvalidRequestError):
    """Every called member's provider rejects the request."""


class FanOutRateLimitError(FanOutModelError, ModelRateLimitError):
    """Every called member is over its rate limit."""


class FanOutTimeoutError(FanOutModelError, ModelTimeoutError):
    """Every called member was late."""


class FanOutConnectionError(FanOutModelError, ModelConnectionError):
    """No called member's provider can be reached."""


class FanOutAPIError(FanOutModelError, ModelAPIError):
    """Every called member's provider failed."""


# Providers raise an overflow as an invalid request too, so that it comes first.
_BY_SHARED_CAUSE: dict[tuple[type[Exception], ...], type[FanOutModelError]] = {
    (ContextOverflowError,): FanOutContextOverflowError,
    (ModelAuthenticationError,): FanOutAuthenticationError,
    (ModelPermissionDeniedError,): FanOutPermissionDeniedError,
    (ModelNotFoundError,): FanOutNotFoundError,
    (ModelInvalidRequestError,): FanOutInvalidRequestError,
    (ModelRateLimitError,): FanOutRateLimitError,
    (ModelTimeoutError, TimeoutError): FanOutTimeoutError,
    (ModelConnectionError, ConnectionError): FanOutConnectionError,
    (ModelAPIError,): FanOutAPIError,
}


def fan_out_error(message: str, errors: Sequence[Exception], members: Sequence[str]) -> FanOutError:
    """The error of a fan-out without a reply, of the type that all causes share.

    Args:
        message: Message of the group.
        errors: One cause per member.
        members: Names of the members, in the same order.
    """
    for shared, kind in _BY_SHARED_CAUSE.items():
        if all(isinstance(error, shared) for error in errors):
            return kind(message, errors, members)
    return FanOutModelError(message, errors, members)


def is_retryable(error: Exception) -> bool:
    """Whether the same call may succeed the next time.

    Errors without a status are retried, unless they are faults of the program: a reply that was cut short
    arrives as any kind of ValueError or LookupError.
    """
    if isinstance(error, ModelError):
        return error.is_retryable
    if isinstance(error, TimeoutError):
        return True
    status = status_of(error)
    if status is not None:
        return status in _RETRYABLE_STATUS or status >= 500
    return not isinstance(error, _FAULTS)


def status_of(error: Any) -> int | None:
    """HTTP status that a provider's client gave its error; None without one."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status
    return None
