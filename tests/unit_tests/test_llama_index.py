import asyncio
import base64
import json
import subprocess
import sys
import threading

import pytest

pytest.importorskip("llama_index.core")

from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages import ChatMessage as RoleMessage
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_selector import BaseSelector
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.base.response.schema import Response
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import MockLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.tools import FunctionTool, QueryEngineTool
from pydantic import BaseModel

from langchain_selectllm import Member, SelectLLMRouter, VotingOutputParser
from langchain_selectllm.exceptions import FanOutError, MemberMismatchError, PolicyError
from langchain_selectllm.llama_index import LlamaIndexChatModel, SelectLLM, SelectLLMSelector
from langchain_selectllm.llama_index.messages import to_langchain, to_llama_index
from langchain_selectllm.testing import ReplayChatModel, replay_models
from tests.llamas import PlainLlama, ScriptedLlama, llamas
from tests.worlds import scripted

LETTERS = {"calculator": "A", "clockmaker": "A", "generalist": "B", "guesser": "C", "reader": "A"}
CHOICE = VotingOutputParser(answer="choice")
FIELDS = {"policy": "all_members", "parser": CHOICE, "early_stop": False}


def make(fitted, models=None, **fields):
    return SelectLLM.from_models(fitted, models or llamas(LETTERS), **{**FIELDS, **fields})


def user(text):
    return [ChatMessage(role="user", content=text)]


async def collect(stream):
    return [piece async for piece in await stream]


def ask(llm, mode, prompt="Add 3 and 4."):
    """The last response of any of the eight ways to ask, and its text."""
    if mode.endswith("chat"):
        calls = {
            "chat": lambda: llm.chat(user(prompt)),
            "achat": lambda: asyncio.run(llm.achat(user(prompt))),
            "stream_chat": lambda: list(llm.stream_chat(user(prompt)))[-1],
            "astream_chat": lambda: asyncio.run(collect(llm.astream_chat(user(prompt))))[-1],
        }
        response = calls[mode]()
        return response, response.message.content
    calls = {
        "complete": lambda: llm.complete(prompt),
        "acomplete": lambda: asyncio.run(llm.acomplete(prompt)),
        "stream_complete": lambda: list(llm.stream_complete(prompt))[-1],
        "astream_complete": lambda: asyncio.run(collect(llm.astream_complete(prompt)))[-1],
    }
    response = calls[mode]()
    return response, response.text


every_mode = pytest.mark.parametrize(
    "mode",
    ["chat", "achat", "stream_chat", "astream_chat", "complete", "acomplete", "stream_complete", "astream_complete"],
)


# The LLM.


@every_mode
def test_the_reply_is_the_winners_with_the_decision_beside_it(fitted, mode):
    response, text = ask(make(fitted), mode)
    told = response.additional_kwargs["selectllm"]
    assert text == "The answer is (A)."
    assert (told["answer"], told["answers"], told["calls"]) == ("A", LETTERS, 5)
    assert told["vote"]["scores"] == {"A": 3.0, "B": 1.0, "C": 1.0}
    assert response.raw["selectllm"] == told
    assert response.raw["model"] == told["winner"]
    assert json.loads(json.dumps(told)) == told


@every_mode
def test_members_of_both_frameworks_vote_together(fitted, mode):
    both = scripted(LETTERS) | {
        "reader": ScriptedLlama("The answer is (A)."),
        "guesser": PlainLlama(reply="The answer is (C)."),
    }
    told = ask(make(fitted, both), mode)[0].additional_kwargs["selectllm"]
    assert told["answers"] == LETTERS
    assert told["failures"] == {}


@every_mode
def test_failing_members_are_recorded_and_the_rest_vote(fitted, mode):
    told = ask(make(fitted, llamas(LETTERS, errors=("calculator", "guesser"))), mode)[0].additional_kwargs["selectllm"]
    assert told["failures"]["guesser"] == {"error": "RuntimeError", "message": "guesser is down"}
    assert set(told["answers"]) == {"clockmaker", "generalist", "reader"}


@every_mode
def test_when_all_fail_one_error_carries_every_cause(fitted, mode):
    with pytest.raises(FanOutError, match="All 5 called members failed") as error:
        ask(make(fitted, llamas(LETTERS, errors=tuple(LETTERS))), mode)
    assert error.value.members == fitted.members


def test_it_answers_exactly_as_the_router_does(fitted, demo):
    fields = {"policy": "weighted_max_conf:3", "parser": VotingOutputParser(answer="number"), "early_stop": False}
    router = SelectLLMRouter(classifier=fitted, models=replay_models(demo[1]), **fields)
    replayed = {
        name: ScriptedLlama(lambda messages, tools, m=model: m.invoke(messages[-1].content).text, model=name)
        for name, model in replay_models(demo[1]).items()
    }

    def essence(told):
        return {key: value for key, value in told.items() if key not in {"latencies_s", "usage"}}

    for prompt in demo[1].texts[:10]:
        wanted = router.invoke(prompt)
        for llm in (SelectLLM(router=router), make(fitted, replayed, **fields)):
            for mode in ("complete", "achat"):
                response, text = ask(llm, mode, prompt)
                assert text == wanted.text
                assert essence(response.additional_kwargs["selectllm"]) == essence(wanted.response_metadata["selectllm"])


def test_it_loads_a_saved_classifier(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "router")
    llm = SelectLLM.from_pretrained(tmp_path / "router", llamas(LETTERS), **FIELDS)
    assert llm.complete("x").text == "The answer is (A)."


def test_mistakes_are_heard_of_at_construction(fitted):
    with pytest.raises(MemberMismatchError, match="Missing from the registry: 'reader'"):
        make(fitted, llamas(dict.fromkeys(list(LETTERS)[:4], "A")))
    with pytest.raises(PolicyError, match="does not fit the pool"):
        make(fitted, policy="max_conf:6")


def test_it_is_a_llama_index_llm_whose_records_hold_no_member(fitted):
    llm = make(fitted)
    assert isinstance(llm, LLM)
    assert llm.class_name() == "SelectLLM"
    assert "router" not in llm.to_dict()
    assert "router" not in llm.to_payload()


def test_its_windows_are_the_smallest_of_the_members_unless_told_otherwise(fitted):
    models = llamas(LETTERS) | {"guesser": PlainLlama(), "reader": ReplayChatModel(profile={"max_input_tokens": 1500})}
    metadata = make(fitted, models).metadata
    assert (metadata.context_window, metadata.num_output) == (1500, 64)
    assert metadata.is_chat_model
    assert metadata.model_name == "selectllm(calculator, clockmaker, generalist, guesser, reader)"
    assert SelectLLM(router=make(fitted).router, context_window=99).metadata.context_window == 99


def test_tokens_are_summed_over_the_members_and_counted_once(fitted):
    counter = TokenCountingHandler(tokenizer=str.split)
    llm = make(fitted)
    llm.callback_manager = CallbackManager([counter])
    response = llm.chat(user("x"))
    assert response.raw["usage"] == {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}
    assert response.additional_kwargs["total_tokens"] == 70
    assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (50, 20)


def test_prices_of_members_become_a_cost(fitted):
    priced = {name: Member(llm, 1.0, 2.0) for name, llm in llamas(LETTERS).items()}
    told = make(fitted, priced).complete("x").additional_kwargs["selectllm"]
    assert told["cost_usd"] == pytest.approx((50 * 1 + 20 * 2) / 1e6)


def test_settings_and_the_whole_conversation_reach_every_member(fitted):
    models = llamas(LETTERS)
    conversation = [
        ChatMessage(role="system", content="Be brief."),
        ChatMessage(role="user", content="one"),
        ChatMessage(role="assistant", content="two"),
        ChatMessage(role="user", content="three"),
    ]
    make(fitted, models).chat(conversation, temperature=0.3)
    for llm in models.values():
        (asked,) = llm.asked
        assert [(m.role.value, m.content) for m in asked["messages"]] == [(m.role.value, m.content) for m in conversation]
        assert asked["temperature"] == 0.3


def test_the_last_user_message_is_routed_on_unless_the_router_says_otherwise(fitted):
    wrapped = "Context information is below.\nQuery: Add 3 and 4.\nAnswer:"
    plain = make(fitted).complete(wrapped).additional_kwargs["selectllm"]["probabilities"]
    cut = make(fitted, text_of=lambda ms: ms[-1].text.partition("Query: ")[2].partition("\n")[0])
    probabilities = cut.complete(wrapped).additional_kwargs["selectllm"]["probabilities"]
    assert list(probabilities.values()) == fitted.predict_proba(["Add 3 and 4."])[0].tolist()
    assert plain != probabilities


def test_completion_prompts_are_formatted_once(fitted):
    models = llamas(LETTERS)
    llm = make(fitted, models)
    llm.completion_to_prompt = lambda text: f"<{text}>"
    llm.complete("x")
    llm.complete("y", formatted=True)
    assert [asked["messages"][0].content for asked in models["reader"].asked] == ["<x>", "y"]


def test_an_llm_without_async_runs_in_a_thread_so_that_the_loop_is_free(fitted):
    models = {name: PlainLlama() for name in LETTERS}
    asyncio.run(make(fitted, models).achat(user("x")))

    async def stream():
        return [chunk.text async for chunk in LlamaIndexChatModel(llm=models["reader"]).astream("x")]

    assert "".join(asyncio.run(stream())) == "The answer is (B)."
    assert all(threading.main_thread() not in llm.threads for llm in models.values())


@pytest.mark.parametrize("mode", ["stream_chat", "astream_chat", "stream_complete", "astream_complete"])
def test_one_chosen_member_streams_as_it_goes(fitted, mode):
    llm = make(fitted, policy="max_conf:1")
    given = user("Add 3 and 4.") if mode.endswith("chat") else "Add 3 and 4."
    stream = getattr(llm, mode)(given)
    pieces = asyncio.run(collect(stream)) if mode.startswith("a") else list(stream)
    assert [piece.delta for piece in pieces if piece.delta] == ["The", " answer", " is", " (A)."]
    assert str(pieces[1]) in {"The answer", "assistant: The answer"}
    assert pieces[-1].additional_kwargs["selectllm"]["calls"] == 1
    assert pieces[-1].raw["usage"]["total_tokens"] == 14


@pytest.mark.parametrize("mode", ["stream_chat", "astream_chat"])
def test_several_chosen_members_stream_the_winners_words_after_the_vote(fitted, mode):
    stream = getattr(make(fitted), mode)(user("x"))
    pieces = asyncio.run(collect(stream)) if mode == "astream_chat" else list(stream)
    assert "".join(piece.delta for piece in pieces) == "The answer is (A)."
    assert pieces[-1].message.content == "The answer is (A)."
    assert pieces[-1].raw["selectllm"]["calls"] == 5


def test_cancelling_a_call_cancels_every_member(fitted):
    cancelled = []
    all_called = asyncio.Barrier(6)

    class Waiting(ScriptedLlama):
        async def achat(self, messages, **kwargs):
            try:
                await all_called.wait()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(self.model)
                raise

    async def give_up():
        task = asyncio.create_task(make(fitted, {name: Waiting(model=name) for name in LETTERS}).achat(user("x")))
        await all_called.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert sorted(cancelled) == sorted(LETTERS)


# Tools.


def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


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
    right, floats, wrong = [("add", {"a": 3, "b": 4})], [("add", {"b": 4.0, "a": 3.0})], [("multiply", {"a": 3, "b": 4})]
    firsts = {"calculator": right, "clockmaker": floats, "generalist": wrong, "guesser": "7, I guess", "reader": wrong} | says
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
    models = adders() | {"guesser": down.with_fallbacks([right]), "reader": right.with_retry().with_config(tags=["t"])}
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
    assert llm.structured_predict(Sum, PromptTemplate("Add {x}."), x="3 and 4") == Sum(a=3, b=4)


# LlamaIndex's workflows look at every attribute of an agent, pydantic's deprecated ones included.
@pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20", "ignore::pydantic.PydanticDeprecatedSince211")
@pytest.mark.parametrize("streaming", [True, False])
async def test_a_function_agent_runs_real_tools_chosen_by_the_vote(fitted, streaming):
    called = []

    def add(a: int, b: int) -> int:
        """The sum of two numbers."""
        called.append((a, b))
        return a + b

    right = [("add", {"a": 3, "b": 4})]
    models = adders(clockmaker=right, guesser=right)
    models["reader"] = ToolChatModel(model="reader", call={"name": "add", "args": {"a": 3, "b": 4}}, default="The result is 7.")
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


# LlamaIndex LLMs as members of a LangChain router.


def test_a_llama_index_llm_is_a_member_of_a_langchain_router(fitted):
    models = {name: LlamaIndexChatModel(llm=llm) for name, llm in llamas(LETTERS).items()}
    counter = UsageMetadataCallbackHandler()
    router = SelectLLMRouter(classifier=fitted, models=models, **FIELDS)
    message = router.invoke("x", {"callbacks": [counter]})
    assert message.text == "The answer is (A)."
    assert {name: usage["total_tokens"] for name, usage in counter.usage_metadata.items()} == dict.fromkeys(LETTERS, 14)


def test_a_llama_index_llm_streams_its_own_pieces():
    model = LlamaIndexChatModel(llm=ScriptedLlama("one two three", model="m"))

    async def stream():
        return [chunk async for chunk in model.astream("x")]

    for chunks in (list(model.stream("x")), asyncio.run(stream())):
        assert [chunk.text for chunk in chunks] == ["one", " two", " three", ""]
        whole = sum(chunks[1:], chunks[0])
        assert whole.usage_metadata == {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}
        assert whole.response_metadata["model_name"] == "m"


def test_langchain_tools_are_offered_to_a_llama_index_llm():
    llm = ScriptedLlama([("add", {"a": 1, "b": 2})], model="m")
    model = LlamaIndexChatModel(llm=llm).bind_tools([add], tool_choice="any")
    assert [(c["name"], c["args"]) for c in model.invoke("x").tool_calls] == [("add", {"a": 1, "b": 2})]
    whole = sum(list(model.stream("x"))[1:], next(iter(model.stream("x"))))
    assert [(c["name"], c["args"]) for c in whole.tool_calls] == [("add", {"a": 1, "b": 2})]
    offered = llm.asked[0]["tools"][0]["function"]
    assert (offered["name"], set(offered["parameters"]["properties"])) == ("add", {"a", "b"})
    assert llm.asked[0]["required"]


def test_an_llm_without_functions_refuses_tools():
    with pytest.raises(NotImplementedError, match=r"'plain' \(custom_llm\) cannot call functions"):
        LlamaIndexChatModel(llm=PlainLlama()).bind_tools([add])


def test_stop_words_reach_the_llm():
    llm = ScriptedLlama()
    LlamaIndexChatModel(llm=llm).invoke("x", stop=["END"])
    assert llm.asked[0]["stop"] == ["END"]


def test_a_reply_without_counts_has_no_usage():
    assert LlamaIndexChatModel(llm=MockLLM()).invoke("x").usage_metadata is None


def test_two_llms_of_other_settings_share_no_cache_entry():
    one, two = (LlamaIndexChatModel(llm=PlainLlama(reply=reply)) for reply in "ab")
    assert one._identifying_params != two._identifying_params


# Messages.

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


@pytest.mark.parametrize(
    "message",
    [
        ChatMessage(role="system", content="s"),
        ChatMessage(role="user", content="u"),
        ChatMessage(role="assistant", content="a"),
        ChatMessage(role="user", blocks=[TextBlock(text="a"), TextBlock(text="b")]),
        ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="add", tool_kwargs={"a": 1})]),
        ChatMessage(role="tool", content="7", additional_kwargs={"tool_call_id": "1"}),
        ChatMessage(role="user", blocks=[ImageBlock(image=PNG, image_mimetype="image/png"), TextBlock(text="what?")]),
        ChatMessage(role="user", blocks=[ImageBlock(url="https://example.org/x.png")]),
        ChatMessage(role="user", blocks=[AudioBlock(audio=b"RIFFxx", format="wav")]),
        ChatMessage(role="user", blocks=[DocumentBlock(data=b"%PDF-1.4", document_mimetype="application/pdf", title="x.pdf")]),
        ChatMessage(
            role="assistant",
            blocks=[ThinkingBlock(content="hm", additional_information={"signature": "s"}), TextBlock(text="a")],
        ),
        ChatMessage(role="user", blocks=[TextBlock(text="a"), CachePoint(cache_control=CacheControl(type="ephemeral"))]),
    ],
    ids=lambda message: "+".join([message.role.value, *(block.block_type for block in message.blocks)]),
)
def test_messages_come_back_as_they_went(message):
    there = to_langchain(message)
    assert to_llama_index(there) == message
    json.dumps(there.model_dump())


def test_langchain_sees_only_what_it_has_words_for():
    thought = ChatMessage(role="assistant", blocks=[ThinkingBlock(content="hm"), TextBlock(text="a")])
    assert to_langchain(thought).content == "a"
    picture = to_langchain(ChatMessage(role="user", blocks=[ImageBlock(image=PNG, image_mimetype="image/png")]))
    assert picture.content == [{"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"}]


def test_thinking_of_the_winner_is_kept(fitted):
    blocks = [ThinkingBlock(content="hm", additional_information={"signature": "s"}), TextBlock(text="The answer is (A).")]
    response = make(fitted, {name: ScriptedLlama(blocks) for name in LETTERS}).chat(user("x"))
    assert response.message.blocks == blocks


def test_arguments_as_json_text_are_read():
    message = ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_name="add", tool_kwargs='{"a": 1}', tool_call_id="1")])
    assert to_langchain(message).tool_calls[0]["args"] == {"a": 1}


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (RoleMessage("x", role="judge"), "no counterpart for a ChatMessage"),
        (HumanMessage([{"type": "video", "url": "https://example.org/x.mp4"}]), "no counterpart for a 'video' block"),
    ],
)
def test_what_llama_index_has_no_word_for_is_refused(message, complaint):
    with pytest.raises(ValueError, match=complaint):
        to_llama_index(message)


def test_langchain_conversations_are_understood():
    said = [SystemMessage("s"), HumanMessage("h"), AIMessage("a"), ToolMessage("t", tool_call_id="1")]
    assert [(m.role.value, m.content) for m in map(to_llama_index, said)] == [
        ("system", "s"),
        ("user", "h"),
        ("assistant", "a"),
        ("tool", "t"),
    ]


# The selector.


class Engine(BaseQueryEngine):
    """Answers every query with its name."""

    def __init__(self, name):
        super().__init__(None)
        self.name = name

    def _query(self, query_bundle):
        return Response(response=self.name)

    async def _aquery(self, query_bundle):
        return Response(response=self.name)

    def _get_prompt_modules(self):
        return {}


def engines(names):
    return [QueryEngineTool.from_defaults(Engine(name), name=name, description=f"Asks {name}.") for name in names]


def route(engine, mode, query):
    return engine.query(query) if mode == "sync" else asyncio.run(engine.aquery(query))


sync_and_async = pytest.mark.parametrize("mode", ["sync", "async"])
READING = "How many letters has the word river?"


@sync_and_async
def test_a_router_query_engine_asks_the_most_probable_engine(fitted, mode):
    # In another order than the classifier's: names decide, not places.
    names = list(reversed(fitted.members))
    engine = RouterQueryEngine(SelectLLMSelector(fitted), engines(names), llm=MockLLM())
    response = route(engine, mode, READING)
    probability = fitted.predict_proba([READING])[0].max()
    assert str(response) == "reader"
    assert response.metadata["selector_result"].reason == f"p={probability:.2f}"
    assert response.metadata["selector_result"].ind == names.index("reader")


@sync_and_async
def test_several_engines_are_asked_the_most_probable_first(fitted, mode):
    engine = RouterQueryEngine(SelectLLMSelector(fitted, policy="max_conf:2"), engines(fitted.members), llm=MockLLM())
    response = route(engine, mode, READING)
    probabilities = fitted.predict_proba([READING])[0]
    best = sorted(range(5), key=lambda k: -probabilities[k])[:2]
    assert response.metadata["selector_result"].inds == best
    assert response.metadata["selector_result"].reasons == [f"p={probabilities[k]:.2f}" for k in best]
    assert all(fitted.members[k] in str(response) for k in best)


@sync_and_async
def test_a_selection_is_never_empty(fitted, mode):
    selector = SelectLLMSelector(fitted, policy="labelled_max_conf:3")
    choices = [tool.metadata for tool in engines(fitted.members)]
    for query in ("", "zzz", READING):
        result = selector.select(choices, query) if mode == "sync" else asyncio.run(selector.aselect(choices, query))
        assert 1 <= len(result.inds) <= 3
        assert len(result.inds) == len(result.reasons) == len(set(result.inds))


def test_choices_must_be_named_after_the_members(fitted):
    with pytest.raises(MemberMismatchError, match=r"the choices are named \('a', None\)"):
        SelectLLMSelector(fitted).select([engines("a")[0].metadata, "only described"], "x")
    with pytest.raises(PolicyError, match="does not fit the pool"):
        SelectLLMSelector(fitted, policy="max_conf:6")


def test_a_selector_loads_a_saved_classifier_and_has_no_prompts(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "router")
    selector = SelectLLMSelector.from_pretrained(tmp_path / "router", policy="all_members")
    selector.update_prompts({})
    assert isinstance(selector, BaseSelector)
    assert selector.get_prompts() == {}
    assert len(selector.select([tool.metadata for tool in engines(fitted.members)], "x").inds) == 5


def test_without_llama_index_the_error_names_the_pip_line():
    code = """
import sys
sys.modules["llama_index"] = None
from langchain_selectllm.exceptions import MissingDependencyError
try:
    import langchain_selectllm.llama_index
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs llama-index" in done.stdout
    assert 'pip install "langchain-selectllm[llama-index]"' in done.stdout
