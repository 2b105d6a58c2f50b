"""The ASGI application."""

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from langchain_selectllm.integrations.server import health
from langchain_selectllm.integrations.server.access import ApiKeys, Guard, check_host
from langchain_selectllm.integrations.server.chat_endpoint import chat_completions
from langchain_selectllm.integrations.server.errors import ApiError
from langchain_selectllm.integrations.server.feedback_endpoint import feedback
from langchain_selectllm.integrations.server.lifespan import running
from langchain_selectllm.integrations.server.models_endpoint import get_model, list_models
from langchain_selectllm.integrations.server.outermost import Outermost, answer_api_error
from langchain_selectllm.integrations.server.page import show_page
from langchain_selectllm.integrations.server.responses_endpoint import responses
from langchain_selectllm.integrations.server.router_endpoints import reload, route
from langchain_selectllm.integrations.server.state import ServerState


def create_app(state: ServerState, keys: ApiKeys) -> Starlette:
    """The application of one server.

    Args:
        state: What its endpoints share.
        keys: The API keys; only loopback is served without any.

    Raises:
        ServerConfigError: If the host is public and there are no keys.
    """
    check_host(keys, state.settings)
    routes = [
        Route("/v1/chat/completions", chat_completions, methods=["POST"]),
        Route("/v1/responses", responses, methods=["POST"]),
        Route("/v1/models", list_models),
        Route("/v1/models/{model:path}", get_model),
        Route("/v1/selectllm/route", route, methods=["POST"]),
        Route("/v1/selectllm/feedback", feedback, methods=["POST"]),
        Route("/v1/selectllm/reload", reload, methods=["POST"]),
        Route("/health/live", health.live),
        Route("/health/ready", health.ready),
        Route("/metrics", health.metrics),
        Route("/version", health.show_version),
        Route("/", show_page),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with running(state):
            yield

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[
            Middleware(Outermost, state=state),
            Middleware(Guard, keys=keys),
        ],
        exception_handlers={ApiError: answer_api_error, HTTPException: answer_api_error},
    )
    app.state.selectllm = state
    return app
