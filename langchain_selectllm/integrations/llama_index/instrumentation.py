"""LlamaIndex instrumentation of routed calls: the decision as an event, spans with the names of members."""

import inspect
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context, copy_context
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseCallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.messages import AIMessage
from langchain_core.runnables.config import var_child_runnable_config
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.dispatcher import active_instrument_tags, instrument_tags
from llama_index_instrumentation.events.span import SpanDropEvent
from llama_index_instrumentation.span import active_span_id
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from typing_extensions import override

from langchain_selectllm.fanout.member_calls import MEMBER_TAG

SPAN_TAG = "selectllm:member"
"""Instrument tag of a member's spans and events; its value is the member's name."""
_REQUEST_TAG = "selectllm:request"
_GIVEN_UP = "Given up: the reply to the request was complete, or the call passed its deadline."

_dispatcher = get_dispatcher(__name__)


class SelectLLMDecisionEvent(BaseEvent):
    """The decision and the vote behind one reply of `SelectLLM`; sent just before `LLMChatEndEvent`."""

    winner: str | None
    """Member whose reply was returned."""
    members: list[str]
    """Members that the policy selected."""
    metadata: dict[str, Any]
    """The metadata of the reply, as in `response.raw["selectllm"]`."""

    @classmethod
    @override
    def class_name(cls) -> str:
        """Name under which LlamaIndex records it."""
        return "SelectLLMDecisionEvent"


class RequestSpans:
    """Spans of one request's members, nested under the active span and closed with the request."""

    def __init__(self) -> None:
        """Remember the active span; later steps may run where another one is active."""
        self._id = uuid4().hex
        self._span_id = active_span_id.get()
        self._tags = {**active_instrument_tags.get(), _REQUEST_TAG: self._id}

    def context(self) -> Context:
        """A copy of this context, in which the members' calls of a stream are made."""
        context = copy_context()
        context.run(active_instrument_tags.set, self._tags)
        return context

    @contextmanager
    def tagged(self) -> Iterator[None]:
        """The scope in which the members' calls are made; closes the spans that they left open."""
        with self.closing(), instrument_tags(self._tags):
            yield

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Drops the spans that are still open at the end of the request: those of cancelled calls."""
        try:
            yield
        finally:
            self._drop_open_spans()

    def announce(self, message: AIMessage) -> None:
        """Send the decision as an event of the request's span; a message without its metadata sends none."""
        metadata = message.response_metadata.get("selectllm")
        if metadata is None:
            return
        event = SelectLLMDecisionEvent(
            winner=metadata.get("winner"),
            members=list(metadata["selection"]["members"]),
            metadata=metadata,
            span_id=self._span_id,
        )
        _dispatcher.event(event)

    def _drop_open_spans(self) -> None:
        nothing = inspect.signature(_nothing).bind()
        for handler in _span_handlers():
            for span_id, span in list(handler.open_spans.items()):
                if span.tags.get(_REQUEST_TAG) == self._id:
                    _dispatcher.event(SpanDropEvent(span_id=span_id, err_str=_GIVEN_UP))
                    handler.span_drop(span_id, nothing, err=TimeoutError(_GIVEN_UP))


def tagged_by_member(
    run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
) -> AbstractContextManager[None]:
    """The scope of a member's call, whose LlamaIndex spans and events carry the member's name as a tag."""
    for tag in _tags_of(run_manager):
        if tag.startswith(MEMBER_TAG):
            name = tag.removeprefix(MEMBER_TAG)
            return instrument_tags({**active_instrument_tags.get(), SPAN_TAG: name})
    return nullcontext()


def _tags_of(
    run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
) -> Sequence[str]:
    """Tags of a member's run; LangChain passes no run manager to streams, whose config has the tags too."""
    if run_manager is not None:
        return run_manager.tags or ()
    callbacks = (var_child_runnable_config.get() or {}).get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        return callbacks.tags
    return ()


def _span_handlers() -> Generator[BaseSpanHandler[Any], None, None]:
    dispatcher = _dispatcher
    while True:
        yield from dispatcher.span_handlers
        if not dispatcher.propagate or not dispatcher.parent_name:
            return
        dispatcher = dispatcher.parent


def _nothing() -> None:
    """Stands for a call without arguments: handlers of dropped spans expect bound ones."""
