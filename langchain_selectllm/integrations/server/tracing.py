"""OpenTelemetry spans of requests and of their members' calls; neither prompts nor replies are in them.

The attributes follow the semantic conventions for generative AI (opentelemetry.io/docs/specs/semconv/gen-ai),
whose status is "development"; hence the opt-in.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from langchain_selectllm.integrations.server.adapter import RouterCall
from langchain_selectllm.integrations.server.decision import Reported
from langchain_selectllm.integrations.server.member_replies import MemberRun

_NAME = "langchain_selectllm.server"
_SYSTEM = "selectllm"


class RequestTrace:
    """The span of one request; the spans of its members are made when it ends."""

    def __init__(self, span: Span, tracer: trace.Tracer) -> None:
        """Describe a started span."""
        self._span = span
        self._tracer = tracer

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """The span as the current one, so that instrumented clients of members pass it on."""
        with trace.use_span(self._span, end_on_exit=False, record_exception=False):
            yield

    def end(self, reported: Reported | None, runs: list[MemberRun], error: Exception | None = None) -> None:
        """End the span with what is known of the decision.

        Args:
            reported: The decision; None if there is none.
            runs: Calls of members.
            error: The cause, if the request failed.
        """
        now = time.time_ns()
        for run in runs:
            self._member_span(run, now)
        if reported is not None:
            self._span.set_attributes(_decision_attributes(reported))
        if error is not None:
            # The class only: messages of upstream may hold prompts.
            self._span.set_attribute("error.type", type(error).__name__)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end(end_time=now)

    def _member_span(self, run: MemberRun, now: int) -> None:
        parent = trace.set_span_in_context(self._span)
        span = self._tracer.start_span(
            f"chat {run.member}",
            context=parent,
            kind=SpanKind.CLIENT,
            start_time=run.started_ns,
            attributes=_attributes(run.member),
        )
        if run.message is not None:
            span.set_attributes(_usage_attributes(run.message.usage_metadata))
        else:
            span.set_attribute("error.type", run.error or "cancelled")
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=run.ended_ns or now)


class Tracing:
    """Starts the spans of a server's requests."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """Use a provider of spans, or the one of the process."""
        self._tracer = trace.get_tracer(_NAME, tracer_provider=provider)

    def start(self, call: RouterCall, headers: Mapping[str, str]) -> RequestTrace:
        """The span of a request, below the client's own where its headers name one (`traceparent`)."""
        model = call.member or f"{_SYSTEM}/{call.settings.policy}"
        span = self._tracer.start_span(
            f"chat {_SYSTEM}",
            context=propagate.extract(dict(headers)),
            kind=SpanKind.SERVER,
            attributes=_attributes(model),
        )
        return RequestTrace(span, self._tracer)


def tracing_from_environment() -> Tracing:
    """Tracing with an OTLP exporter, configured by the standard `OTEL_*` variables."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = SdkTracerProvider(resource=Resource.create({"service.name": "selectllm"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def _attributes(model: str) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _SYSTEM,
        "gen_ai.request.model": model,
    }


def _decision_attributes(reported: Reported) -> dict[str, Any]:
    metadata = reported.metadata
    attributes: dict[str, Any] = {
        "gen_ai.response.model": metadata["winner"],
        "selectllm.decision_id": reported.decision_id,
        "selectllm.policy": reported.policy,
        "selectllm.calls": metadata["calls"],
        "selectllm.rounds": metadata["rounds"],
        "selectllm.decided_by": metadata["vote"]["decided_by"],
    }
    for name in ("confidence", "cost_usd"):
        if metadata[name] is not None:
            attributes[f"selectllm.{name}"] = metadata[name]
    return {**attributes, **_usage_attributes(metadata["usage"])}


def _usage_attributes(usage: Any) -> dict[str, int]:
    if not usage:
        return {}
    return {
        "gen_ai.usage.input_tokens": usage["input_tokens"],
        "gen_ai.usage.output_tokens": usage["output_tokens"],
    }
