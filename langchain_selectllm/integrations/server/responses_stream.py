"""The events of a streamed response."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_selectllm.integrations.server.answers import PING, event
from langchain_selectllm.integrations.server.decision import decision_metadata
from langchain_selectllm.integrations.server.errors import ApiError
from langchain_selectllm.integrations.server.event_stream import ChunkQueue
from langchain_selectllm.integrations.server.exchange import Exchange
from langchain_selectllm.integrations.server.responses_output import (
    ResponseEnvelope,
    call_item,
    message_item,
    new_id,
    text_part,
)


@dataclass(kw_only=True)
class _Item:
    """An output item that is being written: the text, or a call of a tool."""

    index: int
    id: str
    parts: list[str] = field(default_factory=list)
    call_id: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        return "".join(self.parts)


@dataclass(kw_only=True)
class ResponseWriter:
    """The events of one response, numbered in their order."""

    exchange: Exchange
    envelope: ResponseEnvelope
    explain: bool
    _number: int = 0
    _message: _Item | None = None
    _calls: dict[int, _Item] = field(default_factory=dict)
    _metadata: dict[str, Any] = field(default_factory=dict)

    async def events(self, queue: ChunkQueue) -> AsyncIterator[bytes]:
        """The events of the stream; an error ends it with the event `response.failed`."""
        for name in ("response.created", "response.in_progress"):
            yield self._event(name, response=self.envelope.response("in_progress"))
        try:
            async for chunk in queue.chunks(self.exchange.state.settings.ping_s):
                if chunk is None:
                    yield PING
                    continue
                for written in self._written(chunk):
                    yield written
        except ApiError as error:
            yield self._event("response.failed", response=self.envelope.failed(error))

    def _written(self, chunk: AIMessageChunk) -> Iterator[bytes]:
        self._metadata |= chunk.response_metadata
        if chunk.text:
            yield from self._write_text(chunk.text)
        for call in chunk.tool_call_chunks:
            yield from self._write_call(call["index"] or 0, call["id"], call["name"], call["args"] or "")
        if decision_metadata(chunk) is not None:
            yield from self._end()

    def _write_text(self, text: str) -> Iterator[bytes]:
        if self._message is None:
            item = _Item(index=len(self._calls), id=new_id("msg"))
            self._message = item
            yield self._item_event("response.output_item.added", item, message_item(item.id, None))
            yield self._text_event("response.content_part.added", item, part=text_part(""))
        self._message.parts.append(text)
        yield self._text_event("response.output_text.delta", self._message, delta=text, logprobs=[])

    def _write_call(self, index: int, call_id: str | None, name: str | None, part: str) -> Iterator[bytes]:
        if index not in self._calls:
            place = len(self._calls) + (self._message is not None)
            item = _Item(index=place, id=new_id("fc"), call_id=call_id or "", name=name or "")
            self._calls[index] = item
            shown = call_item(item.id, item.call_id, item.name, "", status="in_progress")
            yield self._item_event("response.output_item.added", item, shown)
        item = self._calls[index]
        item.parts.append(part)
        yield self._event(
            "response.function_call_arguments.delta", item_id=item.id, output_index=item.index, delta=part
        )

    def _end(self) -> Iterator[bytes]:
        reported = self.exchange.reported
        if reported is None:
            return
        if self._message is None and not self._calls:
            yield from self._write_text("")
        finished: list[tuple[int, dict[str, Any]]] = []
        if self._message is not None:
            shown = message_item(self._message.id, self._message.text)
            yield from self._end_text(self._message, shown)
            finished.append((self._message.index, shown))
        for item in self._calls.values():
            shown = call_item(item.id, item.call_id, item.name, item.text)
            yield from self._end_call(item, shown)
            finished.append((item.index, shown))
        finished.sort(key=lambda pair: pair[0])
        output = [shown for _, shown in finished]
        counted = reported.metadata["usage"]
        decision = reported.body(explain=self.explain)
        # The metadata names the end of the reply; calls of tools are not needed for it.
        ending = AIMessage("", response_metadata=self._metadata)
        response = self.envelope.finished(ending, output, decision, counted)
        yield self._event(f"response.{response['status']}", response=response)

    def _end_text(self, item: _Item, shown: dict[str, Any]) -> Iterator[bytes]:
        yield self._text_event("response.output_text.done", item, text=item.text, logprobs=[])
        yield self._text_event("response.content_part.done", item, part=text_part(item.text))
        yield self._item_event("response.output_item.done", item, shown)

    def _end_call(self, item: _Item, shown: dict[str, Any]) -> Iterator[bytes]:
        yield self._event(
            "response.function_call_arguments.done",
            item_id=item.id,
            output_index=item.index,
            name=item.name,
            arguments=item.text,
        )
        yield self._item_event("response.output_item.done", item, shown)

    def _item_event(self, name: str, item: _Item, shown: dict[str, Any]) -> bytes:
        return self._event(name, output_index=item.index, item=shown)

    def _text_event(self, name: str, item: _Item, **fields: Any) -> bytes:
        return self._event(name, item_id=item.id, output_index=item.index, content_index=0, **fields)

    def _event(self, kind: str, /, **fields: Any) -> bytes:
        number = self._number
        self._number += 1
        return event({"type": kind, "sequence_number": number, **fields}, kind)
