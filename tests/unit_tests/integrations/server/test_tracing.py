import asyncio

import pytest

from langchain_selectllm.testing import ReplayChatModel
from tests.support.served import LETTERS, Connection, chat, client, events, make_app
from tests.support.waiting import LONG_S

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langchain_selectllm.integrations.server.tracing import Tracing

CHAT = "/v1/chat/completions"


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


def traced(app, exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app.state.selectllm.tracing = Tracing(provider)
    return app


def by_name(exporter):
    return {span.name: span for span in exporter.get_finished_spans()}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_is_a_span_with_its_members_below(fitted, exporter, stream):
    trace_id, parent_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"traceparent": f"00-{trace_id}-{parent_id}-01"}
    async with client(traced(make_app(fitted), exporter)) as http:
        response = await http.post(CHAT, json=chat("PROMPT-WORD", stream=stream), headers=headers)
        if stream:
            events(response.text)
    spans = by_name(exporter)
    request = spans["chat selectllm"]
    assert set(spans) == {"chat selectllm", *(f"chat {name}" for name in LETTERS)}
    assert format(request.context.trace_id, "032x") == trace_id
    assert format(request.parent.span_id, "016x") == parent_id
    for name in LETTERS:
        member = spans[f"chat {name}"]
        assert member.parent.span_id == request.context.span_id
        assert request.start_time <= member.start_time <= member.end_time <= request.end_time
        assert member.attributes["gen_ai.usage.output_tokens"] == 4
    assert request.attributes["gen_ai.request.model"] == "selectllm/all_members"
    assert request.attributes["gen_ai.response.model"] in LETTERS
    assert request.attributes["selectllm.calls"] == 5
    # Five members with 4 tokens each.
    assert request.attributes["gen_ai.usage.output_tokens"] == 20
    assert "PROMPT-WORD" not in str([span.to_json() for span in spans.values()])


async def test_failures_are_told_by_class_only(fitted, exporter):
    models = {name: ReplayChatModel(model=name, error=RuntimeError("secret")) for name in LETTERS}
    async with client(traced(make_app(fitted, models), exporter)) as http:
        await http.post(CHAT, json=chat())
    spans = by_name(exporter)
    assert spans["chat selectllm"].attributes["error.type"] == "FanOutModelError"
    assert spans["chat reader"].attributes["error.type"] == "RuntimeError"
    assert "secret" not in str([span.to_json() for span in spans.values()])


async def test_members_that_were_given_up_have_spans_too(fitted, exporter):
    started = asyncio.Event()

    class Hanging(ReplayChatModel):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            started.set()
            await asyncio.Event().wait()

    models = {name: Hanging(model=name) for name in LETTERS}
    connection = Connection(traced(make_app(fitted, models), exporter), CHAT, chat())
    await asyncio.wait_for(started.wait(), LONG_S)
    connection.hang_up()
    await asyncio.wait_for(connection.task, LONG_S)
    spans = by_name(exporter)
    assert "chat selectllm" in spans
    assert len(spans) > 1
    assert all("error.type" in span.attributes for name, span in spans.items() if name != "chat selectllm")


async def test_without_telemetry_no_span_is_made(fitted):
    app = make_app(fitted)
    async with client(app):
        assert app.state.selectllm.tracing is None
        assert not app.state.selectllm.needs_replies
