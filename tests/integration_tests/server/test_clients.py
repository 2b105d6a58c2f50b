"""The clients that people have, unchanged, against a server on loopback."""

import contextlib
import json
import random
import socket
import subprocess
import time

import openai
import pytest
from langchain_openai import ChatOpenAI
from llama_index.core.base.llms.types import ChatMessage
from llama_index.llms.openai_like import OpenAILike
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from langchain_selectllm import VotingOutputParser
from tests.support.programs import install_node_client, program
from tests.support.served import LETTERS, listening, make_app
from tests.support.tool_models import tool_models
from tests.support.waiting import wait_until
from tests.support.worlds import scripted

pytestmark = pytest.mark.filterwarnings("ignore")

KEY = "sk-test-of-clients"
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "The sum of two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
PROMPT = [{"role": "user", "content": "Add 3 and 4."}]


@pytest.fixture(autouse=True, scope="module")
def _without_proxy():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(scope="module")
def texts(fitted):
    """A server whose members answer with texts."""
    with listening(make_app(fitted, keys=[KEY])) as url:
        yield url


@pytest.fixture(scope="module")
def tools(fitted):
    """A server whose members call tools."""
    with listening(make_app(fitted, tool_models(), keys=[KEY])) as url:
        yield url


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int
    total: int


@pytest.fixture(scope="module", params=["json", "choice"])
def objects(fitted, request):
    """A server whose members answer with JSON objects, two of five with another one."""
    models = scripted(LETTERS)
    for name, letter in LETTERS.items():
        total = 7 if letter == "A" else 8
        models[name] = models[name].model_copy(
            update={"default": json.dumps({"a": 3, "b": 4, "total": total})}
        )
    # Objects are voted on whatever the replies are read as otherwise.
    router = {"parser": VotingOutputParser(answer=request.param)}
    with listening(make_app(fitted, models, keys=[KEY], router=router)) as url:
        yield url


def sync_client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)


def test_the_sync_client_reads_reply_decision_and_headers(texts):
    client = sync_client(texts)
    raw = client.chat.completions.with_raw_response.create(
        model="selectllm", messages=PROMPT, extra_body={"selectllm": {"max_calls": 2}}
    )
    completion = raw.parse()
    assert completion.choices[0].message.content.startswith("The answer is")
    assert completion.model_extra["selectllm"]["calls"] == 2
    assert raw.headers["x-selectllm-calls"] == "2"
    assert [model.id for model in client.models.list()][:2] == ["selectllm", "selectllm/all_members"]
    assert client.models.retrieve("selectllm/all_members").id == "selectllm/all_members"


def test_every_chunk_of_a_stream_is_one_of_openais(texts):
    stream = sync_client(texts).chat.completions.create(
        model="selectllm", messages=PROMPT, stream=True, stream_options={"include_usage": True}
    )
    chunks = [ChatCompletionChunk.model_validate(chunk.model_dump()) for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "The answer is (A)."
    assert chunks[-1].usage.total_tokens == 35
    assert chunks[-2].model_extra["selectllm"]["winner"] in LETTERS


async def test_the_async_client_streams_and_asks(texts):
    async with openai.AsyncOpenAI(base_url=f"{texts}/v1", api_key=KEY, max_retries=0) as client:
        whole = await client.chat.completions.create(model="reader", messages=PROMPT)
        stream = await client.chat.completions.create(model="reader", messages=PROMPT, stream=True)
        words = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert whole.choices[0].message.content == "".join(words) == "The answer is (A)."


def test_tools_go_round(tools):
    client = sync_client(tools)
    messages = [{"role": "user", "content": "add 3 and 4"}]
    first = client.chat.completions.create(model="selectllm", messages=messages, tools=[ADD])
    (call,) = first.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"a": 3, "b": 4}
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "7"}]
    second = client.chat.completions.create(model="selectllm", messages=messages, tools=[ADD])
    assert second.choices[0].message.content == "The tool said: 7"


def test_streamed_tool_calls_are_put_together_by_the_client(tools):
    with sync_client(tools).chat.completions.stream(
        model="selectllm", messages=[{"role": "user", "content": "add 3 and 4"}], tools=[ADD]
    ) as stream:
        final = stream.get_final_completion()
    (call,) = final.choices[0].message.tool_calls
    assert call.function.parsed_arguments == {"a": 3, "b": 4}


def test_parse_returns_the_voted_object(objects):
    completion = sync_client(objects).chat.completions.parse(
        model="selectllm", messages=PROMPT, response_format=Sum
    )
    # Three members of five say 7.
    assert completion.choices[0].message.parsed == Sum(a=3, b=4, total=7)


def test_responses_whole_streamed_and_parsed(texts, objects):
    client = sync_client(texts)
    whole = client.responses.create(model="selectllm", input="Add 3 and 4.")
    assert whole.output_text == "The answer is (A)."
    with client.responses.stream(model="selectllm", input="Add 3 and 4.") as stream:
        final = stream.get_final_response()
    assert final.output_text == "The answer is (A)."
    parsed = sync_client(objects).responses.parse(model="selectllm", input="x", text_format=Sum)
    assert parsed.output_parsed == Sum(a=3, b=4, total=7)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"model": "gpt-5"}, openai.NotFoundError),
        ({"n": 3}, openai.BadRequestError),
        ({"extra_headers": {"Authorization": "Bearer no"}}, openai.AuthenticationError),
    ],
)
def test_errors_are_those_of_the_client(texts, fields, kind):
    with pytest.raises(kind) as raised:
        sync_client(texts).chat.completions.create(**{"model": "selectllm", "messages": PROMPT, **fields})
    assert raised.value.body["message"]


def test_a_client_that_gives_up_cancels_the_members(fitted):
    app = make_app(fitted, scripted(LETTERS, delay_s=900))
    with listening(app) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=0.3)
        for stream in (False, True):
            with pytest.raises(openai.APITimeoutError):
                client.chat.completions.create(model="selectllm", messages=PROMPT, stream=stream)
        limits = app.state.selectllm.in_flight
        wait_until(lambda: not limits.running)


def test_langchain_openai_shows_the_decision_in_its_headers(texts):
    model = ChatOpenAI(
        model="selectllm", base_url=f"{texts}/v1", api_key=KEY, include_response_headers=True, max_retries=0
    )
    message = model.invoke("Add 3 and 4.")
    assert message.text == "The answer is (A)."
    assert message.response_metadata["headers"]["x-selectllm-winner"] in LETTERS
    assert message.usage_metadata["total_tokens"] == 35


def test_llama_index_asks_and_streams(texts):
    llm = OpenAILike(
        model="selectllm",
        api_base=f"{texts}/v1",
        api_key=KEY,
        is_chat_model=True,
        max_retries=0,
        reuse_client=False,
    )
    messages = [ChatMessage(role="user", content="Add 3 and 4.")]
    assert llm.chat(messages).message.content == "The answer is (A)."
    assert list(llm.stream_chat(messages))[-1].message.content == "The answer is (A)."


def test_curl_reads_a_stream_line_by_line(texts):
    body = json.dumps({"model": "selectllm", "messages": PROMPT, "stream": True})
    headers = ["-H", "content-type: application/json", "-H", f"authorization: Bearer {KEY}"]
    command = [program("curl"), "-sN", *headers, "-d", body, f"{texts}/v1/chat/completions"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    data = [line for line in lines if line.startswith("data: ")]
    assert data[-1] == "data: [DONE]"
    assert json.loads(data[-2][6:])["selectllm"]["calls"] == 5


NODE = """
const { default: OpenAI } = await import("openai");
const client = new OpenAI({ baseURL: process.argv[2], apiKey: process.argv[3], maxRetries: 0 });
const messages = [{ role: "user", content: "Add 3 and 4." }];
const whole = await client.chat.completions.create({ model: "selectllm", messages });
let streamed = "";
for await (const chunk of await client.chat.completions.create({ model: "selectllm", messages, stream: true })) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
}
const response = await client.responses.create({ model: "selectllm", input: "Add 3 and 4." });
console.log(JSON.stringify([whole.choices[0].message.content, streamed, response.output_text,
  whole.selectllm.calls]));
"""


@pytest.fixture(scope="module")
def node_project(tmp_path_factory):
    """A folder with npm's openai package."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"type": "module"}')
    install_node_client(folder)
    (folder / "ask.mjs").write_text(NODE)
    return folder


def test_the_client_of_node_asks_streams_and_reads_responses(texts, node_project):
    command = [program("node"), "ask.mjs", f"{texts}/v1", KEY]
    done = subprocess.run(command, cwd=node_project, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == ["The answer is (A)."] * 3 + [5]


def test_clients_that_leave_at_any_moment_or_read_slowly_leave_nothing_behind(fitted):
    app = make_app(fitted, scripted(LETTERS, delay_s=0.02), max_in_flight=4)
    limits = app.state.selectllm.in_flight
    draw = random.Random(0)
    body = json.dumps({"model": "selectllm", "messages": PROMPT, "stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    request = head + f"content-length: {len(body)}\r\n\r\n".encode() + body
    with listening(app) as url:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        for i in range(60):
            with socket.create_connection(address) as connection:
                connection.sendall(request[: len(request) - draw.choice([0, 0, 0, 5])])
                # Some hang up at once, some in the middle of the members' work, some while they read byte by byte.
                time.sleep(draw.choice([0.0, 0.005, 0.02, 0.03]))
                if i % 3 == 0:
                    connection.settimeout(0.01)
                    with contextlib.suppress(TimeoutError):
                        connection.recv(1)
        wait_until(lambda: not (limits.running or limits.queued))
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        completion = client.chat.completions.create(model="selectllm", messages=PROMPT)
    assert completion.choices[0].message.content == "The answer is (A)."
