"""Agents of LangChain and LangGraph over real tools, with the router and with the chat model as their model."""

import warnings

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from langgraph.types import Command, interrupt

from langchain_selectllm.testing import ReplayChatModel
from tests.support.agents import QUESTION, make_model, modes, run, streamed, words_of
from tests.support.tool_models import tool_models
from tests.support.tools import Sum, add
from tests.support.traces import Recorder, flatten

facades = pytest.mark.parametrize("facade", ["router", "chat"])


def react_agent(model, tools, **settings):
    with warnings.catch_warnings():
        # Moved to langchain.agents, and still what many graphs stand on.
        warnings.simplefilter("ignore")
        return create_react_agent(model, tools, **settings)


AGENTS = {"create_agent": create_agent, "create_react_agent": react_agent}


@facades
@modes
@pytest.mark.parametrize("kind", AGENTS)
def test_an_agent_calls_the_tool_that_was_voted_for_and_answers(fitted, facade, mode, kind):
    messages = run(AGENTS[kind](make_model(fitted, facade), [add]), mode, QUESTION)["messages"]
    assert [type(message) for message in messages] == [HumanMessage, AIMessage, ToolMessage, AIMessage]
    assert messages[1].tool_calls[0]["args"] == {"a": 3, "b": 4}
    assert messages[1].response_metadata["selectllm"]["support"] == 0.8
    assert (messages[2].content, messages[3].content) == ("7", "The tool said: 7")


@facades
@pytest.mark.parametrize("kind", AGENTS)
def test_an_agent_goes_on_without_the_members_that_cannot_call_tools_or_fail(fitted, facade, kind):
    models = {
        **tool_models(clockmaker={"error": RuntimeError("down")}),
        "reader": ReplayChatModel(model="reader", default="no tools"),
    }
    messages = AGENTS[kind](make_model(fitted, facade, models=models), [add]).invoke(QUESTION)["messages"]
    told = messages[-1].response_metadata["selectllm"]
    assert messages[-1].content == "The tool said: 7"
    assert (list(told["left_out"]), list(told["failures"])) == (["reader"], ["clockmaker"])


@facades
@modes
@pytest.mark.parametrize("response_format", [Sum, ToolStrategy(Sum)])
def test_an_agent_returns_a_structured_response(fitted, facade, mode, response_format):
    agent = create_agent(make_model(fitted, facade), [], response_format=response_format)
    assert run(agent, mode, {"messages": "The total is 7."})["structured_response"] == Sum(total=7)


@modes
def test_a_react_agent_returns_a_structured_response_of_the_chat_model(fitted, mode):
    agent = react_agent(make_model(fitted, "chat"), [add], response_format=Sum)
    assert run(agent, mode, QUESTION)["structured_response"] == Sum(total=3)


def test_a_react_agent_asks_for_the_chat_model_when_the_response_has_a_format(fitted):
    """LangGraph checks the type there; the docs say so."""
    agent = react_agent(make_model(fitted, "router"), [add], response_format=Sum)
    with pytest.raises(TypeError, match="Expected `model` to be a ChatModel"):
        agent.invoke(QUESTION)


def approving_graph(model):
    """A graph by hand: the model, a human who approves each call, the tools; with a checkpointer."""
    bound = model.bind_tools([add])

    def ask(state: MessagesState):
        return {"messages": [bound.invoke(state["messages"])]}

    async def aask(state: MessagesState):
        return {"messages": [await bound.ainvoke(state["messages"])]}

    def approve(state: MessagesState):
        call = state["messages"][-1].tool_calls[0]
        answer = interrupt({"call": call["name"], "args": call["args"]})
        if answer["approved"]:
            return Command(goto="tools")
        refused = ToolMessage("refused", tool_call_id=call["id"])
        return Command(goto="model", update={"messages": [refused]})

    graph = StateGraph(MessagesState)
    graph.add_node("model", RunnableLambda(ask, aask))
    graph.add_node("approve", approve, destinations=("tools", "model"))
    graph.add_node("tools", ToolNode([add]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition, {"tools": "approve", "__end__": "__end__"})
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=InMemorySaver())


@facades
@modes
@pytest.mark.parametrize(
    ("approved", "final"), [(True, "The tool said: 7"), (False, "The tool said: refused")]
)
def test_a_graph_with_checkpointer_and_interrupt_resumes_where_it_stopped(
    fitted, facade, mode, approved, final
):
    graph = approving_graph(make_model(fitted, facade))
    config = {"configurable": {"thread_id": "1"}}
    stopped = run(graph, mode, QUESTION, config)
    assert stopped["__interrupt__"][0].value == {"call": "add", "args": {"a": 3, "b": 4}}
    resumed = run(graph, mode, Command(resume={"approved": approved}), config)
    assert resumed["messages"][-1].content == final
    # What was decided is in the checkpoint, with the messages.
    saved = graph.get_state(config).values["messages"]
    assert [m.response_metadata["selectllm"]["calls"] for m in saved if isinstance(m, AIMessage)] == [5, 5]


@modes
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("policy", ["all_members", "single_best"])
def test_a_member_that_asks_a_human_pauses_the_graph(fitted, mode, stream, policy):
    models = tool_models()
    models[fitted.members[fitted.pool.single_best]] = RunnableLambda(
        lambda _: AIMessage(interrupt("Which sum?"))
    )
    router = make_model(fitted, "router", models=models, policy=policy)

    def ask(state: MessagesState):
        given = state["messages"]
        return {"messages": list(router.stream(given))[-1:] if stream else [router.invoke(given)]}

    async def aask(state: MessagesState):
        given = state["messages"]
        return {
            "messages": [c async for c in router.astream(given)][-1:]
            if stream
            else [await router.ainvoke(given)]
        }

    graph = StateGraph(MessagesState).add_node("ask", RunnableLambda(ask, aask)).add_edge(START, "ask")
    graph, config = graph.compile(InMemorySaver()), {"configurable": {"thread_id": "1"}}
    assert run(graph, mode, QUESTION, config)["__interrupt__"][0].value == "Which sum?"
    told = run(graph, mode, Command(resume="mine"), config)["messages"][-1].response_metadata["selectllm"]
    assert "mine" in told["answers"].values()


@facades
@modes
@pytest.mark.parametrize("policy", ["all_members", "single_best"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_no_members_tokens_leak_into_the_stream_of_messages(fitted, facade, mode, policy, wrapped):
    models = tool_models(**{name: {"says": "the agreed words"} for name in fitted.members})
    if wrapped:
        models = {name: model.with_retry() for name, model in models.items()}
    agent = create_agent(make_model(fitted, facade, models=models, policy=policy), [])
    assert words_of(streamed(agent, mode, QUESTION)) == "the agreed words"


@modes
def test_one_chosen_members_tokens_are_streamed_through_an_agent(fitted, mode):
    changes = {name: {"says": "one two three"} for name in fitted.members}
    agent = create_agent(make_model(fitted, "router", changes, policy="single_best"), [])
    chunks = [
        m.content for m in streamed(agent, mode, QUESTION) if isinstance(m, AIMessageChunk) and m.content
    ]
    assert chunks == ["one ", "two ", "three"]


@facades
@modes
def test_member_runs_nest_under_the_router_and_never_under_the_chat_model(fitted, facade, mode):
    tracer, usage = Recorder(), UsageMetadataCallbackHandler()
    run(create_agent(make_model(fitted, facade), [add]), mode, QUESTION, {"callbacks": [tracer, usage]})
    (root,) = tracer.roots
    runs = flatten(root)
    ours = {run.id for run in runs if run.name in {"SelectLLMRouter", "ChatSelectLLM"}}
    models = [run for run in runs if run.run_type in {"llm", "chat_model"}]
    assert len(ours) == 2
    if facade == "router":
        assert len(models) == 10
        assert all(run.parent_run_id in ours for run in models)
    else:
        assert {run.id for run in models} == ours
    # Two turns of five members at 10 input tokens each.
    assert sum(counted["input_tokens"] for counted in usage.usage_metadata.values()) == 100
