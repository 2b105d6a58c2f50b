"""Who may send requests: API keys, and this machine only where there are none."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from langchain_selectllm.exceptions import ServerConfigError, reason
from langchain_selectllm.integrations.server.answers import error_response
from langchain_selectllm.integrations.server.errors import ApiError
from langchain_selectllm.integrations.server.settings import LOOPBACK, ServerSettings

KEYS = "SELECTLLM_API_KEYS"
KEYS_FILE = "SELECTLLM_API_KEYS_FILE"
LIVENESS = "/health/live"
_ANONYMOUS = "anonymous"


class ApiKeys:
    """The accepted keys, kept as digests."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Keep the digests of the keys."""
        self._digests = [_digest(key) for key in keys]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "ApiKeys":
        """The keys of `SELECTLLM_API_KEYS` (comma-separated) and of `SELECTLLM_API_KEYS_FILE` (one per line).

        Raises:
            ServerConfigError: If the file cannot be read, or a variable is set and holds no key.
        """
        lines = environ.get(KEYS, "").split(",")
        if KEYS_FILE in environ:
            try:
                lines += Path(environ[KEYS_FILE]).read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ServerConfigError(f"{KEYS_FILE} cannot be read: {reason(error)}.") from error
        keys = list(filter(None, map(str.strip, lines)))
        if not keys and (KEYS in environ or KEYS_FILE in environ):
            raise ServerConfigError(
                f"{KEYS} or {KEYS_FILE} is set and holds no key. Give a key, or unset it."
            )
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def caller(self, key: str) -> str | None:
        """A short name of the key's owner that does not reveal the key; None for an unknown key."""
        given, found = _digest(key), None
        for digest in self._digests:
            # Every digest is compared, so that the time does not depend on which one fits.
            if hmac.compare_digest(digest, given):
                found = digest[:12]
        return found


def check_host(keys: ApiKeys, settings: ServerSettings) -> None:
    """Whether the host may be served with these keys.

    Raises:
        ServerConfigError: If there are no keys and other machines can reach the host.
    """
    if not keys and not settings.is_loopback:
        raise ServerConfigError(
            f"Host {settings.host!r} is reachable from other machines and there are no API keys. Set {KEYS} "
            f"or {KEYS_FILE}, or serve on 127.0.0.1."
        )


class Guard:
    """ASGI middleware that lets only known callers pass; liveness is open."""

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        """Guard an application."""
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403, or pass the request on with its caller's name in the scope's state."""
        if scope["type"] != "http" or scope["path"] == LIVENESS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            caller = self._caller(headers)
        except ApiError as error:
            response = error_response(error)
            if error.status == 401:
                response.headers["www-authenticate"] = _challenge(scope)
            await response(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    def _caller(self, headers: Headers) -> str:
        if not self._keys:
            return _local(headers)
        key = _given_key(headers)
        if key is None:
            message = "No API key was given. Send it as Authorization: Bearer KEY."
            raise ApiError(status=401, message=message, code="missing_api_key")
        caller = self._keys.caller(key)
        if caller is None:
            raise ApiError(status=401, message="The API key is unknown.", code="invalid_api_key")
        return caller


def _local(headers: Headers) -> str:
    # A web page of another site can reach loopback under a name of its own (DNS rebinding).
    host = headers.get("host", "")
    name = host.rpartition(":")[0] or host
    if host.endswith("]") or name.strip("[]") not in LOOPBACK:
        name = host
    if name.strip("[]") not in LOOPBACK:
        message = f"Without API keys only requests to {', '.join(LOOPBACK)} are answered."
        raise ApiError(status=403, message=message, code="host_not_allowed")
    return _ANONYMOUS


def _given_key(headers: Headers) -> str | None:
    """The key of `Authorization: Bearer` or `x-api-key`, or the password of `Authorization: Basic`."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return headers.get("x-api-key")


def _challenge(scope: Scope) -> str:
    if scope["path"] == "/":
        return 'Basic realm="selectllm", charset="UTF-8"'
    return "Bearer"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
