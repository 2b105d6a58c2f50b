import pytest

from langchain_selectllm.integrations.server.errors import ApiError
from langchain_selectllm.integrations.server.schema_check import check_schema
from tests.support.served import chat, client, make_app

TREE = {
    "type": "object",
    "properties": {"children": {"type": "array", "items": {"$ref": "#"}}, "of": {"$ref": "#/$defs/ab"}},
    "$defs": {"ab": {"anyOf": [{"type": "null"}, {"type": "string"}]}},
}


def nested(levels):
    schema = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize("schema", [{}, TREE, nested(10), {"anyOf": [TREE["$defs"]["ab"]]}])
def test_valid_schemas_pass(schema):
    check_schema(schema, "x")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": 3}, "not valid"),
        ({"properties": []}, "not of type 'object'"),
        ({"$ref": "#/nowhere"}, "leads nowhere"),
        ({"properties": {"a": {"$ref": "http://other.example/schema"}}}, "leads out of the schema"),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {}}}, "has an escape"),
        ({"$ref": 3}, "leads out of the schema"),
        ({"$ref": "#"}, "without an end"),
        ({"allOf": [{"$ref": "#"}]}, "without an end"),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
            "without an end",
        ),
        (nested(100), "more than 64 levels"),
    ],
)
def test_schemas_that_nothing_can_follow_are_refused(schema, message):
    with pytest.raises(ApiError, match=message) as refused:
        check_schema(schema, "x")
    assert (refused.value.status, refused.value.param) == (400, "x")


@pytest.mark.parametrize("form", [{}, {"name": "x"}, {"name": "x", "schema": {"type": 3}}])
async def test_a_request_with_such_a_schema_calls_nobody(fitted, form):
    body = chat(response_format={"type": "json_schema", "json_schema": form})
    async with client(make_app(fitted)) as http:
        response = await http.post("/v1/chat/completions", json=body)
        metrics = (await http.get("/metrics")).text
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith("response_format")
    assert "selectllm_calls_total 0.0" in metrics
