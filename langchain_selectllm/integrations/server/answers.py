"""Responses: JSON, errors and event streams."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response
from typing_extensions import override

from langchain_selectllm.integrations.server.errors import ApiError

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"


def to_json(value: Any) -> bytes:
    """The value as JSON; characters that UTF-8 cannot hold are escaped."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # Lone surrogates and integers beyond 64 bits, which a member's reply may hold.
        return json.dumps(value).encode()


def event(value: Mapping[str, Any], name: str | None = None) -> bytes:
    """One server-sent event, with a name where the protocol has one."""
    data = b"data: " + to_json(value) + b"\n\n"
    if name is None:
        return data
    return b"event: " + name.encode() + b"\n" + data


class JsonResponse(Response):
    """A JSON body."""

    media_type = "application/json"

    @override
    def render(self, content: Any) -> bytes:
        return to_json(content)


def error_response(error: ApiError) -> JsonResponse:
    """The error as a response."""
    return JsonResponse(error.body, status_code=error.status, headers=error.headers)
