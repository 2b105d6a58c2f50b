import asyncio
import json

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from langchain_selectllm.testing import ReplayChatModel
from tests.support.served import LETTERS, Connection, chat, client, events, make_app
from tests.support.tool_models import tool_models
from tests.support.waiting import LONG_S
from tests.support.worlds import scripted

PATH = "/v1/chat/completions"
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "The sum of two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        },
    },
}


def generation(text):
    return ChatGenerationChunk(message=AIMessageChunk(content=text))


async def ask(app, body, **headers):
    async with client(app) as http:
        return await http.post(PATH, json=body, headers=headers)


async def test_the_winning_reply_comes_as_a_completion_with_its_decision(fitted):
    response = await ask(make_app(fitted), chat())
    assert response.status_code == 200
    completion = ChatCompletion.model_validate(response.json())
    assert completion.choices[0].message.content == "The answer is (A)."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "selectllm/all_members"
    told = completion.model_extra["selectllm"]
    assert told["calls"] == 5
    assert told["winner"] in ("calculator", "clockmaker", "reader")
    assert set(told["members"]) == set(LETTERS)
    assert told["cost_usd"] is None
    assert response.headers["x-selectllm-winner"] == told["winner"]
    assert response.headers["x-selectllm-calls"] == "5"
    assert response.headers["x-selectllm-decision-id"] == told["decision_id"]
    assert response.headers["x-selectllm-policy"] == "all_members"
    assert "x-selectllm-cost-usd" not in response.headers
    # "Add 3 and 4." has 12 characters and each reply 18: 3 and 4 tokens by the scripted members' count, five times.
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (15, 20)


async def test_a_voted_stream_carries_winner_in_headers_and_last_chunk(fitted):
    response = await ask(make_app(fitted), chat(stream=True))
    chunks = [ChatCompletionChunk.model_validate(event) for event in events(response.text)]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "The answer is (A)."
    assert [c.choices[0].finish_reason for c in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    told = chunks[-1].model_extra["selectllm"]
    assert response.headers["x-selectllm-winner"] == told["winner"]
    assert all(chunk.usage is None for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_usage_comes_in_a_chunk_of_its_own_when_a_stream_asks_for_it(fitted):
    body = chat(stream=True, stream_options={"include_usage": True})
    chunks = events((await ask(make_app(fitted), body)).text)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 35
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


async def test_the_headers_of_one_members_stream_do_not_wait_for_its_end(fitted):
    released = asyncio.Event()

    class Slow(ReplayChatModel):
        async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
            for i, chunk in enumerate(("The answer", " is (B).")):
                if i:
                    await released.wait()
                yield generation(chunk)

    models = {name: Slow(model=name, default="x") for name in LETTERS}
    connection = Connection(make_app(fitted, models), PATH, chat(model="reader", stream=True))
    while "The answer" not in connection.text:
        connection.arrived.clear()
        await asyncio.wait_for(connection.arrived.wait(), LONG_S)
    headers = dict(connection.sent[0]["headers"])
    assert b"x-selectllm-winner" not in headers
    assert headers[b"x-selectllm-decision-id"].startswith(b"dec-")
    released.set()
    await asyncio.wait_for(connection.task, LONG_S)
    chunks = events(connection.text)
    assert chunks[-1]["selectllm"]["winner"] == "reader"
    assert chunks[-1]["model"] == "reader"


async def test_a_stream_without_a_vote_is_kept_open_by_pings(fitted):
    released = asyncio.Event()

    class Waiting(ReplayChatModel):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            await released.wait()
            return self._result(messages)

    models = {name: Waiting(model=name, default=f"The answer is ({a}).") for name, a in LETTERS.items()}
    app = make_app(fitted, models, vote_wait_s=0.01, ping_s=0.01)
    connection = Connection(app, PATH, chat(stream=True))
    while connection.text.count(": ping\n\n") < 2:
        connection.arrived.clear()
        await asyncio.wait_for(connection.arrived.wait(), LONG_S)
    assert b"x-selectllm-winner" not in dict(connection.sent[0]["headers"])
    released.set()
    await asyncio.wait_for(connection.task, LONG_S)
    assert LETTERS[events(connection.text)[-1]["selectllm"]["winner"]] == "A"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hangup_cancels_every_member(fitted, stream):
    started, cancelled = [], []
    all_started = asyncio.Event()

    class Hanging(ReplayChatModel):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            started.append(self.model)
            if len(started) == len(LETTERS):
                all_started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(self.model)
                raise

    models = {name: Hanging(model=name) for name in LETTERS}
    app = make_app(fitted, models)
    connection = Connection(app, PATH, chat(stream=stream))
    await asyncio.wait_for(all_started.wait(), LONG_S)
    connection.hang_up()
    await asyncio.wait_for(connection.task, LONG_S)
    assert sorted(cancelled) == sorted(LETTERS)
    assert connection.sent == []
    state = app.state.selectllm
    assert (state.in_flight.running, state.in_flight.queued) == (0, 0)
    assert b'status="499"' in state.metrics.text()


async def test_a_hangup_in_the_middle_of_a_stream_closes_the_member(fitted):
    closed = asyncio.Event()

    class Endless(ReplayChatModel):
        async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
            try:
                yield generation("word ")
                await asyncio.Event().wait()
            finally:
                closed.set()

    models = {name: Endless(model=name) for name in LETTERS}
    app = make_app(fitted, models)
    connection = Connection(app, PATH, chat(model="guesser", stream=True))
    while "word" not in connection.text:
        connection.arrived.clear()
        await asyncio.wait_for(connection.arrived.wait(), LONG_S)
    connection.hang_up()
    await asyncio.wait_for(connection.task, LONG_S)
    await asyncio.wait_for(closed.wait(), LONG_S)
    assert app.state.selectllm.in_flight.running == 0


async def test_members_vote_with_tool_calls_and_the_winners_calls_are_returned(fitted):
    body = chat("add 3 and 4", tools=[ADD], tool_choice="required")
    models = tool_models(guesser={"args": {"a": 1, "b": 1}})
    completion = ChatCompletion.model_validate((await ask(make_app(fitted, models), body)).json())
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("add", {"a": 3, "b": 4})
    assert all(member.calls[0]["tool_choice"] == "any" for member in models.values())


async def test_tool_calls_are_streamed(fitted):
    body = chat("add 3 and 4", tools=[ADD], stream=True)
    chunks = events((await ask(make_app(fitted, tool_models()), body)).text)
    parts = [part for chunk in chunks for part in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert parts[0]["function"]["name"] == "add"
    assert json.loads("".join(part["function"]["arguments"] for part in parts)) == {"a": 3, "b": 4}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_conversation_with_tool_results_reaches_the_members(fitted):
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 3, "b": 4}'}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Add 3 and 4."}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "7"},
    ]
    body = {"model": "selectllm", "messages": messages, "tools": [ADD]}
    completion = (await ask(make_app(fitted, tool_models()), body)).json()
    assert completion["choices"][0]["message"]["content"] == "The tool said: 7"


async def test_fields_of_openai_are_handed_on_to_the_members(fitted):
    seen = []

    class Recording(ReplayChatModel):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            seen.append({"stop": stop, **kwargs})
            return self._result(messages)

    models = {name: Recording(model=name, default="The answer is (A).") for name in LETTERS}
    form = {"type": "json_object"}
    body = chat(temperature=0.5, max_completion_tokens=9, stop=["\n"], top_k=3, response_format=form, n=1)
    body |= {"chat_template_kwargs": {"enable_thinking": False}, "extra_body": {"guided": True}}
    app = make_app(fitted, models, pass_on=["top_k", "chat_template_kwargs", "extra_body"])
    assert (await ask(app, body)).status_code == 200
    wanted = {"temperature": 0.5, "max_tokens": 9, "stop": ["\n"], "top_k": 3, "response_format": form}
    wanted |= {"chat_template_kwargs": {"enable_thinking": False}, "extra_body": {"guided": True}}
    assert seen == [wanted] * 5
    # Without a list of the operator's, every further field is handed on, but what replaces keys and deadlines.
    seen.clear()
    del body["extra_body"], wanted["extra_body"]
    body["surprise"] = wanted["surprise"] = [1]
    assert (await ask(make_app(fitted, models), body)).status_code == 200
    assert seen == [wanted] * 5


async def test_the_operator_can_refuse_further_fields(fitted):
    response = await ask(make_app(fitted, pass_on=[]), chat(top_k=3))
    assert (response.status_code, response.json()["error"]["param"]) == (400, "top_k")


async def test_a_schema_in_the_field_of_responses_is_refused(fitted):
    schema = {"type": "json_schema", "schema": {"$ref": "#"}}
    response = await ask(make_app(fitted), chat() | {"text": {"format": schema}})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "text")


async def test_a_field_that_no_member_takes_is_an_error_of_the_request(fitted):
    class Strict(ReplayChatModel):
        async def _agenerate(self, messages, stop=None, run_manager=None):
            return self._result(messages)

    models = {name: Strict(model=name, default="The answer is (A).") for name in LETTERS}
    response = await ask(make_app(fitted, models), chat(surprise=1))
    assert (response.status_code, response.json()["error"]["code"]) == (400, "refused_by_members")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"functions": []}, "functions"),
        ({"extra_headers": {"authorization": "Bearer x"}}, "extra_headers"),
        ({"timeout": 1e9}, "timeout"),
        ({"config": {"tags": ["x"]}}, "config"),
        ({"run_manager": 1}, "run_manager"),
        ({"_private": 1}, "_private"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"temperature": 3.0}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"selectllm": {"max_calls": 0}}, "selectllm.max_calls"),
        ({"selectllm": {"speed": 1}}, "selectllm.speed"),
    ],
)
async def test_a_field_that_cannot_be_honoured_is_refused_by_name(fitted, fields, param):
    response = await ask(make_app(fitted), chat(**fields))
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (400, "invalid_request_error")
    assert param in (error["param"], error["param"].partition(".function")[0])


async def test_an_unknown_model_is_a_404(fitted):
    response = await ask(make_app(fitted), chat(model="gpt-4o"))
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


async def test_when_all_members_fail_the_error_names_their_classes_only(fitted):
    models = scripted(LETTERS, errors=tuple(LETTERS))
    response = await ask(make_app(fitted, models), chat())
    assert response.status_code == 502
    error = response.json()["error"]
    assert error["members"] == dict.fromkeys(LETTERS, "RuntimeError")
    assert "is down" not in response.text


async def test_an_error_after_the_headers_comes_as_an_event(fitted):
    class Breaking(ReplayChatModel):
        async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
            yield generation("half ")
            raise ConnectionError("secret address")

    models = {name: Breaking(model=name) for name in LETTERS}
    response = await ask(make_app(fitted, models), chat(model="reader", stream=True))
    assert response.status_code == 200
    *chunks, error = events(response.text)
    assert chunks[1]["choices"][0]["delta"]["content"] == "half "
    assert error["error"]["type"] == "api_error"
    assert "secret" not in response.text


async def test_before_the_deadline_the_replies_that_have_come_vote(fitted, monkeypatch):
    # Three seconds for the members, and most of the time for the way back, however busy the machine is.
    monkeypatch.setattr("langchain_selectllm.integrations.server.adapter._VOTE_SHARE", 0.05)
    models = scripted(LETTERS)
    models["generalist"] = models["generalist"].model_copy(update={"delay_s": 900})
    response = await ask(make_app(fitted, models, deadline_s=60.0), chat())
    told = response.json()["selectllm"]
    assert (response.status_code, told["failures"]) == (200, {"generalist": "DeadlineError"})
    assert LETTERS[told["winner"]] == "A"


async def test_the_deadline_of_a_request_is_a_408(fitted):
    models = scripted(LETTERS, delay_s=900)
    response = await ask(make_app(fitted, models, deadline_s=0.05), chat())
    assert response.status_code == 408
    assert response.json()["error"]["code"] == "deadline_exceeded"
