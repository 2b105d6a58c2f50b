"""GET /v1/models and /v1/models/{id}."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from langchain_selectllm.integrations.server.adapter import allowed_policies
from langchain_selectllm.integrations.server.answers import JsonResponse
from langchain_selectllm.integrations.server.knobs import MODEL, unknown_model
from langchain_selectllm.integrations.server.state import ServerState, state_of

_OWNER = "langchain-selectllm"


def model_ids(state: ServerState) -> list[str]:
    """Every name that `model` of a request may have."""
    names = [MODEL]
    names += [f"{MODEL}/{policy}" for policy in allowed_policies(state.settings, state.served)]
    if state.settings.expose_members:
        names += state.served.members
    return names


async def list_models(request: Request) -> Response:
    """The router, the router under each allowed policy, and each member."""
    listed = [_model(name) for name in model_ids(state_of(request))]
    return JsonResponse({"object": "list", "data": listed})


async def get_model(request: Request) -> Response:
    """One of the models."""
    name = request.path_params["model"]
    if name not in model_ids(state_of(request)):
        raise unknown_model(name)
    return JsonResponse(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": _OWNER}
