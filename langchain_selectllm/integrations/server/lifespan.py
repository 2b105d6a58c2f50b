"""What runs beside the requests from start to stop: reload at SIGHUP, the store, shadow calls."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from langchain_selectllm._optional import require
from langchain_selectllm.integrations.server.feedback_books import LoggedFeedback
from langchain_selectllm.integrations.server.recorder import Recorder
from langchain_selectllm.integrations.server.reloading import reloading_on_sighup
from langchain_selectllm.integrations.server.shadow import Shadow
from langchain_selectllm.integrations.server.state import ServerState
from langchain_selectllm.routing.feedback import FeedbackLog


@contextlib.asynccontextmanager
async def running(state: ServerState) -> AsyncIterator[None]:
    """Everything beside the requests, while the server runs.

    Raises:
        StoreError: If the store cannot be opened.
        OutcomeError: If a file of the feedback log is malformed.
        ServerConfigError: If the budget of shadow calls cannot be kept.
    """
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(reloading_on_sighup(state))
        if state.settings.telemetry and state.tracing is None:
            state.tracing = _tracing()
        url = state.settings.store
        if url is not None:
            recorder = await stack.enter_async_context(Recorder.opened(state, url))
            state.feedback_books.append(recorder)
            state.observers.append(recorder)
            if state.settings.shadow:
                shadow = await stack.enter_async_context(Shadow.running(state, recorder))
                state.observers.append(shadow)
        folder = state.settings.feedback_log
        if folder is not None:
            logged = LoggedFeedback(FeedbackLog(folder))
            state.feedback_books.append(logged)
            state.observers.append(logged)
        yield


def _tracing() -> Any:
    for module in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        require(module, extra="otel", needed_by="telemetry")

    from langchain_selectllm.integrations.server.tracing import tracing_from_environment

    return tracing_from_environment()
