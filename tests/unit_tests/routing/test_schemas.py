from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, computed_field
from pydantic.v1 import BaseModel as BaseModelV1
from pydantic.v1 import SecretStr as SecretStrV1

from langchain_selectllm.answers.json_value import canonical_json
from langchain_selectllm.exceptions import AnswerError
from langchain_selectllm.routing.schemas import normal_object, tool_of
from tests.support.tools import City, CityDict


class Old(BaseModelV1):
    """An old class."""

    n: int


TREE = {
    "title": "Tree",
    "type": "object",
    "properties": {
        "kind": {"enum": ["leaf", "node"]},
        "size": {"type": "integer"},
        "child": {"anyOf": [{"$ref": "#/$defs/child"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": ["string", "number"]}},
    },
    "required": ["kind"],
    "$defs": {"child": {"type": "object", "properties": {"kind": {"const": "leaf"}}, "required": ["kind"]}},
}


LOOSE = {
    "title": "Loose",
    "type": "object",
    "properties": {
        "any": True,
        "never": False,
        "self": {"$ref": "#"},
        "pair": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]},
        "list": {"type": "array", "items": True},
    },
}


@pytest.mark.parametrize(
    ("schema", "given", "read"),
    [
        (City, {"name": "Rome", "millions": "3"}, {"name": "Rome", "millions": 3.0, "country": "unknown"}),
        (City, {"name": "Rome"}, None),
        (Old, {"n": "3"}, {"n": 3}),
        (Old, {"n": "x"}, None),
        (
            CityDict,
            {"name": "Rome", "millions": 3, "country": "Italy"},
            {"name": "Rome", "millions": 3, "country": "Italy"},
        ),
        (CityDict, {"name": "Rome", "millions": True, "country": "Italy"}, None),
        (CityDict, {"name": "Rome", "millions": 3}, None),
        (CityDict, "Rome", None),
        (TREE, {"kind": "leaf"}, {"kind": "leaf"}),
        (TREE, {"kind": "bush"}, None),
        (TREE, {"kind": "leaf", "size": 2.0}, {"kind": "leaf", "size": 2.0}),
        (TREE, {"kind": "leaf", "size": 2.5}, None),
        (TREE, {"kind": "node", "child": {"kind": "leaf"}}, {"kind": "node", "child": {"kind": "leaf"}}),
        (TREE, {"kind": "node", "child": None}, {"kind": "node", "child": None}),
        (TREE, {"kind": "node", "child": {"kind": "node"}}, None),
        (TREE, {"kind": "leaf", "tags": ["a", 1]}, {"kind": "leaf", "tags": ["a", 1]}),
        (TREE, {"kind": "leaf", "tags": ["a", None]}, None),
        (LOOSE, {"any": 1, "self": {"any": "x"}}, {"any": 1, "self": {"any": "x"}}),
        (LOOSE, {"self": {"never": 1}}, None),
        (LOOSE, {"pair": ["a", 1, None]}, {"pair": ["a", 1, None]}),
        (LOOSE, {"pair": ["a", "b"]}, None),
        (LOOSE, {"list": [1, "a"]}, {"list": [1, "a"]}),
    ],
)
def test_an_object_is_valid_or_abstains(schema, given, read):
    assert normal_object(schema, tool_of(schema)["parameters"], given) == read


BOUNDED = {
    "title": "Bounded",
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 5, "multipleOf": 5},
        "code": {"type": "string", "pattern": "^x", "maxLength": 3},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 1},
        "price": {"oneOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "integer", "maximum": 3}]},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("given", "is_valid"),
    [
        ({"n": 5, "code": "xy", "tags": ["a"]}, True),
        ({"n": 1}, False),
        ({"n": 7}, False),
        ({"code": "y"}, False),
        ({"code": "xyzw"}, False),
        ({"tags": []}, False),
        ({"tags": ["a", "a"]}, False),
        ({"zzz": 3}, False),
        # 2 is positive and at most 3: both options of oneOf; 0.5 is only positive.
        ({"price": 2}, False),
        ({"price": 0.5}, True),
    ],
)
def test_every_constraint_of_a_json_schema_is_honoured(given, is_valid):
    read = normal_object(BOUNDED, tool_of(BOUNDED)["parameters"], given)
    assert read == (given if is_valid else None)


@pytest.mark.parametrize(
    ("draft", "valid", "invalid"),
    [
        # Draft 4 wrote the bound beside a flag; draft 6 and later write the bound itself.
        ("http://json-schema.org/draft-04/schema#", 6, 5),
        ("https://json-schema.org/draft/2020-12/schema", None, None),
    ],
)
def test_the_schema_is_read_by_the_draft_that_it_names(draft, valid, invalid):
    schema = {
        "$schema": draft,
        "title": "Bounded",
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 5, "exclusiveMinimum": True}},
    }
    if valid is None:
        with pytest.raises(AnswerError, match="not valid at"):
            normal_object(schema, schema, {"n": 6})
        return
    assert normal_object(schema, schema, {"n": valid}) == {"n": valid}
    assert normal_object(schema, schema, {"n": invalid}) is None


def test_a_reference_resolves_by_anchor_and_by_escaped_pointer():
    schema = {
        "title": "Linked",
        "type": "object",
        "properties": {"a": {"$ref": "#whole"}, "b": {"$ref": "#/$defs/x~1y"}},
        "$defs": {"w": {"$anchor": "whole", "type": "integer"}, "x/y": {"type": "string"}},
    }
    assert normal_object(schema, schema, {"a": 1, "b": "s"}) == {"a": 1, "b": "s"}
    assert normal_object(schema, schema, {"a": "s"}) is None
    assert normal_object(schema, schema, {"b": 1}) is None


def test_a_reference_to_itself_without_end_is_an_error():
    with pytest.raises(AnswerError, match="refers to itself without end"):
        normal_object({"title": "Loop", "$ref": "#"}, {"$ref": "#"}, {"a": 1})


def test_an_object_nested_beyond_what_can_be_checked_abstains():
    schema = {"title": "Nest", "properties": {"n": {"$ref": "#"}}}
    given: dict[str, Any] = {}
    for _ in range(2_000):
        given = {"n": given}
    assert normal_object(schema, schema, {"n": {}}) == {"n": {}}
    assert normal_object(schema, schema, given) is None


@pytest.mark.parametrize("reference", ["#/$defs/missing", "http://127.0.0.1:9/schema.json"])
def test_a_reference_to_a_schema_elsewhere_is_an_error_and_never_fetched(reference):
    schema = {"title": "Open", "type": "object", "properties": {"a": {"$ref": reference}}}
    with pytest.raises(AnswerError, match="Put the schema that it names under"):
        normal_object(schema, schema, {"a": 1})


class Aliased(BaseModel):
    """Fields that are written otherwise than they are read."""

    name: str = Field(validation_alias="cityName")
    millions: float = 0.0


class Computed(BaseModel):
    """A field that is written and must not be given."""

    model_config = ConfigDict(extra="forbid")
    side: int

    @computed_field
    @property
    def area(self) -> int:
        return self.side**2


class Hidden(BaseModel):
    """A field that is given and never written."""

    name: str
    note: str = Field(exclude=True)


class Secret(BaseModel):
    """A field that is written as stars."""

    word: SecretStr


class OldSecret(BaseModelV1):
    """A field that is written as stars."""

    word: SecretStrV1


class Opaque(BaseModel):
    """A field that cannot be written."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    name: str
    handle: Any = Field(default_factory=object)


@pytest.mark.parametrize(
    ("schema", "given"),
    [
        (Aliased, {"cityName": "Rome", "millions": 3}),
        (Computed, {"side": 3}),
        (Hidden, {"name": "Rome", "note": "old"}),
        (Secret, {"word": "sesame"}),
        (OldSecret, {"word": "sesame"}),
        (Opaque, {"name": "Rome"}),
    ],
)
def test_what_the_schema_would_not_read_again_stays_as_it_was_given(schema, given):
    read = normal_object(schema, {}, given)
    assert (read, normal_object(schema, {}, read)) == (given, given)


@pytest.mark.parametrize("schema", [Secret, OldSecret])
def test_secrets_agree_only_where_they_are_the_same(schema):
    one, other = (normal_object(schema, {}, {"word": word}) for word in ("sesame", "simsim"))
    assert canonical_json(one) != canonical_json(other)
