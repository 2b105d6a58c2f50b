"""Errors in OpenAI's shape: which status, type and code each cause gets, and what of it a client may read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_selectllm.exceptions import (
    DeadlineError,
    FanOutError,
    LowConfidenceError,
    MemberMismatchError,
    PolicyError,
    ToolSupportError,
)

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    501: "invalid_request_error",
    503: "service_unavailable_error",
}
_REFUSED = (400, 404, 413, 422)
"""Statuses of providers that mean that the request itself was at fault."""


@dataclass(kw_only=True, eq=False)
class ApiError(Exception):
    """A refusal of a request, with everything that its answer shows."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    retry_after_s: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """More keys of the error object, such as `members`."""

    def __post_init__(self) -> None:
        """Show the message in logs and tracebacks too."""
        super().__init__(self.message)

    @property
    def body(self) -> dict[str, Any]:
        """The error as OpenAI's clients read it."""
        error = {
            "message": self.message,
            "type": _TYPES.get(self.status, "api_error"),
            "param": self.param,
            "code": self.code,
        }
        return {"error": {**error, **self.extra}}

    @property
    def headers(self) -> dict[str, str]:
        """Headers beside the error."""
        if self.retry_after_s is None:
            return {}
        return {"retry-after": str(max(1, round(self.retry_after_s)))}


def invalid(message: str, *, param: str | None = None, code: str | None = "invalid_value") -> ApiError:
    """Refusal of a malformed request."""
    return ApiError(status=400, message=message, param=param, code=code)


def unsupported(param: str, advice: str) -> ApiError:
    """Refusal of a field that this server cannot honour."""
    return ApiError(status=400, message=advice, param=param, code="unsupported_parameter")


def from_exception(error: Exception, *, debug: bool = False) -> ApiError:
    """The refusal that a failed call of the router becomes; text of upstream errors only in debug mode."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, FanOutError):
        return _all_failed(error, debug=debug)
    if isinstance(error, LowConfidenceError):
        return _not_confident(error)
    known = _known_cause(error)
    if known is not None:
        return known
    extra = {}
    if debug:
        extra["cause"] = f"{type(error).__name__}: {error}"
    return ApiError(
        status=500,
        message="The server failed. Its log has the request id.",
        code="internal_error",
        extra=extra,
    )


def _known_cause(error: Exception) -> ApiError | None:
    if isinstance(error, (TimeoutError, DeadlineError)):
        return ApiError(
            status=408, message="The deadline passed before an answer was there.", code="deadline_exceeded"
        )
    if isinstance(error, ToolSupportError):
        return unsupported("tools", "No member of this pool can call tools. Leave tools out.")
    if isinstance(error, (PolicyError, MemberMismatchError)):
        return invalid(str(error), param="selectllm")
    return None


def _all_failed(error: FanOutError, *, debug: bool) -> ApiError:
    causes = error.exceptions
    members = {name: type(cause).__name__ for name, cause in zip(error.members, causes, strict=False)}
    extra: dict[str, Any] = {"members": members}
    if debug:
        extra["causes"] = [str(cause) for cause in causes]
    statuses = {_status(cause) for cause in causes}
    listed = ", ".join(f"{name}: {kind}" for name, kind in members.items())
    if all(_is_overflow(cause) for cause in causes):
        message = f"The prompt is longer than the context of every called member ({listed}). Shorten it."
        return ApiError(
            status=400, message=message, param="messages", code="context_length_exceeded", extra=extra
        )
    if all(isinstance(cause, TimeoutError) for cause in causes):
        message = f"No called member replied in time ({listed})."
        return ApiError(status=408, message=message, code="deadline_exceeded", extra=extra)
    if statuses == {429}:
        message = f"Every called member is rate limited ({listed}). Repeat the request later."
        wait = min(map(_retry_after_s, causes))
        return ApiError(
            status=429, message=message, code="members_rate_limited", retry_after_s=wait, extra=extra
        )
    if statuses <= {*_REFUSED}:
        message = f"Every called member refused the request ({listed}). Check the fields that are handed on."
        return ApiError(status=400, message=message, code="refused_by_members", extra=extra)
    message = f"Every called member failed ({listed})."
    return ApiError(status=502, message=message, code="all_members_failed", extra=extra)


def _not_confident(error: LowConfidenceError) -> ApiError:
    reply = getattr(error.reply, "text", None)
    extra = {"selectllm": {"reply": reply, "confidence": error.confidence}}
    message = f"The answer in error.selectllm has confidence {error.confidence:.3f}, less than the minimum."
    return ApiError(status=422, message=message, code="low_confidence", extra=extra)


def _is_overflow(cause: Exception) -> bool:
    # By name, because older releases of langchain-core do not have the class.
    names = {kind.__name__ for kind in type(cause).__mro__}
    return "ContextOverflowError" in names or getattr(cause, "code", None) == "context_length_exceeded"


def _status(cause: Exception) -> int | None:
    """HTTP status of a provider's error; a keyword that the provider's client does not take counts as 400."""
    if isinstance(cause, TypeError) and (
        "unexpected keyword" in str(cause) or "multiple values" in str(cause)
    ):
        return 400
    status = getattr(cause, "status_code", None)
    if isinstance(status, int):
        return status
    return getattr(getattr(cause, "response", None), "status_code", None)


def _retry_after_s(cause: Exception) -> float:
    headers = getattr(getattr(cause, "response", None), "headers", None) or {}
    try:
        return float(headers.get("retry-after", 1.0))
    except ValueError:
        return 1.0
