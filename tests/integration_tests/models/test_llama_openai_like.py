"""OpenAI-compatible clients of LlamaIndex and LangChain against one loopback server, with faults."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("llama_index.llms.openai_like")

from langchain_openai import ChatOpenAI
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.llms.openai_like import OpenAILike

from langchain_selectllm import VotingOutputParser
from langchain_selectllm.integrations.llama_index import SelectLLM
from tests.support.waiting import DEADLINE_S, LONG_S

LETTERS = {"calculator": "A", "clockmaker": "A", "generalist": "B", "guesser": "C", "reader": "A"}
ADD = {"name": "add", "arguments": '{"a": 3, "b": 4}'}
MULTIPLY = {"name": "multiply", "arguments": '{"a": 3, "b": 4}'}


class Handler(BaseHTTPRequestHandler):
    """Speaks /v1/chat/completions: a letter per model, one tool call when tools are offered, the tool's result after it."""

    disable_nagle_algorithm = True
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        fault = self.server.faults.get(asked["model"])
        if fault == "slow":
            self.server.release.wait()
        if fault == 500:
            self.answer(500, {"error": {"message": "out of order", "type": "server_error"}})
        elif fault == "garbage":
            self.answer(200, {"choices": []})
        elif asked.get("stream"):
            self.stream(asked)
        else:
            message = self.message(asked)
            choice = {
                "index": 0,
                "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
                "message": message,
            }
            self.answer(200, self.head(asked, "chat.completion") | {"choices": [choice], "usage": self.usage})

    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}  # noqa: RUF012

    def head(self, asked, kind):
        return {"id": "c", "object": kind, "created": 1, "model": asked["model"]}

    def message(self, asked):
        last = asked["messages"][-1]
        if last["role"] == "tool":
            return {"role": "assistant", "content": f"The result is {last['content']}."}
        if asked.get("tools"):
            function = MULTIPLY if asked["model"] == "generalist" else ADD
            call = {"id": f"call-{asked['model']}", "type": "function", "function": function}
            return {"role": "assistant", "content": None, "tool_calls": [call]}
        return {"role": "assistant", "content": f"The answer is ({LETTERS[asked['model']]})."}

    def stream(self, asked):
        message = self.message(asked)
        if "tool_calls" in message:
            deltas = [{"role": "assistant", "tool_calls": [{"index": 0, **message["tool_calls"][0]}]}]
        else:
            words = message["content"].split(" ")
            deltas = [{"role": "assistant", "content": ""}, *({"content": f"{word} "} for word in words)]
        head = self.head(asked, "chat.completion.chunk")
        events = [
            head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
        ]
        events.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        events.append(head | {"choices": [], "usage": self.usage})
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        self.send(200, "text/event-stream", body.encode())

    def answer(self, status, content):
        self.send(status, "application/json", json.dumps(content).encode())

    def send(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Tests are quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.faults, self.release = [], {}, threading.Event()

    def handle_error(self, request, client_address):
        """A client that gave up is no news."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


def llama(server, name):
    return OpenAILike(
        model=name,
        api_base=server.url,
        api_key="none",
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
        timeout=LONG_S,
        # Connections end with their call, so that none is left over for the garbage collector to complain of.
        reuse_client=False,
    )


def make(fitted, server, **fields):
    """Four LlamaIndex clients, and one of LangChain."""
    models = {name: llama(server, name) for name in LETTERS}
    models["reader"] = ChatOpenAI(
        model="reader", base_url=server.url, api_key="none", max_retries=0, timeout=LONG_S
    )
    parser = VotingOutputParser(answer="choice")
    return SelectLLM.from_models(
        fitted, models, **{"policy": "all_members", "parser": parser, "early_stop": False, **fields}
    )


ASKED = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="Add 3 and 4.")]


def ask(llm, mode):
    calls = {
        "chat": lambda: llm.chat(ASKED),
        "achat": lambda: asyncio.run(llm.achat(ASKED)),
        "stream_chat": lambda: list(llm.stream_chat(ASKED))[-1],
        "astream_chat": lambda: asyncio.run(last_of(llm)),
    }
    return calls[mode]()


async def last_of(llm):
    return [piece async for piece in await llm.astream_chat(ASKED)][-1]


MODES = ("chat", "achat", "stream_chat", "astream_chat")
every_mode = pytest.mark.parametrize("mode", MODES)


@every_mode
def test_clients_of_both_frameworks_vote_over_http(fitted, server, mode):
    response = ask(make(fitted, server), mode)
    told = response.additional_kwargs["selectllm"]
    assert response.message.content == "The answer is (A)."
    assert told["answers"] == LETTERS
    assert response.raw["usage"] == {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}
    assert {asked["model"] for asked in server.asked} == set(LETTERS)
    assert all([m["role"] for m in asked["messages"]] == ["system", "user"] for asked in server.asked)


@every_mode
def test_faults_of_the_wire_are_recorded_and_the_rest_vote(fitted, server, mode):
    server.faults.update(calculator=500, guesser="garbage")
    told = ask(make(fitted, server), mode).additional_kwargs["selectllm"]
    assert told["failures"]["calculator"]["error"] == "InternalServerError"
    assert set(told["failures"]) == {"calculator", "guesser"}
    assert (told["answer"], set(told["answers"])) == ("A", {"clockmaker", "generalist", "reader"})


async def test_a_member_that_hangs_misses_its_deadline(fitted, server):
    """In all modes at once: the deadline is long enough for the others on a busy machine."""
    server.faults.update(clockmaker="slow")
    llm = make(fitted, server, deadline_s=DEADLINE_S)
    # Both async modes on one loop: langchain-openai shares its async connections, which belong to a loop.
    in_threads = [asyncio.to_thread(ask, llm, mode) for mode in ("chat", "stream_chat")]
    for response in await asyncio.gather(llm.achat(ASKED), last_of(llm), *in_threads):
        told = response.additional_kwargs["selectllm"]
        # The server would hang for ever, and the client wait for two minutes.
        assert told["failures"]["clockmaker"]["error"] == "DeadlineError"
        assert told["answer"] == "A"


@pytest.mark.filterwarnings(
    "ignore::pydantic.PydanticDeprecatedSince20", "ignore::pydantic.PydanticDeprecatedSince211"
)
@pytest.mark.parametrize("streaming", [True, False])
async def test_a_function_agent_runs_over_http(fitted, server, streaming):
    called = []

    def add(a: int, b: int) -> int:
        """The sum of two numbers."""
        called.append((a, b))
        return a + b

    llm = make(fitted, server, parser=VotingOutputParser(answer="number"))
    output = await FunctionAgent(tools=[add], llm=llm, streaming=streaming).run("Add 3 and 4.")
    assert called == [(3, 4)]
    assert output.response.content == "The result is 7."
    assert output.raw["selectllm"]["answer"] == "7"
    # Nothing of ours goes out to a provider.
    assert "selectllm" not in json.dumps(server.asked)
    last = server.asked[-1]["messages"]
    assert last[-1]["tool_call_id"] == last[-2]["tool_calls"][0]["id"]
