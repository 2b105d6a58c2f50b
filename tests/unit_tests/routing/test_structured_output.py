import asyncio
import json

import numpy as np
import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ValidationError, model_validator

from langchain_selectllm import MajorityVote, WeightedVote
from langchain_selectllm.exceptions import LowConfidenceError, PolicyError, ToolSupportError
from langchain_selectllm.testing import ReplayChatModel
from langchain_selectllm.voting.field_votes import FieldVote
from tests.support.message_models import MessageModel
from tests.support.routers import as_facade, make_tool_router
from tests.support.tool_models import ToolModel, tool_models
from tests.support.tools import City, CityDict, add

CITY_JSON = {**City.model_json_schema(), "title": "City"}
GIVEN = {
    "calculator": {"args": {"name": "Rome", "millions": 3, "country": "Italy"}},
    "clockmaker": {"args": {"name": "Rome", "millions": 4, "country": "France"}},
    "generalist": {"args": {"name": "Paris", "millions": 3.0, "country": "France"}},
    "guesser": {"args": {"name": "Oslo", "millions": "many", "country": "Norway"}},
    "reader": {"says": "Rome has three million inhabitants."},
}


def make(fitted, given=GIVEN, facade="router", **fields):
    return as_facade(make_tool_router(fitted, tool_models(**given), **fields), facade)


def call(runnable, mode):
    if mode == "invoke":
        return runnable.invoke("Tell me about a city.")
    if mode == "ainvoke":
        return asyncio.run(runnable.ainvoke("Tell me about a city."))
    return list(runnable.stream("Tell me about a city."))[-1]


facades = pytest.mark.parametrize("facade", ["router", "chat"])


@facades
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream"])
@pytest.mark.parametrize("schema", [City, CityDict, CITY_JSON])
def test_every_field_goes_to_its_own_majority(fitted, schema, mode, facade):
    # Rome 2 of 3, three million 2 of 3, France 2 of 3: an object that nobody gave.
    city = call(make(fitted, facade=facade).with_structured_output(schema), mode)
    assert (city.model_dump() if isinstance(city, City) else city) == {
        "name": "Rome",
        "millions": 3,
        "country": "France",
    }


@facades
def test_the_raw_message_tells_how_each_field_was_decided(fitted, facade):
    model = make(fitted, facade=facade).with_structured_output(City, include_raw=True)
    result = call(model, "invoke")
    told = result["raw"].response_metadata["selectllm"]
    assert result["parsed"] == City(name="Rome", millions=3, country="France")
    assert result["parsing_error"] is None
    assert told["answer"] == '{"country": "France", "millions": 3, "name": "Rome"}'
    assert told["fields"] == pytest.approx({"name": 2 / 3, "millions": 2 / 3, "country": 2 / 3})
    assert told["support"] == pytest.approx(2 / 3)
    assert told["vote"]["strategy"] == "majority by field"
    # Not valid, and not an object: both abstain.
    assert (told["answers"]["guesser"], told["answers"]["reader"]) == (None, None)
    assert told["confidence"] is None
    assert (result["raw"].text, len(result["raw"].tool_calls)) == ("", 1)


NATIVE = {"structured_output": True}


def native_members(given=GIVEN, **changes):
    """Members without tools that give their objects as JSON text; `changes` are other members by name."""
    models = {}
    for name, fields in given.items():
        text = fields.get("says") or json.dumps(fields["args"])
        models[name] = MessageModel(model=name, message=AIMessage(text), profile=NATIVE)
    return {**models, **changes}


@facades
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream"])
@pytest.mark.parametrize("schema", [City, CityDict, CITY_JSON])
@pytest.mark.parametrize("policy", ["all_members", "single_best"])
def test_members_with_native_json_and_no_tools_fill_a_schema_in_json_text(
    fitted, schema, mode, facade, policy
):
    given = GIVEN if policy == "all_members" else dict.fromkeys(GIVEN, GIVEN["clockmaker"])
    models = native_members(given)
    model = as_facade(make_tool_router(fitted, models, policy=policy), facade)
    city = call(model.with_structured_output(schema), mode)
    expected = {"name": "Rome", "millions": 3, "country": "France"}
    if policy == "single_best":
        expected["millions"] = 4
    assert (city.model_dump() if isinstance(city, City) else city) == expected
    forms = [kwargs["response_format"] for member in models.values() for kwargs in member.calls]
    assert len(forms) == (5 if policy == "all_members" else 1)
    for form in forms:
        assert (form["type"], form["json_schema"]["name"]) == ("json_schema", schema_name(schema))
        assert set(form["json_schema"]["schema"]["properties"]) == {"name", "millions", "country"}


def schema_name(schema):
    return schema["title"] if isinstance(schema, dict) else schema.__name__


@facades
def test_members_with_tools_and_members_with_native_json_vote_on_one_object(fitted, facade):
    spare = ToolModel(model="reader", args=GIVEN["clockmaker"]["args"])
    wrapped = native_members()["generalist"].with_retry().with_config(tags=["x"])
    models = native_members(reader=spare, generalist=wrapped, guesser=ReplayChatModel(default="no tools"))
    model = as_facade(make_tool_router(fitted, models), facade)
    result = model.with_structured_output(City, include_raw=True).invoke("Tell me about a city.")
    told = result["raw"].response_metadata["selectllm"]
    assert told["left_out"] == {"guesser": "cannot call tools, and has no native JSON"}
    # Of four objects: Rome 3, four million 2 and three million 2, France 3.
    assert (result["parsed"].name, result["parsed"].country) == ("Rome", "France")
    assert sorted(told["answers"]) == ["calculator", "clockmaker", "generalist", "reader"]
    assert None not in told["answers"].values()


@facades
def test_a_pool_without_tools_and_without_native_json_says_so(fitted, facade):
    models = {name: ReplayChatModel(model=name, default="x") for name in GIVEN}
    model = as_facade(make_tool_router(fitted, models), facade)
    with pytest.raises(ToolSupportError, match="one whose profile has structured_output is enough"):
        model.with_structured_output(City)
    # Native JSON does not help where a call needs tools.
    with pytest.raises(ToolSupportError, match="No member can call tools"):
        as_facade(make_tool_router(fitted, native_members()), facade).bind_tools([add])


@facades
def test_whole_objects_vote_together_when_asked(fitted, facade):
    given = {**GIVEN, "guesser": {"args": {"name": "Paris", "millions": 3, "country": "France"}}}
    model = make(fitted, given, facade).with_structured_output(City, vote="whole", include_raw=True)
    result = call(model, "invoke")
    told = result["raw"].response_metadata["selectllm"]
    assert result["parsed"] == City(name="Paris", millions=3, country="France")
    assert (told["winner"] in {"generalist", "guesser"}, told["support"], told["fields"]) == (True, 0.5, None)


def test_fields_that_are_not_valid_together_give_way_to_whole_objects(fitted):
    class Range(BaseModel):
        """A range."""

        low: int
        high: int
        unit: str

        @model_validator(mode="after")
        def _ordered(self):
            if self.low > self.high:
                raise ValueError("low is greater than high")
            return self

    # 5 is the low end of most, 2 the high end of most: together they are no range.
    values = [(5, 9, "m"), (5, 7, "m"), (1, 2, "m"), (0, 2, "m"), (2, 2, "m")]
    given = {
        name: {"args": dict(zip(("low", "high", "unit"), value, strict=True))}
        for name, value in zip(GIVEN, values, strict=True)
    }
    result = call(make(fitted, given).with_structured_output(Range, include_raw=True), "invoke")
    told = result["raw"].response_metadata["selectllm"]
    assert told["vote"]["decided_by"] == "whole objects, because the fields that won are not valid together"
    assert (result["parsed"].low, result["parsed"].high) in {value[:2] for value in values}


def test_when_no_object_is_valid_the_parser_says_so(fitted):
    given = {name: {"args": {"name": "Oslo", "millions": "many"}} for name in GIVEN}
    with pytest.raises(ValidationError):
        call(make(fitted, given).with_structured_output(City), "invoke")
    result = call(make(fitted, given).with_structured_output(City, include_raw=True), "invoke")
    assert result["parsed"] is None
    assert isinstance(result["parsing_error"], ValidationError)
    assert result["raw"].response_metadata["selectllm"]["vote"]["decided_by"] == "no readable answer"


@pytest.mark.parametrize("schema", [CityDict, CITY_JSON])
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream"])
@pytest.mark.parametrize("policy", ["all_members", "single_best"])
def test_a_schema_without_a_class_says_so_too(fitted, schema, mode, policy):
    given = {name: {"args": {"name": "Oslo", "millions": "many"}} for name in GIVEN}
    with pytest.raises(
        OutputParserException, match=r"valid by City(Dict)?; the winner's is {'name': 'Oslo', 'mill"
    ):
        call(make(fitted, given, policy=policy).with_structured_output(schema), mode)
    result = call(
        make(fitted, given, policy=policy).with_structured_output(schema, include_raw=True), "invoke"
    )
    assert result["parsed"] is None
    assert isinstance(result["parsing_error"], OutputParserException)


@facades
def test_unknown_arguments_are_refused(fitted, facade):
    model = make(fitted, facade=facade)
    with pytest.raises(
        PolicyError, match="vote='best' is unknown for structured output. Use 'fields' or 'whole'"
    ):
        model.with_structured_output(City, vote="best")
    with pytest.raises(ValueError, match="with_structured_output got shape"):
        model.with_structured_output(City, shape="round")


def elect(objects, vote=None, probabilities=(0.5, 0.5, 0.5), outstanding=()):
    p = np.array(probabilities, dtype=float)
    members = [f"m{k}" for k in range(len(p))]
    election = FieldVote(
        vote=vote or MajorityVote(),
        members=members,
        probabilities=p,
        latencies=np.full(len(p), np.nan),
        outstanding=outstanding,
    )
    return election.elect(dict(enumerate(objects))), election


def test_nested_objects_are_voted_on_field_by_field_and_lists_as_a_whole():
    value, election = elect(
        [
            {"a": {"x": 1, "y": 1}, "l": [1, 2]},
            {"a": {"x": 1, "y": 2}, "l": [2, 1]},
            {"a": {"x": 3, "y": 2}, "l": [2, 1]},
        ]
    )
    assert value == {"a": {"x": 1, "y": 2}, "l": [2, 1]}
    assert set(election.supports) == {"a.x", "a.y", "l"}


def test_a_field_that_most_leave_out_is_left_out():
    assert elect([{"a": 1}, {"a": 1}, {"a": 1, "b": 2}])[0] == {"a": 1}
    assert elect([{"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2}])[0] == {"a": 1, "b": 2}
    assert elect([{"a": None}, {"a": {"x": 1}}, {"a": {"x": 2, "y": 1}}], probabilities=(0.5, 0.5, 0.9))[
        0
    ] == {"a": {"x": 2, "y": 1}}


def test_fields_weigh_as_the_vote_says():
    objects = [{"a": 1}, {"a": 2}, {"a": 2}]
    assert elect(objects, WeightedVote(), (0.9, 0.4, 0.4))[0] == {"a": 1}
    assert elect(objects, MajorityVote(), (0.9, 0.4, 0.4))[0] == {"a": 2}


def test_a_field_is_decided_when_nobody_outstanding_can_change_it():
    agreed = [{"a": 1, "b": 1}] * 3
    p = (0.5,) * 4
    assert elect(agreed, probabilities=p, outstanding=(3,))[1].settled
    assert elect(agreed, probabilities=(0.5,) * 5, outstanding=(3, 4))[1].settled
    # Two of three for b: one more ballot makes it a tie, which the tie rule would decide.
    assert not elect([*agreed[:2], {"a": 1, "b": 2}], probabilities=p, outstanding=(3,))[1].settled
    assert not elect(agreed[:1], probabilities=(0.5, 0.5), outstanding=(1,))[1].settled


def test_calls_stop_once_every_field_is_decided(fitted):
    given = {name: {"args": {"name": "Rome", "millions": 3}} for name in GIVEN}
    for vote in ("fields", "whole"):
        model = make(fitted, given, early_stop=True).with_structured_output(City, include_raw=True, vote=vote)
        told = model.invoke("x", {"max_concurrency": 1})["raw"].response_metadata["selectllm"]
        # Three equal objects of five cannot be outvoted.
        assert (told["calls"], told["decided_early"]) == (3, True)


APART = {
    "calculator": {"args": {"name": "Rome", "millions": 3}},
    "clockmaker": {"args": {"name": "Bonn", "millions": 1}},
    "generalist": {"args": {"name": "Oslo", "millions": 2}},
    "guesser": {"args": {"name": "Paris", "millions": 4}},
    "reader": {"args": {"name": "Rome"}},
}


@facades
@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
@pytest.mark.parametrize("vote", ["fields", "whole"])
@pytest.mark.parametrize("policy", ["all_members", "max_conf:2"])
def test_an_object_that_is_not_sure_enough_is_the_named_members(fitted, facade, mode, vote, policy):
    model = make(
        fitted, APART, facade, policy=policy, min_confidence=1.0, below_confidence="guesser", early_stop=True
    )
    result = call(model.with_structured_output(City, vote=vote, include_raw=True), mode)
    told = result["raw"].response_metadata["selectllm"]
    assert result["parsed"] == City(name="Paris", millions=4)
    assert (told["winner"], told["vote"]["decided_by"]) == ("guesser", "escalation")
    assert (told["rounds"], told["calls"]) == ((1, 5) if policy == "all_members" else (2, 3))


@facades
@pytest.mark.parametrize("vote", ["fields", "whole"])
def test_the_objects_vote_stands_where_the_named_members_is_not_valid(fitted, facade, vote):
    model = make(fitted, APART, facade, policy="all_members", min_confidence=1.0, below_confidence="reader")
    result = call(model.with_structured_output(City, vote=vote, include_raw=True), "invoke")
    assert result["parsed"].name in {"Rome", "Bonn", "Oslo", "Paris"}
    assert result["parsing_error"] is None
    told = result["raw"].response_metadata["selectllm"]
    assert told["vote"]["decided_by"] == "vote, because the member escalated to abstained"


@facades
def test_an_object_that_is_not_sure_enough_is_withheld_or_an_error(fitted, facade):
    silent = make(fitted, APART, facade, min_confidence=1.0, below_confidence="abstain")
    result = silent.with_structured_output(City, include_raw=True).invoke("Tell me about a city.")
    assert (result["parsed"], result["raw"].tool_calls) == (None, [])
    assert result["raw"].response_metadata["selectllm"]["abstained"]
    with pytest.raises(LowConfidenceError, match=r"less than min_confidence=1\. The message"):
        make(fitted, APART, facade, min_confidence=1.0).with_structured_output(City).invoke(
            "Tell me about a city."
        )
