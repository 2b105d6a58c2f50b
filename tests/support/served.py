"""Applications over scripted members, and requests to them without a socket."""

import asyncio
import json
import threading
from contextlib import asynccontextmanager, contextmanager

import httpx
import uvicorn

from langchain_selectllm import SelectLLMRouter, VotingOutputParser
from langchain_selectllm.integrations.server.access import ApiKeys
from langchain_selectllm.integrations.server.adapter import ServedRouter
from langchain_selectllm.integrations.server.app import create_app
from langchain_selectllm.integrations.server.settings import ServerSettings
from langchain_selectllm.integrations.server.state import ServerState
from tests.support.waiting import LONG_S, wait_until
from tests.support.worlds import scripted

LETTERS = {"calculator": "A", "clockmaker": "A", "generalist": "B", "guesser": "C", "reader": "A"}
URL = "http://127.0.0.1"


def served_router(fitted, models=None, **fields):
    """A served router over members with fixed answers, three of which agree on A."""
    fields = {
        "policy": "all_members",
        "parser": VotingOutputParser(answer="choice"),
        "early_stop": False,
        **fields,
    }
    return ServedRouter(SelectLLMRouter(classifier=fitted, models=models or scripted(LETTERS), **fields))


def make_state(fitted, models=None, router=None, **settings):
    """The state of a server whose default policy calls all members."""
    chosen = ServerSettings(**{"policy": "all_members", **settings})
    return ServerState(settings=chosen, served=served_router(fitted, models, **(router or {})))


def make_app(fitted, models=None, *, keys=(), router=None, **settings):
    """The application over that state."""
    return create_app(make_state(fitted, models, router, **settings), ApiKeys(keys))


@asynccontextmanager
async def client(app, **fields):
    """An HTTP client of the application, its lifespan running."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=URL, **fields) as opened,
    ):
        yield opened


def chat(text="Add 3 and 4.", model="selectllm", **fields):
    """The body of a chat completion request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def events(text):
    """Data of the server-sent events of a body, without [DONE]."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


class Connection:
    """One request on the level of ASGI, whose client can hang up at any time."""

    def __init__(self, app, path, body, headers=()):
        raw = json.dumps(body).encode()
        given = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), *headers]
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": given,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self._incoming = asyncio.Queue()
        self._incoming.put_nowait({"type": "http.request", "body": raw, "more_body": False})
        self.sent = []
        self.arrived = asyncio.Event()
        self.task = asyncio.create_task(app(self.scope, self._incoming.get, self._send))

    async def _send(self, message):
        self.sent.append(message)
        self.arrived.set()

    def hang_up(self):
        """What the server sees when the client goes away."""
        self._incoming.put_nowait({"type": "http.disconnect"})

    @property
    def text(self):
        return b"".join(message.get("body", b"") for message in self.sent).decode()


@contextmanager
def listening(app):
    """The base URL of the application on a loopback port, served by a thread of its own."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, access_log=False, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(LONG_S)
