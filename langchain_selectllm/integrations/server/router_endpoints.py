"""POST /v1/selectllm/route, /v1/selectllm/feedback and /v1/selectllm/reload."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from langchain_selectllm.exceptions import SelectLLMError
from langchain_selectllm.integrations.server.answers import JsonResponse
from langchain_selectllm.integrations.server.chat_body import ChatBody, parse_body
from langchain_selectllm.integrations.server.chat_call import read_wish, router_call
from langchain_selectllm.integrations.server.errors import ApiError, from_exception, invalid
from langchain_selectllm.integrations.server.limits import read_body
from langchain_selectllm.integrations.server.state import state_of


async def route(request: Request) -> Response:
    """The decision for a chat completion request; nobody is called."""
    state = state_of(request)
    settings, served = state.settings, state.served
    body = parse_body(await read_body(request, settings.max_body_bytes), ChatBody)
    wish = read_wish(body.model, body.selectllm, body.user, request.headers, settings, served)
    if wish.member is not None:
        raise invalid(
            "A member that is named as the model answers alone; there is no decision.", param="model"
        )
    call = router_call(body, wish, settings)
    try:
        preview = served.preview(call)
    except SelectLLMError as error:
        raise from_exception(error) from error
    return JsonResponse(
        {
            "object": "selectllm.decision",
            "model": wish.model,
            "policy": preview.policy,
            "members": list(preview.selected),
            "reason": preview.reason,
            "probabilities": dict(preview.probabilities),
            "artefact": served.digest,
        }
    )


async def reload(request: Request) -> Response:
    """The digest of the artefact that is served from now on; the old one if the new one cannot be loaded."""
    state = state_of(request)
    if not state.settings.reload_endpoint:
        message = (
            "The operator did not switch this endpoint on (reload_endpoint). Send SIGHUP to the process."
        )
        raise ApiError(status=403, message=message, code="reload_refused")
    try:
        digest = await asyncio.to_thread(state.reload)
    except (SelectLLMError, OSError, RuntimeError) as error:
        message = f"Nothing was changed: {error}"
        raise ApiError(status=409, message=message, code="reload_refused") from error
    return JsonResponse({"object": "selectllm.reload", "artefact": digest})
