"""The servers under load, each in a process of its own: the router's, and one that only sleeps."""

import asyncio
import gc
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

KEY = "sk-load"
POLICY = "all_members"
MEMBERS = ["calculator", "clockmaker", "reader"]


def serve(port: int, delay_s: float, slots: int, log: str) -> None:
    """Serve three members that reply after `delay_s`, and note each cancellation in a file."""
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatResult

    from langchain_selectllm import OutcomeTable, SelectLLMClassifier, SelectLLMRouter
    from langchain_selectllm.integrations.server.access import ApiKeys
    from langchain_selectllm.integrations.server.adapter import ServedRouter
    from langchain_selectllm.integrations.server.app import create_app
    from langchain_selectllm.integrations.server.running import run_server
    from langchain_selectllm.integrations.server.settings import ServerSettings
    from langchain_selectllm.integrations.server.state import ServerState
    from langchain_selectllm.outcomes.simulated import write_demo_outcomes
    from langchain_selectllm.testing import ReplayChatModel

    class Scripted(ReplayChatModel):
        async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
            try:
                await asyncio.sleep(self.delay_s)
            except asyncio.CancelledError:
                note_time(log)
                raise
            return self._result(messages)

    with tempfile.TemporaryDirectory() as folder:
        write_demo_outcomes(Path(folder) / "outcomes", n_queries=300)
        outcomes = OutcomeTable.from_folders(Path(folder) / "outcomes", members=MEMBERS)
    models = {}
    for name in MEMBERS:
        models[name] = Scripted(model=name, default="The answer is 391.", delay_s=delay_s)
    router = SelectLLMRouter(
        classifier=SelectLLMClassifier().fit(outcomes), models=models, policy=POLICY, early_stop=False
    )
    settings = ServerSettings(policy=POLICY, port=port, max_in_flight=slots, max_queued=1000)
    state = ServerState(settings=settings, served=ServedRouter(router))
    run_server(create_app(state, ApiKeys([KEY])), state)


def note_time(log: str) -> None:
    """Append the time to a file."""
    with Path(log).open("a") as file:
        file.write(f"{time.monotonic()}\n")


def serve_bare(port: int, delay_s: float) -> None:
    """Serve an application of the same framework that reads the body, sleeps and replies."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def reply(request: Request) -> Response:
        await request.body()
        await asyncio.sleep(delay_s)
        return Response(b" " * 600, media_type="application/json")

    app = Starlette(routes=[Route("/v1/chat/completions", reply, methods=["POST"])])
    config = uvicorn.Config(
        app, port=port, access_log=False, server_header=False, log_level="warning", timeout_keep_alive=60
    )
    gc.collect()
    gc.freeze()
    uvicorn.Server(config).run()


def main() -> None:
    """Serve: kind, port, seconds of each reply, slots, log of cancellations, core."""
    kind, port, delay_s, slots, log, core = sys.argv[1:]
    if core != "any":
        os.sched_setaffinity(0, {int(core)})
    if kind == "bare":
        serve_bare(int(port), float(delay_s))
        return
    serve(int(port), float(delay_s), int(slots), log)


if __name__ == "__main__":
    main()
