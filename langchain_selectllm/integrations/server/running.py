"""The process around the application: uvicorn, and a drain at SIGTERM."""

import asyncio
import gc
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from typing_extensions import override

from langchain_selectllm.integrations.server.lifespan import running
from langchain_selectllm.integrations.server.state import ServerState

_COLLECT_AFTER = 10_000
"""New objects that start a collection. With Python's 700, collections took 4 to 5 % of a request's processor
time (in process, 800 requests of 3 members); beyond 10,000 there was nothing left to gain."""


class DrainingServer(uvicorn.Server):
    """After SIGTERM, answers with `Connection: close` for a moment, and finishes the requests in flight.

    What runs beside the requests starts and stops here, not in the application's lifespan, whose errors
    uvicorn prints as tracebacks.
    """

    def __init__(
        self, config: uvicorn.Config, state: ServerState, announce: Callable[[str], None] | None
    ) -> None:
        """Serve a configured application."""
        super().__init__(config)
        self._state = state
        self._announce = announce
        self._beside = AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None

    @override
    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        self._loop = asyncio.get_running_loop()
        async with self._beside:
            await self._beside.enter_async_context(running(self._state))
            # Ends the process where the port is taken.
            await super().startup(sockets)  # type: ignore[arg-type]
            self._beside = self._beside.pop_all()
        if self._announce is not None:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._announce(f"http://{_in_url(host)}:{port}/v1")

    @override
    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        async with self._beside:
            await super().shutdown(sockets)  # type: ignore[arg-type]

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at once at the second signal."""
        notice_s = self._state.settings.drain_notice_s
        if self._state.draining or self._loop is None or not notice_s:
            super().handle_exit(sig, frame)
            return
        self._state.draining = True
        self._loop.call_soon_threadsafe(self._loop.call_later, notice_s, super().handle_exit, sig, None)


def run_server(app: Starlette, state: ServerState, announce: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are finished within the drain time.

    Args:
        app: The application.
        state: What its endpoints share.
        announce: Called with the base URL as soon as requests are answered.

    Raises:
        SelectLLMError: If the store, the feedback log or the budget of shadow calls cannot be used.
    """
    settings = state.settings
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        lifespan="off",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(settings.drain_s),
        log_level="warning",
    )
    calm_collector()
    DrainingServer(config, state, announce).run()


def _in_url(host: str) -> str:
    if ":" in host:
        return f"[{host}]"
    return host


def calm_collector() -> None:
    """Makes collections of garbage rare, and spares them everything that is loaded, which stays anyway.

    A collection stops all requests for as long as it walks through objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
