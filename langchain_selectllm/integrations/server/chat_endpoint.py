"""POST /v1/chat/completions."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessageChunk
from starlette.requests import Request
from starlette.responses import Response

from langchain_selectllm.integrations.server.admission import admit
from langchain_selectllm.integrations.server.answers import DONE, PING, JsonResponse, event
from langchain_selectllm.integrations.server.chat_body import ChatBody, parse_body
from langchain_selectllm.integrations.server.chat_call import read_wish, router_call
from langchain_selectllm.integrations.server.completions import Envelope, delta, finish_reason
from langchain_selectllm.integrations.server.decision import decision_metadata
from langchain_selectllm.integrations.server.errors import ApiError, invalid
from langchain_selectllm.integrations.server.event_stream import ChunkQueue
from langchain_selectllm.integrations.server.exchange import Exchange
from langchain_selectllm.integrations.server.limits import read_body
from langchain_selectllm.integrations.server.state import state_of


async def chat_completions(request: Request) -> Response:
    """The reply to a chat completion request, whole or as a stream."""
    state = state_of(request)
    settings, served = state.settings, state.served
    body = parse_body(await read_body(request, settings.max_body_bytes), ChatBody)
    if body.stream_options is not None and not body.stream:
        raise invalid("stream_options needs stream=true.", param="stream_options")
    wish = read_wish(body.model, body.selectllm, body.user, request.headers, settings, served)
    call = router_call(body, wish, settings)
    async with AsyncExitStack() as stack:
        admitted = await admit(request, served, call, stack)
        envelope = Envelope(model=wish.model)
        if body.stream:
            with_usage = body.stream_options is not None and body.stream_options.include_usage
            writer = ChunkWriter(
                exchange=admitted.exchange, envelope=envelope, explain=wish.explain, with_usage=with_usage
            )
            return await admitted.stream(writer.events, stack)
        message, reported = await admitted.answer()
        completion = envelope.completion(message, reported.body(explain=wish.explain))
        return JsonResponse(completion, headers=reported.headers)


@dataclass(kw_only=True)
class ChunkWriter:
    """The chunks of one streamed reply as events."""

    exchange: Exchange
    envelope: Envelope
    explain: bool
    with_usage: bool
    _whole: AIMessageChunk | None = None

    async def events(self, queue: ChunkQueue) -> AsyncIterator[bytes]:
        """The events of the stream, the last one [DONE]; an error comes as an event of its own."""
        yield self._event({"role": "assistant", "content": ""})
        try:
            async for chunk in queue.chunks(self.exchange.state.settings.ping_s):
                if chunk is None:
                    yield PING
                    continue
                for written in self._written(chunk):
                    yield written
        except ApiError as error:
            yield event(error.body)
        yield DONE

    def _written(self, chunk: AIMessageChunk) -> list[bytes]:
        self._remember(chunk)
        events = []
        new = delta(chunk)
        if new:
            events.append(self._event(new))
        if decision_metadata(chunk) is not None:
            events += self._end()
        return events

    def _end(self) -> list[bytes]:
        """The last chunk, with the end of the reply and the decision, and the chunk of the usage."""
        reported, whole = self.exchange.reported, self._whole
        if reported is None or whole is None:
            return []
        shown = reported.body(explain=self.explain)
        events = [self._event({}, finish=finish_reason(whole), selectllm=shown)]
        if self.with_usage:
            events.append(event(self.envelope.usage_chunk(reported.metadata["usage"])))
        return events

    def _event(self, new: dict[str, Any], **further: Any) -> bytes:
        if self.with_usage:
            further["usage"] = None
        return event(self.envelope.chunk(new, **further))

    def _remember(self, chunk: AIMessageChunk) -> None:
        """Keep metadata and tool calls, not the text, so that the work for long streams stays linear."""
        bare = AIMessageChunk(
            content="", tool_call_chunks=chunk.tool_call_chunks, response_metadata=chunk.response_metadata
        )
        if self._whole is None:
            self._whole = bare
        elif bare.tool_call_chunks or bare.response_metadata:
            self._whole += bare
