"""Liveness, readiness, metrics and version."""

from importlib.metadata import version

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from langchain_selectllm.integrations.server.answers import JsonResponse
from langchain_selectllm.integrations.server.errors import ApiError
from langchain_selectllm.integrations.server.state import state_of


async def live(request: Request) -> Response:
    """Whether the process answers at all."""
    del request
    return JsonResponse({"status": "live"})


async def ready(request: Request) -> Response:
    """Whether requests should be sent here; no member is called."""
    state = state_of(request)
    if state.draining:
        raise ApiError(status=503, message="The server is stopping.", code="draining")
    return JsonResponse({"status": "ready", "artefact": state.served.digest})


async def metrics(request: Request) -> Response:
    """The metrics in Prometheus' text format."""
    return Response(state_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def show_version(request: Request) -> Response:
    """Release of the package, and digest, members and policy of what is served."""
    served = state_of(request).served
    return JsonResponse(
        {
            "version": version("langchain-selectllm"),
            "artefact": served.digest,
            "members": list(served.members),
            "policy": served.policy,
        }
    )
