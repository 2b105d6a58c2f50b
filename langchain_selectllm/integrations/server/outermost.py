"""The outermost layer: request ids, log lines and metrics of all requests, and the answer to failures."""

import logging
import time
import traceback
import uuid
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langchain_selectllm.integrations.server.answers import error_response
from langchain_selectllm.integrations.server.errors import ApiError, from_exception
from langchain_selectllm.integrations.server.hangup import ClientGoneError
from langchain_selectllm.integrations.server.state import ServerState

log = logging.getLogger("langchain_selectllm.server")

CLIENT_GONE = 499
"""Status in log and metrics of a request whose client hung up, as nginx has it."""
_REQUEST_ID_LENGTH = 128
_ENDPOINTS = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/models",
    "/v1/selectllm/route",
    "/v1/selectllm/feedback",
    "/v1/selectllm/reload",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/version",
    "/",
)


class Outermost:
    """ASGI middleware around everything else; neither log nor metrics hold prompts, keys or free paths."""

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        """Wrap an application."""
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens to it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response = _Response(_request_id(scope), send, close=self._state.draining)
        start = time.perf_counter()
        scope.setdefault("state", {})
        try:
            await self._app(scope, receive, response.send)
        except (ClientGoneError, ClientDisconnect):
            response.status = CLIENT_GONE
        except Exception as error:  # noqa: BLE001 - the last place that can answer
            _log_failure(response.request_id, error)
            await response.fail(error, scope, receive)
        if scope["state"].get("client_gone"):
            response.status = CLIENT_GONE
        self._note(scope, response, time.perf_counter() - start)

    def _note(self, scope: Scope, response: "_Response", duration_s: float) -> None:
        endpoint = _endpoint(scope["path"])
        self._state.metrics.request(endpoint, response.status, duration_s)
        log.info(
            "%s %s %s %d %.1f ms",
            response.request_id,
            scope["method"],
            endpoint,
            response.status,
            1000 * duration_s,
        )


class _Response:
    """The response of one request on its way out."""

    def __init__(self, request_id: str, send: Send, *, close: bool) -> None:
        self.request_id = request_id
        self.status = CLIENT_GONE
        self._send = send
        self._close = close
        self._started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            if self._close:
                headers["connection"] = "close"
        await self._send(message)

    async def fail(self, error: Exception, scope: MutableMapping[str, Any], receive: Receive) -> None:
        refusal = from_exception(error)
        if self._started:
            # All that is left is to cut the connection; the cause stays out of the log.
            self.status = refusal.status
            raise ClientDisconnect from None
        await error_response(refusal)(scope, receive, self.send)


async def answer_api_error(request: Any, error: Exception) -> Any:
    """The response to a refusal or to a path that does not exist."""
    del request
    if isinstance(error, ApiError):
        return error_response(error)
    if isinstance(error, HTTPException):
        known = {404: "There is nothing at this path.", 405: "This path does not take that method."}
        message = known.get(error.status_code, str(error.detail))
        return error_response(ApiError(status=error.status_code, message=message, code=None))
    raise error


def _endpoint(path: str) -> str:
    if path.startswith("/v1/models/"):
        return "/v1/models"
    if path in _ENDPOINTS:
        return path
    return "other"


def _request_id(scope: Scope) -> str:
    """The client's own id where it is printable, else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    if given and len(given) <= _REQUEST_ID_LENGTH and given.isascii() and given.isprintable():
        return given
    return f"req-{uuid.uuid4().hex}"


def _log_failure(request_id: str, error: Exception) -> None:
    # Without the message, which may hold a prompt or a key.
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s failed: %s\n%s", request_id, type(error).__name__, frames)
