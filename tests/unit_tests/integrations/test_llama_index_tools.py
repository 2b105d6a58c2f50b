"""Tools and objects that members vote on in LlamaIndex."""

import asyncio

import pytest

pytest.importorskip("llama_index.core")

from langchain_core.messages import AIMessage
from llama_index.core.agent.workflow import AgentStream, FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import (
    ToolCallBlock,
)
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from langchain_selectllm import VotingOutputParser
from langchain_selectllm.testing import ReplayChatModel
from tests.support.llamas import LETTERS, PlainLlama, ScriptedLlama, add, collect, make


def multiply(a: int, b: int) -> int:
    """The product of two numbers."""
    return a * b


ADD_3_4 = '[{"args": {"a": 3, "b": 4}, "name": "add"}]'
TOOLS = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(multiply)]


def agent_says(first):
    """Calls `first` and then tells the tool's result."""

    def say(messages, tools):
        if messages[-1].role.value == "tool":
            return f"The result is {messages[-1].content}."
        return first if tools else "no tools"

    return say


def adders(**says):
    right, floats, wrong = (
        [("add", {"a": 3, "b": 4})],
        [("add", {"b": 4.0, "a": 3.0})],
        [("multiply", {"a": 3, "b": 4})],
    )
    firsts = {
        "calculator": right,
        "clockmaker": floats,
        "generalist": wrong,
        "guesser": "7, I guess",
        "reader": wrong,
    } | says
    return {name: ScriptedLlama(agent_says(first), model=name) for name, first in firsts.items()}


class ToolChatModel(ReplayChatModel):
    """A LangChain chat model that calls `call` whenever it is offered tools."""

    call: dict = {}  # noqa: RUF012 - pydantic copies it

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        return self.bind(tools=tools, tool_choice=tool_choice)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        result = super()._generate(messages, stop, run_manager)
        if kwargs.get("tools") and messages[-1].type != "tool":
            result.generations[0].message = AIMessage("", tool_calls=[{"id": self.model, **self.call}])
        return result

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._generate(messages, stop, None, **kwargs)


def test_members_vote_on_tool_calls_whatever_their_order_and_number_format(fitted):
    three = adders(generalist=[("add", {"a": 3, "b": 4})])
    response = make(fitted, three).chat_with_tools(TOOLS, user_msg="Add 3 and 4.")
    told = response.additional_kwargs["selectllm"]
    # Three calls of add(3, 4), one of multiply(3, 4), and one text without a choice.
    assert told["vote"]["scores"] == {ADD_3_4: 3.0, ADD_3_4.replace("add", "multiply"): 1.0}
    assert told["answers"]["guesser"] is None
    (call,) = make(fitted).get_tool_calls_from_response(response)
    assert (call.tool_name, call.tool_kwargs) == ("add", {"a": 3, "b": 4})
    assert response.message.content is None


def test_members_see_the_tools_as_they_are(fitted):
    models = adders()
    make(fitted, models).chat_with_tools(TOOLS, user_msg="x", tool_required=True)
    (asked,) = models["reader"].asked
    assert asked["required"]
    assert asked["tools"] == [tool.metadata.to_openai_tool() for tool in TOOLS]


@pytest.mark.parametrize(
    ("given", "required", "passed_on"),
    [("auto", False, None), ("any", True, None), ("add", False, "add"), ("none", False, "none")],
)
def test_tool_choices_mean_the_same_for_every_member(fitted, given, required, passed_on):
    models = adders()
    make(fitted, models).chat_with_tools(TOOLS, user_msg="x", tool_choice=given)
    (asked,) = models["reader"].asked
    assert (asked["required"], asked.get("tool_choice")) == (required, passed_on)


def test_a_tool_choice_in_openais_words_is_understood(fitted):
    models = adders()
    choice = {"type": "function", "function": {"name": "add"}}
    make(fitted, models).chat_with_tools(TOOLS, user_msg="x", tool_choice=choice)
    assert models["reader"].asked[0]["tool_choice"] == "add"


def test_members_without_tools_do_not_vote_and_are_named(fitted):
    models = adders() | {"guesser": PlainLlama(), "reader": ReplayChatModel(default="The answer is (B).")}
    told = make(fitted, models).chat_with_tools(TOOLS, user_msg="x").additional_kwargs["selectllm"]
    assert told["left_out"] == dict.fromkeys(["guesser", "reader"], "cannot call tools")
    assert told["selection"]["members"] == list(told["answers"]) == ["calculator", "clockmaker", "generalist"]
    assert told["answer"] == ADD_3_4


def test_a_pool_without_tools_says_so(fitted):
    assert make(fitted).metadata.is_function_calling_model
    assert not make(fitted, {name: PlainLlama() for name in LETTERS}).metadata.is_function_calling_model


def test_wrapped_chat_models_keep_their_wrappers_when_tools_are_bound(fitted):
    right = ToolChatModel(model="right", call={"name": "add", "args": {"a": 3, "b": 4}}, default="")
    down = ToolChatModel(model="down", error=RuntimeError("down"))
    models = adders() | {
        "guesser": down.with_fallbacks([right]),
        "reader": right.with_retry().with_config(tags=["t"]),
    }
    told = make(fitted, models).chat_with_tools(TOOLS, user_msg="x").additional_kwargs["selectllm"]
    assert told["failures"] == {}
    assert told["answers"]["guesser"] == told["answers"]["reader"] == ADD_3_4


def test_one_call_is_kept_where_parallel_calls_are_not_allowed(fitted):
    twice = [("add", {"a": 1, "b": 2}), ("multiply", {"a": 3, "b": 4})]
    llm = make(fitted, adders(**dict.fromkeys(LETTERS, twice)))
    both = llm.chat_with_tools(TOOLS, user_msg="x", allow_parallel_tool_calls=True)
    one = llm.chat_with_tools(TOOLS, user_msg="x")
    assert [call.tool_name for call in llm.get_tool_calls_from_response(both)] == ["add", "multiply"]
    assert [call.tool_name for call in llm.get_tool_calls_from_response(one)] == ["add"]


def test_no_tool_call_is_an_error_only_where_one_is_expected(fitted):
    llm = make(fitted)
    response = llm.chat_with_tools(TOOLS, user_msg="x")
    assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
    with pytest.raises(ValueError, match="calls no tool"):
        llm.get_tool_calls_from_response(response)


def test_predict_and_call_runs_the_tool_that_won(fitted):
    llm = make(fitted, adders(generalist=[("add", {"a": 3, "b": 4})]))
    assert llm.predict_and_call(TOOLS, user_msg="Add 3 and 4.").response == "7"
    assert asyncio.run(llm.apredict_and_call(TOOLS, user_msg="Add 3 and 4.")).response == "7"


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


def test_structured_predictions_are_voted_on(fitted):
    right, wrong = [("Sum", {"a": 3, "b": 4})], [("Sum", {"a": 3, "b": 5})]
    says = {"calculator": right, "clockmaker": wrong, "generalist": right, "guesser": wrong, "reader": right}
    llm = make(fitted, adders(**says))
    prompt = PromptTemplate("Add {x}.")
    assert llm.structured_predict(Sum, prompt, x="3 and 4") == Sum(a=3, b=4)
    assert list(llm.stream_structured_predict(Sum, prompt, x="3 and 4"))[-1] == Sum(a=3, b=4)
    pieces = asyncio.run(collect(llm.astream_structured_predict(Sum, prompt, x="3 and 4")))
    assert pieces[-1] == Sum(a=3, b=4)


def test_calls_stand_where_llama_index_looks_for_them_too(fitted):
    twice = [("add", {"a": 1, "b": 2}), ("multiply", {"a": 3, "b": 4})]
    llm = make(fitted, adders(**dict.fromkeys(LETTERS, twice)))
    call = {
        "id": "generalist-0",
        "type": "function",
        "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'},
    }
    message = llm.chat_with_tools(TOOLS, user_msg="x").message
    assert message.additional_kwargs["tool_calls"] == [call]
    assert "tool_calls" not in make(fitted).chat([message]).message.additional_kwargs


# LlamaIndex's workflows look at every attribute of an agent, pydantic's deprecated ones included.
@pytest.mark.filterwarnings(
    "ignore::pydantic.PydanticDeprecatedSince20", "ignore::pydantic.PydanticDeprecatedSince211"
)
@pytest.mark.parametrize("streaming", [True, False])
async def test_a_function_agent_runs_real_tools_chosen_by_the_vote(fitted, streaming):
    called = []

    def add(a: int, b: int) -> int:
        """The sum of two numbers."""
        called.append((a, b))
        return a + b

    right = [("add", {"a": 3, "b": 4})]
    models = adders(clockmaker=right, guesser=right)
    models["reader"] = ToolChatModel(
        model="reader", call={"name": "add", "args": {"a": 3, "b": 4}}, default="The result is 7."
    )
    parser = VotingOutputParser(answer="number")
    agent = FunctionAgent(tools=[add, multiply], llm=make(fitted, models, parser=parser), streaming=streaming)
    handler = agent.run("Add 3 and 4.")
    streamed = [event async for event in handler.stream_events() if isinstance(event, AgentStream)]
    output = await handler
    assert called == [(3, 4)]
    assert [(call.tool_name, call.tool_output.content) for call in output.tool_calls] == [("add", "7")]
    assert output.response.content == "The result is 7."
    assert output.raw["selectllm"]["answer"] == "7"
    assert bool(streamed) is streaming
    # Every member saw the winner's call and the tool's result, under one id.
    history = models["generalist"].asked[-1]["messages"]
    assert [message.role.value for message in history] == ["user", "assistant", "tool"]
    (call,) = [block for block in history[1].blocks if isinstance(block, ToolCallBlock)]
    assert history[2].additional_kwargs["tool_call_id"] == call.tool_call_id


def thinks(a, b):
    """Says the steps of a ReAct agent in words: an action with two numbers, then what was observed."""

    def say(messages, tools):
        seen = messages[-1].content.partition("Observation: ")[2]
        if seen:
            return f"Thought: I can answer without using any more tools.\nAnswer: The answer is {seen}."
        return f'Thought: I need a tool.\nAction: add\nAction Input: {{"a": {a}, "b": {b}}}'

    return say


@pytest.mark.filterwarnings(
    "ignore::pydantic.PydanticDeprecatedSince20",
    "ignore::pydantic.PydanticDeprecatedSince211",
    # LlamaIndex's agent asks its own workflow for this.
    "ignore:is_running called from within a step",
)
async def test_the_steps_of_a_react_agent_are_voted_on_as_texts(fitted):
    """The page on conventions says so: not the call is voted on, but the last number of its text."""
    numbers = {"calculator": 30, "clockmaker": 3, "generalist": 30, "guesser": 3, "reader": 30}
    models = {
        name: ScriptedLlama(thinks(a, 40 if name == "reader" else 4), model=name, calls_functions=False)
        for name, a in numbers.items()
    }
    llm = make(fitted, models, parser=VotingOutputParser(answer="number"))
    output = await ReActAgent(tools=TOOLS, llm=llm, streaming=False).run("Add 3 and 4.")
    (call,) = output.tool_calls
    # Four of five say 4 at the end, so that 40 is out; which of 3 and 30 comes with it was not voted on.
    assert call.tool_kwargs["b"] == 4
    assert call.tool_kwargs["a"] in (3, 30)
    assert output.response.content == f"The answer is {call.tool_kwargs['a'] + 4}."
