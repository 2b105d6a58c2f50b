"""The process around the application: uvicorn, and a drain at SIGTERM."""

import asyncio
import gc
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from typing_extensions import override

from langchain_selectllm.integrations.server.state import ServerState

_COLLECT_AFTER = 10_000
"""New objects that start a collection. With Python's 700, collections took 4 to 5 % of a request's processor
time (in process, 800 requests of 3 members); beyond 10,000 there was nothing left to gain."""


class DrainingServer(uvicorn.Server):
    """After SIGTERM, answers with `Connection: close` for a moment, and finishes the requests in flight."""

    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        """Serve a configured application."""
        super().__init__(config)
        self._state = state
        self._loop: asyncio.AbstractEventLoop | None = None

    @override
    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)  # type: ignore[arg-type]

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at once at the second signal."""
        notice_s = self._state.settings.drain_notice_s
        if self._state.draining or self._loop is None or not notice_s:
            super().handle_exit(sig, frame)
            return
        self._state.draining = True
        self._loop.call_soon_threadsafe(self._loop.call_later, notice_s, super().handle_exit, sig, None)


def run_server(app: Starlette, state: ServerState) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are finished within the drain time."""
    settings = state.settings
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(settings.drain_s),
        log_level="warning",
    )
    calm_collector()
    DrainingServer(config, state).run()


def calm_collector() -> None:
    """Makes collections of garbage rare, and spares them everything that is loaded, which stays anyway.

    A collection stops all requests for as long as it walks through objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
