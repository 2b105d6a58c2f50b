"""Bodies that nobody means: refused with a status below 500 and without a stack trace."""

import asyncio
import json

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_selectllm import VotingOutputParser
from langchain_selectllm.testing import ReplayChatModel
from tests.support.served import LETTERS, URL, make_app

SHARES = {
    "/v1/chat/completions": 0.45,
    "/v1/responses": 0.4,
    "/v1/selectllm/route": 0.1,
    "/v1/selectllm/feedback": 0.05,
}
"""Which share of the bodies each path gets."""

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "model",
        "messages",
        "input",
        "stream",
        "tools",
        "tool_choice",
        "stop",
        "n",
        "user",
        "selectllm",
        "temperature",
        "max_tokens",
        "response_format",
        "text",
        "instructions",
        "stream_options",
        "seed",
        "config",
        "input_",
        "run_manager",
        "self",
        "callbacks",
        "func",
        "timeout",
        "surprise",
        "prompt",
        "metadata",
        "logit_bias",
        "kwargs",
        "parallel_tool_calls",
    ]
)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool", "function", "x"])
PARTS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "image_url", "input_text", "input_image", "file"])},
        optional={"text": st.one_of(st.text(max_size=20), VALUES), "image_url": VALUES},
    ),
    max_size=3,
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {"id": st.text(max_size=5), "type": st.just("function")},
        optional={"function": st.fixed_dictionaries({"name": st.text(max_size=5), "arguments": st.text()})},
    ),
    max_size=2,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": ROLES, "content": st.one_of(st.text(max_size=30), PARTS, SCALARS)},
        optional={"tool_calls": st.one_of(CALLS, VALUES), "tool_call_id": SCALARS, "name": SCALARS},
    ),
    max_size=4,
)
ITEMS = st.one_of(
    MESSAGES,
    st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["function_call", "function_call_output", "reasoning", "message"])},
            optional={"call_id": SCALARS, "name": SCALARS, "arguments": SCALARS, "output": VALUES},
        ),
        max_size=3,
    ),
    VALUES,
)
TOOLS = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("function")},
        optional={
            "function": st.fixed_dictionaries({"name": st.text(max_size=8)}, optional={"parameters": VALUES}),
            "name": st.text(max_size=8),
        },
    ),
    max_size=2,
)
SCHEMAS = st.recursive(
    st.one_of(VALUES, st.just({"$ref": "#"}), st.sampled_from([{"type": "string"}, {"type": "integer"}])),
    lambda inner: st.dictionaries(
        st.sampled_from(["properties", "anyOf", "allOf", "items", "type", "$ref", "required", "enum", "a"]),
        st.one_of(inner, st.lists(inner, max_size=2)),
        max_size=3,
    ),
    max_leaves=6,
)
FORMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["json_schema", "json_object", "text", "x"])},
    optional={
        "json_schema": st.fixed_dictionaries({"name": st.text(max_size=5)}, optional={"schema": SCHEMAS}),
        "schema": SCHEMAS,
        "name": st.text(max_size=5),
    },
)
KNOBS = st.dictionaries(
    st.sampled_from(["policy", "max_calls", "min_confidence", "below_confidence", "deadline_s", "explain"]),
    SCALARS,
    max_size=3,
)
BODIES = st.builds(
    lambda plausible, odd: {**plausible, **odd},
    st.fixed_dictionaries(
        {
            "model": st.sampled_from(["selectllm", "selectllm/all_members", "reader", "x"]),
            "messages": MESSAGES,
        },
        optional={"stream": st.booleans(), "tools": TOOLS, "selectllm": KNOBS, "input": ITEMS}
        | {"response_format": FORMS, "text": st.fixed_dictionaries({"format": FORMS})},
    ),
    st.dictionaries(NAMES, VALUES, max_size=2),
)
RAW = st.one_of(
    BODIES.map(lambda body: json.dumps(body).encode()), VALUES.map(lambda v: json.dumps(v).encode())
)
BYTES = st.one_of(RAW, st.binary(max_size=60))


@pytest.fixture(scope="module")
def post(fitted):
    """Sends one body; the status and the text of the answer."""
    loop = asyncio.new_event_loop()
    # Texts of any kind are read, so that every reply votes.
    # The replies are objects, so that schemas are applied to something.
    models = {name: ReplayChatModel(model=name, default='{"a": [1, "x", {"a": null}]}') for name in LETTERS}
    router = {"parser": VotingOutputParser(answer="text")}
    app = make_app(fitted, models, router=router, deadline_s=100)
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL)

    def send(path, body):
        headers = {"content-type": "application/json"}
        response = loop.run_until_complete(http.post(path, content=body, headers=headers))
        return response.status_code, response.text

    yield send
    loop.run_until_complete(http.aclose())
    loop.close()


def check(status, text):
    assert status < 500, text
    assert "Traceback" not in text
    assert '"internal_error"' not in text
    if status != 200:
        assert set(json.loads(text)["error"]) >= {"message", "type", "param", "code"}


@pytest.mark.parametrize("n_bodies", [300, pytest.param(10_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("path", SHARES)
def test_no_body_makes_the_server_fail(post, path, n_bodies):
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]

    @settings(
        max_examples=round(SHARES[path] * n_bodies), deadline=None, suppress_health_check=slow, database=None
    )
    @given(body=BYTES)
    def send(body):
        check(*post(path, body))

    send()
