import asyncio
import functools
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_core.tools import tool

from langchain_selectllm import VotingOutputParser
from langchain_selectllm.answers.json_value import canonical_json
from langchain_selectllm.answers.tool_calls import canonical_calls
from langchain_selectllm.exceptions import ToolSupportError
from langchain_selectllm.members.tool_binding import bind_model
from langchain_selectllm.testing import ReplayChatModel
from tests.support.routers import make_tool_router
from tests.support.tool_models import ToolModel, tool_models
from tests.support.tools import add


@tool
def weather(city: str) -> str:
    """Weather in a city."""
    return f"Sunny in {city}."


def calls(*named):
    return [{"name": name, "args": args, "id": str(i)} for i, (name, args) in enumerate(named)]


def test_equal_calls_are_equal_whatever_their_order_and_numerals():
    one = calls(("add", {"a": 3, "b": 0.30000000000000004}), ("weather", {"city": "Rome"}))
    other = calls(("weather", {"city": "Rome"}), ("add", {"b": 0.3, "a": 3.0}))
    assert canonical_calls(one) == canonical_calls(other)


@pytest.mark.parametrize(
    "other",
    [
        calls(("add", {"a": 3, "b": 5})),
        calls(("add", {"a": "3", "b": 4})),
        calls(("plus", {"a": 3, "b": 4})),
        calls(("add", {"a": 3})),
        calls(("add", {"a": 3, "b": 4}), ("add", {"a": 3, "b": 4})),
        calls(("add", {"a": True, "b": 4})),
    ],
)
def test_other_calls_are_other_answers(other):
    assert canonical_calls(other) != canonical_calls(calls(("add", {"a": 3, "b": 4})))


def test_whole_numbers_are_compared_exactly_and_others_to_twelve_digits():
    assert canonical_json(1234567890123) == canonical_json(1234567890123.0)
    assert canonical_json(1234567890123.0) != canonical_json(1234567890124.0)
    assert canonical_json(3.0000000000001) == canonical_json(3)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), json_values, max_size=3), min_size=1, max_size=4), st.randoms())
def test_the_order_of_calls_and_arguments_never_matters(arguments, random):
    named = [("tool", args) for args in arguments]
    shuffled = [(name, dict(random.sample(list(args.items()), len(args)))) for name, args in named]
    random.shuffle(shuffled)
    assert canonical_calls(calls(*named)) == canonical_calls(calls(*shuffled))


def test_a_reply_with_calls_votes_with_them_and_an_unreadable_call_abstains():
    parser = VotingOutputParser()
    call = calls(("add", {"a": 1}))
    broken = {"name": "add", "args": "{", "id": "1", "error": "no JSON", "type": "invalid_tool_call"}
    assert parser.extract(AIMessage("I add.", tool_calls=call)) == parser.extract(
        AIMessage("", tool_calls=call)
    )
    assert parser.extract(AIMessage("I add.", tool_calls=call)) != parser.extract(AIMessage("I add."))
    assert parser.extract(AIMessage("I add.", invalid_tool_calls=[broken])) is None
    assert parser.extract(AIMessage("I add.", tool_calls=call, invalid_tool_calls=[broken])) is None
    assert (
        parser.count(
            [AIMessage("x", tool_calls=call), AIMessage("y", tool_calls=call), AIMessage("x")]
        ).support
        == 2 / 3
    )


MODES = {
    "invoke": lambda model, prompt: model.invoke(prompt),
    "ainvoke": lambda model, prompt: asyncio.run(model.ainvoke(prompt)),
    "stream": lambda model, prompt: functools.reduce(operator.add, model.stream(prompt)),
    "batch": lambda model, prompt: model.batch([prompt])[0],
}
every_mode = pytest.mark.parametrize("mode", MODES)
facades = pytest.mark.parametrize("facade", ["router", "chat"])


def as_facade(router, facade):
    return router if facade == "router" else router.as_chat_model()


@every_mode
@facades
def test_the_call_that_most_members_make_wins_with_its_own_message(fitted, mode, facade):
    models = tool_models(
        calculator={"args": {"a": 3.0, "b": 4.0}},
        clockmaker={"args": {"b": 4, "a": 3}},
        generalist={"says": "It is 7."},
        guesser={"args": {"a": 3, "b": 5}},
        reader={"says": "It is 7."},
    )
    message = MODES[mode](
        as_facade(make_tool_router(fitted, models), facade).bind_tools([add]), "Add 3 and 4."
    )
    told = message.response_metadata["selectllm"]
    # Two calls of add(3, 4) tie with two equal texts; the most probable pair wins, and nothing of the others is in it.
    assert told["vote"]["scores"] == {
        '[{"args": {"a": 3, "b": 4}, "name": "add"}]': 2.0,
        "it is 7": 2.0,
        '[{"args": {"a": 3, "b": 5}, "name": "add"}]': 1.0,
    }
    assert told["vote"]["decided_by"] == "tie rule"
    rates = dict(zip(fitted.members, fitted.pool.base_rates, strict=True))
    if rates["calculator"] + rates["clockmaker"] > rates["generalist"] + rates["reader"]:
        assert (message.text, [call["args"] for call in message.tool_calls]) == ("", [{"a": 3, "b": 4}])
    else:
        assert (message.text, message.tool_calls) == ("It is 7.", [])


@every_mode
@facades
def test_members_without_tools_leave_the_selection_by_name(fitted, mode, facade):
    models = {**tool_models(), "reader": ReplayChatModel(model="reader", default="no tools")}
    models["guesser"] = ToolModel(model="guesser", profile={"tool_calling": False})
    bound = as_facade(make_tool_router(fitted, models), facade).bind_tools([add])
    told = MODES[mode](bound, "Add 3 and 4.").response_metadata["selectllm"]
    assert told["left_out"] == {"guesser": "cannot call tools", "reader": "cannot call tools"}
    assert told["selection"]["members"] == ["calculator", "clockmaker", "generalist"]


def test_the_most_probable_capable_members_take_the_free_places(fitted):
    prompt = "How many letters has the word river?"
    order = [fitted.members[k] for k in fitted.predict_proba([prompt])[0].argsort()[::-1]]
    models = tool_models()
    models[order[0]] = ReplayChatModel(model="reader", default="no tools")
    bound = make_tool_router(fitted, models, policy="max_conf:2").bind_tools([add])
    assert set(bound.decide(prompt).selected_members) == set(order[1:3])
    assert order[0] not in [fitted.members[k] for k in bound.decide(prompt).reserve]


@facades
def test_a_pool_without_tools_is_heard_of_when_binding(fitted, facade):
    models = {name: ReplayChatModel(model=name, default="x") for name in fitted.members}
    with pytest.raises(ToolSupportError, match="No member can call tools: calculator, clockmaker"):
        as_facade(make_tool_router(fitted, models), facade).bind_tools([add])


def names_of(kwargs):
    return [entry["function"]["name"] for entry in kwargs["tools"]]


def test_wrappers_are_applied_again_around_the_bound_model():
    raw = ToolModel(says="x")
    wrapped = raw.bind(stop=["s"]).with_config(tags=["t"]).with_retry(stop_after_attempt=2)
    bound = bind_model(wrapped, [add], tool_choice="any")
    assert (bound.config["tags"], bound.bound.max_attempt_number) == (["t"], 2)
    bound.invoke("x")
    assert (raw.calls[-1]["stop"], names_of(raw.calls[-1]), raw.calls[-1]["tool_choice"]) == (
        ["s"],
        ["add"],
        "any",
    )


def test_tools_bound_before_are_replaced():
    raw = ToolModel(says="x")
    bind_model(raw.bind_tools([add], tool_choice="any"), [weather]).invoke("x")
    assert (names_of(raw.calls[-1]), raw.calls[-1]["tool_choice"]) == (["weather"], None)


def test_fallbacks_sequences_and_configurable_fields_are_bound_inside():
    down, spare, step = ToolModel(error=RuntimeError("down")), ToolModel(says="spare"), ToolModel(says="step")
    assert bind_model(down.with_fallbacks([spare]), [add]).invoke("x").text == "spare"
    assert names_of(spare.calls[-1]) == ["add"]
    assert bind_model(RunnableLambda(lambda text: text) | step, [add]).invoke("x").text == "step"
    assert names_of(step.calls[-1]) == ["add"]
    field = ToolModel().configurable_fields(model=ConfigurableField(id="name"))
    reply = bind_model(field, [add]).invoke("Add 1 and 2", {"configurable": {"name": "other"}})
    assert (reply.response_metadata["model_name"], reply.tool_calls[0]["args"]) == ("other", {"a": 1, "b": 2})


def test_a_configurable_router_is_a_member_that_can_call_tools(fitted):
    router = make_tool_router(fitted).configurable_fields(max_calls=ConfigurableField(id="max_calls"))
    reply = bind_model(router, [add]).invoke("Add 3 and 4.", {"configurable": {"max_calls": 2}})
    assert (reply.tool_calls[0]["args"], reply.response_metadata["selectllm"]["calls"]) == (
        {"a": 3, "b": 4},
        2,
    )
    without = make_tool_router(
        fitted, {name: ReplayChatModel(model=name, default="x") for name in fitted.members}
    )
    assert bind_model(without.configurable_fields(max_calls=ConfigurableField(id="max_calls")), [add]) is None


def test_a_fallback_without_tools_makes_its_member_leave():
    assert bind_model(ToolModel().with_fallbacks([ReplayChatModel()]), [add]) is None
    assert bind_model(RunnableLambda(lambda text: AIMessage(text)), [add]) is None


@facades
def test_fallbacks_around_us_keep_our_tools(fitted, facade):
    down = tool_models(**{name: {"error": RuntimeError("down")} for name in fitted.members})
    chain = as_facade(make_tool_router(fitted, down), facade).with_fallbacks(
        [as_facade(make_tool_router(fitted), facade)]
    )
    assert chain.bind_tools([add]).invoke("Add 3 and 4.").tool_calls[0]["args"] == {"a": 3, "b": 4}


def test_fallbacks_around_us_stay_around_the_chat_model(fitted):
    down = tool_models(**{name: {"error": RuntimeError("down")} for name in fitted.members})
    chats = make_tool_router(fitted, down).with_fallbacks([make_tool_router(fitted)]).as_chat_model()
    assert [type(model).__name__ for model in chats.runnables] == ["ChatSelectLLM"] * 2
    assert chats.invoke("x").response_metadata["selectllm"]["failures"] == {}


@facades
def test_tool_choice_and_further_settings_reach_the_members(fitted, facade):
    models = tool_models()
    model = as_facade(make_tool_router(fitted, models), facade)
    reply = model.bind_tools([add, weather], tool_choice="weather", parallel_tool_calls=False).invoke(
        "Add 'Rome'."
    )
    assert reply.tool_calls[0]["name"] == "weather"
    assert all(one.calls[-1]["parallel_tool_calls"] is False for one in models.values())


@facades
def test_settings_without_tools_reach_the_members_too(fitted, facade):
    models = tool_models()
    model = as_facade(make_tool_router(fitted, models), facade)
    model.bind_tools([], response_format={"type": "json_object"}, strict=True).invoke("x")
    for model in models.values():
        (given,) = model.calls
        assert (given["response_format"], given["strict"]) == ({"type": "json_object"}, True)
