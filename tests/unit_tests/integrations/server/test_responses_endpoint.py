import json

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from langchain_selectllm.testing import ReplayChatModel
from tests.support.served import LETTERS, client, make_app
from tests.support.tool_models import tool_models
from tests.support.worlds import scripted

PATH = "/v1/responses"
EVENT = TypeAdapter(ResponseStreamEvent)
ADD = {
    "type": "function",
    "name": "add",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    },
    "strict": None,
}


async def ask(app, given="Add 3 and 4.", **fields):
    async with client(app) as http:
        return await http.post(PATH, json={"model": "selectllm", "input": given, **fields})


def read_events(text):
    """The events, each named as its data says, numbered from 0."""
    blocks = [block.split("\n") for block in text.split("\n\n") if block and not block.startswith(":")]
    found = []
    for name, data in blocks:
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        found.append(EVENT.validate_python(value))
    assert [event.sequence_number for event in found] == list(range(len(found)))
    return found


async def test_the_winning_reply_is_a_response(fitted):
    reply = await ask(make_app(fitted), instructions="Be brief.", store=False)
    response = Response.model_validate(reply.json())
    assert (response.status, response.output_text) == ("completed", "The answer is (A).")
    assert response.model_extra["selectllm"]["calls"] == 5
    assert response.usage.total_tokens == sum((response.usage.input_tokens, response.usage.output_tokens))
    assert reply.headers["x-selectllm-winner"] in LETTERS


async def test_the_events_of_a_text_build_the_response_up(fitted):
    reply = await ask(make_app(fitted), stream=True)
    found = read_events(reply.text)
    kinds = [event.type for event in found]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    text = "".join(event.delta for event in found if event.type == "response.output_text.delta")
    assert text == found[-1].response.output_text == "The answer is (A)."
    assert found[-1].response.model_extra["selectllm"]["winner"] == reply.headers["x-selectllm-winner"]
    assert found[-1].response.usage.total_tokens == 35


async def test_tool_calls_are_items_whole_and_streamed(fitted):
    whole = (await ask(make_app(fitted, tool_models()), "add 3 and 4", tools=[ADD])).json()
    (call,) = Response.model_validate(whole).output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "add", {"a": 3, "b": 4})
    reply = await ask(make_app(fitted, tool_models()), "add 3 and 4", tools=[ADD], stream=True)
    found = read_events(reply.text)
    deltas = [e.delta for e in found if e.type == "response.function_call_arguments.delta"]
    (streamed,) = found[-1].response.output
    assert json.loads("".join(deltas)) == json.loads(streamed.arguments) == {"a": 3, "b": 4}


async def test_a_conversation_with_tool_results_is_read(fitted):
    given = [
        {"role": "user", "content": [{"type": "input_text", "text": "add 3 and 4"}]},
        {"type": "reasoning", "id": "r1", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a": 3, "b": 4}'},
        {"type": "function_call_output", "call_id": "c1", "output": "7"},
    ]
    reply = await ask(make_app(fitted, tool_models()), given, tools=[ADD])
    assert Response.model_validate(reply.json()).output_text == "The tool said: 7"


async def test_settings_are_handed_on_under_their_chat_names(fitted):
    seen = []

    class Recording(ReplayChatModel):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            seen.append((messages, kwargs))
            return self._result(messages)

    models = {name: Recording(model=name, default="The answer is (A).") for name in LETTERS}
    schema = {"type": "json_schema", "name": "sum", "schema": {"type": "object"}, "strict": True}
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
    given = [{"role": "user", "content": [{"type": "input_text", "text": "see"}, image]}]
    reply = await ask(
        make_app(fitted, models),
        given,
        text={"format": schema, "verbosity": "low"},
        reasoning={"effort": "low"},
        max_output_tokens=5,
        temperature=0.0,
    )
    assert reply.status_code == 200
    messages, kwargs = seen[0]
    assert kwargs == {
        "temperature": 0.0,
        "max_tokens": 5,
        "verbosity": "low",
        "reasoning_effort": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "sum", "schema": {"type": "object"}, "strict": True},
        },
    }
    assert messages[0].content[1]["image_url"] == {"url": image["image_url"], "detail": "low"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"store": True}, "store"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "c"}, "conversation"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": [{"type": "computer_call"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input[0].content[0]"),
        ({"input": []}, "messages"),
        ({"extra_body": {}}, "extra_body"),
    ],
)
async def test_state_and_fields_of_clients_are_refused_by_name(fitted, fields, param):
    async with client(make_app(fitted)) as http:
        reply = await http.post(PATH, json={"model": "selectllm", "input": "x", **fields})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


async def test_when_all_members_fail_before_the_stream_the_status_says_so(fitted):
    reply = await ask(make_app(fitted, scripted(LETTERS, errors=tuple(LETTERS))), stream=True)
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "all_members_failed")


async def test_a_reply_that_was_cut_off_is_incomplete(fitted):
    class Cut(ReplayChatModel):
        def _result(self, messages):
            result = super()._result(messages)
            result.generations[0].message.response_metadata["finish_reason"] = "length"
            return result

    models = {name: Cut(model=name, default="The answer is (A).") for name in LETTERS}
    response = Response.model_validate((await ask(make_app(fitted, models), model="reader")).json())
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
