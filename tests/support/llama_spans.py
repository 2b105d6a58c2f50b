"""LlamaIndex spans and events, recorded while a test runs."""

from contextlib import contextmanager

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span_handlers import SimpleSpanHandler
from pydantic import Field


class Events(BaseEventHandler):
    """Keeps every event."""

    seen: list = Field(default_factory=list)

    def handle(self, event, **kwargs):
        self.seen.append(event)

    def of(self, kind):
        return [event for event in self.seen if isinstance(event, kind)]


class Spans(SimpleSpanHandler):
    """Keeps every span."""

    def all(self):
        return [*self.completed_spans, *self.dropped_spans, *self.open_spans.values()]

    def of_members(self):
        return [span for span in self.all() if "selectllm:member" in span.tags]

    def is_under(self, span, name):
        """Whether one of the spans above has a name that starts with `name`."""
        by_id = {one.id_: one for one in self.all()}
        while span.parent_id in by_id:
            span = by_id[span.parent_id]
            if span.id_.startswith(name):
                return True
        return False


@contextmanager
def recorded_spans():
    """The spans of a block."""
    root, spans = get_dispatcher(), Spans(open_spans={}, completed_spans=[], dropped_spans=[])
    root.span_handlers = [*root.span_handlers, spans]
    try:
        yield spans
    finally:
        root.span_handlers = [handler for handler in root.span_handlers if handler is not spans]


@contextmanager
def recorded_events():
    """The events of a block."""
    root, events = get_dispatcher(), Events(seen=[])
    root.event_handlers = [*root.event_handlers, events]
    try:
        yield events
    finally:
        root.event_handlers = [handler for handler in root.event_handlers if handler is not events]
