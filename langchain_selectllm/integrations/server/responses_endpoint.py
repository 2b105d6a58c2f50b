"""POST /v1/responses, the stateless part."""

from contextlib import AsyncExitStack

from starlette.requests import Request
from starlette.responses import Response

from langchain_selectllm.integrations.server.admission import admit
from langchain_selectllm.integrations.server.answers import JsonResponse
from langchain_selectllm.integrations.server.chat_body import parse_body
from langchain_selectllm.integrations.server.chat_call import read_wish, router_call
from langchain_selectllm.integrations.server.limits import read_body
from langchain_selectllm.integrations.server.responses_body import ResponsesBody, as_chat
from langchain_selectllm.integrations.server.responses_output import ResponseEnvelope, output_items
from langchain_selectllm.integrations.server.responses_stream import ResponseWriter
from langchain_selectllm.integrations.server.state import state_of


async def responses(request: Request) -> Response:
    """The reply to a Responses request, whole or as a stream of events."""
    state = state_of(request)
    settings, served = state.settings, state.served
    body = parse_body(await read_body(request, settings.max_body_bytes), ResponsesBody)
    chat = as_chat(body)
    wish = read_wish(body.model, body.selectllm, body.user, request.headers, settings, served)
    call = router_call(chat, wish, settings)
    envelope = ResponseEnvelope(model=wish.model, body=body)
    async with AsyncExitStack() as stack:
        admitted = await admit(request, served, call, stack)
        if body.stream:
            writer = ResponseWriter(exchange=admitted.exchange, envelope=envelope, explain=wish.explain)
            return await admitted.stream(writer.events, stack)
        message, reported = await admitted.answer()
        shown = envelope.finished(
            message, output_items(message), reported.body(explain=wish.explain), message.usage_metadata
        )
        return JsonResponse(shown, headers=reported.headers)
