"""Replies in JSON text, prescribed by `response_format`, are voted on as objects on every path."""

import asyncio
import json

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import (
    ProviderStrategy,
    StructuredOutputValidationError,
    ToolStrategy,
)
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from langchain_selectllm import VotingOutputParser
from langchain_selectllm.exceptions import AnswerError
from langchain_selectllm.integrations.agent_middleware import SelectLLMMiddleware
from langchain_selectllm.routing.response_format import response_structure
from langchain_selectllm.routing.structured_vote import StructuredVote
from tests.support.message_models import MessageModel
from tests.support.routers import as_facade, call, make_router, metadata_of
from tests.support.tool_models import ToolModel, tool_models
from tests.support.tools import City, Sum, add

SCHEMA = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "Sum", "schema": SCHEMA}}
EIGHT_SEVEN_SEVEN = {"calculator": '{"total": 8}', "clockmaker": '{"total": 7}', "generalist": '{"total": 7}'}
QUESTION = {"messages": "What is the total?"}


def native(texts, members):
    """Members with native JSON and without tools; those that `texts` does not name give no object."""
    return {
        name: MessageModel(
            model=name,
            message=AIMessage(texts.get(name, "I do not know.")),
            profile={"structured_output": True},
        )
        for name in members
    }


def make(fitted, texts=EIGHT_SEVEN_SEVEN, **fields):
    models = fields.pop("models", None) or native(texts, fitted.members)
    return make_router(fitted, models, **{"parser": VotingOutputParser(answer="number"), **fields})


def run(agent, mode, given=QUESTION):
    return agent.invoke(given) if mode == "invoke" else asyncio.run(agent.ainvoke(given))


facades = pytest.mark.parametrize("facade", ["router", "chat"])
modes = pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
STRATEGIES = {"auto": Sum, "provider": ProviderStrategy(Sum)}
strategies = pytest.mark.parametrize("strategy", STRATEGIES)


@facades
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"response_format": FORMAT},
        {"response_format": Sum},
        {"response_format": {**SCHEMA, "title": "Sum"}},
        {"text": {"format": {"type": "json_schema", "name": "Sum", "schema": SCHEMA}}},
    ],
    ids=["json_schema", "class", "bare schema", "text.format"],
)
def test_objects_in_json_text_are_voted_on(fitted, facade, mode, arguments):
    message = call(as_facade(make(fitted), facade), "What is the total?", mode, None, **arguments)
    told = metadata_of(message)
    assert json.loads(message.text) == {"total": 7}
    assert told["answers"]["calculator"] == '{"total": 8}'
    assert told["answers"]["reader"] is None
    assert told["support"] == pytest.approx(2 / 3)


@facades
def test_a_bound_response_format_is_voted_on_too(fitted, facade):
    model = as_facade(make(fitted), facade)
    for bound in (model.bind(response_format=FORMAT), model.bind_tools([], response_format=FORMAT)):
        assert json.loads(bound.invoke("x").text) == {"total": 7}
    # Another binding prescribes nothing.
    plain = model.bind_tools([], temperature=0.5).invoke("x")
    assert "fields" not in metadata_of(plain)


def test_every_member_gets_the_response_format_whether_it_has_tools_or_not(fitted):
    models = native(EIGHT_SEVEN_SEVEN, fitted.members)
    models["reader"] = RunnableLambda(lambda prompt: prompt) | models["reader"]
    message = make(fitted, models=models).bind_tools([], response_format=FORMAT).invoke("x")
    assert metadata_of(message)["left_out"] == {}
    raw = {**models, "reader": models["reader"].steps[-1]}
    assert [model.calls for model in raw.values()] == [[{"response_format": FORMAT}]] * 5


@strategies
@modes
@facades
def test_an_agents_structured_response_is_the_majoritys(fitted, facade, mode, strategy):
    models = None
    if facade == "router" and strategy == "auto":
        # LangChain takes a Runnable for a model without native JSON, and gives it a tool.
        models = tool_models(
            calculator={"args": {"total": 8}},
            clockmaker={"args": {"total": 7}},
            generalist={"args": {"total": 7}},
            guesser={"says": "?"},
            reader={"says": "?"},
        )
    model = as_facade(make(fitted, models=models), facade)
    agent = create_agent(model, [], response_format=STRATEGIES[strategy])
    assert run(agent, mode)["structured_response"] == Sum(total=7)


@strategies
@modes
def test_the_middlewares_structured_response_is_the_majoritys(fitted, mode, strategy):
    never = ToolModel(model="never", error=AssertionError("the agent's own model was called"))
    agent = create_agent(
        never, [], middleware=[SelectLLMMiddleware(make(fitted))], response_format=STRATEGIES[strategy]
    )
    result = run(agent, mode)
    told = metadata_of(result["messages"][-1])
    assert result["structured_response"] == Sum(total=7)
    assert told["left_out"] == {}
    # Replies that are no objects are errors of the agent's own parser: they abstain, and no member failed.
    assert told["failures"] == {}
    assert told["abstentions"] == {"guesser": "unreadable", "reader": "unreadable"}


def in_words(fitted):
    """A middleware whose members all reply in words where an object is prescribed."""
    return SelectLLMMiddleware(make(fitted, {}))


@modes
def test_an_agent_whose_members_all_give_no_object_gets_the_agents_own_error(fitted, mode):
    agent = create_agent(
        ToolModel(), [], middleware=[in_words(fitted)], response_format=ProviderStrategy(Sum)
    )
    with pytest.raises(StructuredOutputValidationError, match="Failed to parse structured output for tool"):
        run(agent, mode)


@modes
def test_a_withheld_object_is_no_error_of_the_agents_parser(fitted, mode):
    router = make(fitted, {}, min_confidence=0.9, below_confidence="abstain")
    agent = create_agent(
        ToolModel(), [], middleware=[SelectLLMMiddleware(router)], response_format=ProviderStrategy(Sum)
    )
    result = run(agent, mode)
    assert metadata_of(result["messages"][-1])["abstained"]
    assert result.get("structured_response") is None


@modes
def test_beside_tools_invalid_arguments_of_the_schemas_call_abstain(fitted, mode):
    # Two equal calls that are not valid, against one that is: the agent's own parser refuses the two.
    models = tool_models(
        calculator={"args": {"total": "many"}},
        clockmaker={"args": {"total": "many"}},
        generalist={"args": {"total": 7}},
        guesser={"error": RuntimeError("down")},
        reader={"error": RuntimeError("down")},
    )
    router = make(fitted, models=models, parser=VotingOutputParser())
    strategy = ToolStrategy(Sum, handle_errors=False)
    agent = create_agent(ToolModel(), [], middleware=[SelectLLMMiddleware(router)], response_format=strategy)
    result = run(agent.with_config(recursion_limit=5), mode)
    told = metadata_of(result["messages"][1])
    assert result["structured_response"] == Sum(total=7)
    assert list(told["failures"]) == ["guesser", "reader"]
    assert told["abstentions"] == dict.fromkeys(["calculator", "clockmaker"], "invalid tool call")


@modes
@pytest.mark.parametrize("where", ["chat model", "middleware"])
def test_the_structured_response_is_put_together_from_the_fields_that_win(fitted, mode, where):
    # Rome 2 of 3, three million 2 of 3, France 2 of 3: an object that nobody gave.
    texts = {
        "calculator": '{"name": "Rome", "millions": 3, "country": "Italy"}',
        "clockmaker": '{"name": "Rome", "millions": 4, "country": "France"}',
        "generalist": '```json\n{"name": "Paris", "millions": 3, "country": "France"}\n```',
    }
    router = make(fitted, texts)
    if where == "chat model":
        agent = create_agent(router.as_chat_model(), [], response_format=City)
    else:
        middleware = SelectLLMMiddleware(make(fitted, texts))
        agent = create_agent(ToolModel(), [], middleware=[middleware], response_format=ProviderStrategy(City))
    result = run(agent, mode)
    assert result["structured_response"] == City(name="Rome", millions=3, country="France")


def test_tool_calls_on_the_way_to_an_object_are_voted_on_as_calls(fitted):
    router = make(fitted, models=tool_models(guesser={"says": '{"total": 8}'}))
    message = router.bind_tools([add], response_format=FORMAT).invoke("Add 3 and 4.")
    assert message.tool_calls[0]["args"] == {"a": 3, "b": 4}
    assert metadata_of(message)["answers"]["guesser"] == '{"total": 8}'


def test_a_step_with_min_confidence_no_longer_raises(fitted):
    texts = dict.fromkeys(fitted.members, '{"total": 7}')
    router = make(fitted, texts, min_confidence=0.1)
    message = router.invoke("What is the total?", response_format=FORMAT)
    assert metadata_of(message)["confidence"] > 0.1


def test_any_object_votes_whole_without_a_schema(fitted):
    texts = {"calculator": '{"a": 1}', "clockmaker": '{"b": 2, "a": 1}', "generalist": '{"a": 1, "b": 2.0}'}
    message = make(fitted, texts).invoke("x", response_format={"type": "json_object"})
    assert json.loads(message.text) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "arguments",
    [{}, {"response_format": {"type": "text"}}, {"response_format": "json"}, {"text": "x"}],
)
def test_other_arguments_prescribe_no_object(arguments):
    assert response_structure(arguments) is None


@facades
def test_an_invalid_schema_is_an_error_before_any_call(fitted, facade):
    models = native(EIGHT_SEVEN_SEVEN, fitted.members)
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "objekt"}}}
    with pytest.raises(AnswerError, match="The JSON schema is not valid"):
        as_facade(make(fitted, models=models), facade).invoke("x", response_format=form)
    assert [model.calls for model in models.values()] == [[]] * 5


def test_a_call_of_the_schema_that_was_cut_off_abstains():
    tool_call = {"name": "Sum", "args": {"total": 1}, "id": "1"}
    message = AIMessage("", tool_calls=[tool_call])
    cut_off = AIMessage("", tool_calls=[tool_call], response_metadata={"finish_reason": "length"})
    structure = StructuredVote(Sum)
    assert (structure.read(message), structure.read(cut_off)) == ({"total": 1}, None)


def test_the_metadata_say_why_each_member_abstains(fitted):
    refusal = AIMessage("", additional_kwargs={"refusal": "I cannot."})
    cut_off = AIMessage('{"total": ', response_metadata={"finish_reason": "length"})
    messages = {
        "calculator": AIMessage('{"total": 7}'),
        "clockmaker": AIMessage('{"total": "many"}'),
        "generalist": refusal,
        "guesser": cut_off,
        "reader": AIMessage("I do not know."),
    }
    models = {
        name: MessageModel(model=name, message=message, profile={"structured_output": True})
        for name, message in messages.items()
    }
    told = metadata_of(make(fitted, models=models).invoke("x", response_format=FORMAT))
    assert told["abstentions"] == {
        "clockmaker": "invalid object",
        "generalist": "refused",
        "guesser": "cut off",
        "reader": "unreadable",
    }
