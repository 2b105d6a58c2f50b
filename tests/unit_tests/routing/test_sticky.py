"""What is routed in a conversation, and threads that keep their members."""

import asyncio
import copy
import threading

import numpy as np
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver

from langchain_selectllm import SelectLLMRouter, VotingOutputParser
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.integrations.agent_middleware import SelectLLMMiddleware
from langchain_selectllm.prompts import whole_transcript
from langchain_selectllm.routing.sticky import StickyThreads
from langchain_selectllm.testing import ReplayChatModel
from tests.support.agents import modes, run
from tests.support.routers import metadata_of
from tests.support.tool_models import ToolModel, tool_models
from tests.support.tools import add
from tests.support.waiting import LONG_S

WORDS, SUM = "How many letters has the word river?", "What is 12 * 12?"
facades = pytest.mark.parametrize("facade", ["router", "chat", "middleware"])
calls = pytest.mark.parametrize("call", ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"])


def make(fitted, models=None, **fields):
    fields = {"policy": "max_conf:1", "parser": VotingOutputParser(), **fields}
    return SelectLLMRouter(classifier=fitted, models=models or tool_models(), **fields)


def asked(message):
    return metadata_of(message)["selection"]["members"]


def own_choice(fitted, prompt):
    return list(make(fitted).decide(prompt).selected_members)


def agent_over(router, facade, tools=()):
    settings = {"checkpointer": InMemorySaver()}
    if facade == "middleware":
        never = ToolModel(error=AssertionError("the agent's own model was called"))
        return create_agent(never, list(tools), middleware=[SelectLLMMiddleware(router)], **settings)
    return create_agent(router if facade == "router" else router.as_chat_model(), list(tools), **settings)


def called(model, call, prompt, config=None):
    async def stream():
        return [chunk async for chunk in model.astream(prompt, config)][-1]

    return {
        "invoke": lambda: model.invoke(prompt, config),
        "ainvoke": lambda: asyncio.run(model.ainvoke(prompt, config)),
        "stream": lambda: list(model.stream(prompt, config))[-1],
        "astream": lambda: asyncio.run(stream()),
        "batch": lambda: model.batch([prompt], config)[0],
        "abatch": lambda: asyncio.run(model.abatch([prompt], config))[0],
    }[call]()


def test_the_two_questions_are_for_different_members(fitted):
    assert own_choice(fitted, WORDS) == ["reader"]
    assert own_choice(fitted, SUM) != ["reader"]


def test_the_whole_transcript_is_routed_on_when_asked_for(fitted):
    call = {"name": "add", "args": {}, "id": "1"}
    picture = [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    said = [
        SystemMessage("Be brief."),
        HumanMessage(picture),
        AIMessage("", tool_calls=[call]),
        HumanMessage("Go on."),
    ]
    assert whole_transcript(said) == "system: Be brief.\nhuman: Look.\nhuman: Go on."
    assert make(fitted, text_of=whole_transcript).decide(said).text == whole_transcript(said)


@facades
@modes
def test_an_agents_thread_keeps_its_members_over_several_turns(fitted, facade, mode):
    agent = agent_over(make(fitted, sticky=StickyThreads()), facade, [add])

    def turn(text, thread):
        config = {"configurable": {"thread_id": thread}}
        return asked(run(agent, mode, {"messages": [HumanMessage(text)]}, config)["messages"][-1])

    assert turn(WORDS, "a") == ["reader"]
    assert turn(SUM, "b") == own_choice(fitted, SUM)
    assert turn(SUM, "a") == ["reader"]
    assert turn(WORDS, "b") == own_choice(fitted, SUM)


@facades
@modes
def test_without_it_every_turn_is_decided_anew(fitted, facade, mode):
    agent, config = agent_over(make(fitted), facade), {"configurable": {"thread_id": "a"}}
    turns = [
        run(agent, mode, {"messages": [HumanMessage(text)]}, config)["messages"][-1] for text in (WORDS, SUM)
    ]
    assert [asked(turn) for turn in turns] == [["reader"], own_choice(fitted, SUM)]


@calls
@pytest.mark.parametrize("facade", ["router", "chat"])
def test_the_thread_of_a_call_is_told_by_its_config(fitted, facade, call):
    router = make(fitted, sticky=StickyThreads())
    model = router if facade == "router" else router.as_chat_model()
    config = {"configurable": {"thread_id": 7}}
    assert asked(called(model, call, WORDS, config)) == ["reader"]
    again = called(model, call, SUM, config)
    assert asked(again) == ["reader"]
    assert metadata_of(again)["selection"]["reason"] == "as at an earlier turn of this thread"
    assert asked(called(model, call, SUM, {"configurable": {"thread_id": 8}})) == own_choice(fitted, SUM)


@pytest.mark.parametrize("facade", ["router", "chat"])
def test_without_an_id_a_thread_is_known_by_its_first_human_message(fitted, facade):
    router = make(fitted, sticky=StickyThreads())
    model = router if facade == "router" else router.as_chat_model()
    assert asked(model.invoke(WORDS)) == ["reader"]
    assert asked(model.invoke([HumanMessage(WORDS), AIMessage("5"), HumanMessage(SUM)])) == ["reader"]
    assert asked(model.invoke([HumanMessage(SUM), AIMessage("144"), HumanMessage(WORDS)])) == ["reader"]
    assert asked(model.invoke([HumanMessage(SUM), AIMessage("144"), HumanMessage("Sure?")])) == ["reader"]
    # Nothing to know a conversation by, nothing kept.
    assert asked(model.invoke([AIMessage(WORDS)])) == ["reader"]
    assert asked(model.invoke([AIMessage(SUM)])) == own_choice(fitted, SUM)


def test_a_chain_hands_the_thread_on(fitted):
    chain = RunnableLambda(lambda text: text) | make(fitted, sticky=StickyThreads()).as_chat_model()
    config = {"configurable": {"thread_id": "a"}}
    assert [asked(chain.invoke(text, config)) for text in (WORDS, SUM)] == [["reader"], ["reader"]]


def test_a_member_that_fails_is_stood_in_for_and_asked_again(fitted):
    models = tool_models()
    router, config = make(fitted, models, sticky=StickyThreads()), {"configurable": {"thread_id": "a"}}
    router.invoke(WORDS, config)
    models["reader"].error = RuntimeError("down")
    second = metadata_of(router.invoke(SUM, config))
    assert (second["selection"]["members"], list(second["failures"])) == (["reader"], ["reader"])
    assert second["topped_up"] == [second["winner"]]
    models["reader"].error = None
    assert metadata_of(router.invoke(SUM, config))["winner"] == "reader"


def test_a_member_that_lacks_tools_is_replaced_for_the_rest_of_the_thread(fitted):
    models = {**tool_models(), "reader": ReplayChatModel(model="reader", default="no tools")}
    router, config = make(fitted, models, sticky=StickyThreads()), {"configurable": {"thread_id": "a"}}
    assert asked(router.invoke(WORDS, config)) == ["reader"]
    instead = asked(router.bind_tools([add]).invoke(WORDS, config))
    assert instead != ["reader"]
    assert (
        asked(router.bind_tools([add]).invoke(SUM, config)) == asked(router.invoke(WORDS, config)) == instead
    )


def test_the_least_recently_used_thread_is_forgotten(fitted):
    sticky = StickyThreads(size=2)
    router = make(fitted, sticky=sticky)

    def turn(text, thread):
        return asked(router.invoke(text, {"configurable": {"thread_id": thread}}))

    for thread in ("a", "b", "a", "c"):
        turn(WORDS, thread)
    assert len(sticky) == 2
    assert turn(SUM, "a") == ["reader"]
    assert turn(SUM, "b") == own_choice(fitted, SUM)
    with pytest.raises(PolicyError, match=r"StickyThreads\(size=0\) remembers nothing"):
        StickyThreads(size=0)


def test_turns_that_come_at_once_agree_on_one_choice(fitted):
    """Whichever of them is first, all of a thread are answered by the same members."""
    router, barrier = make(fitted, sticky=StickyThreads(size=3)), threading.Barrier(8)
    seen = [None] * 8

    def turn(i):
        barrier.wait(LONG_S)
        seen[i] = asked(router.invoke([WORDS, SUM][i % 2], {"configurable": {"thread_id": "same"}}))

    workers = [threading.Thread(target=turn, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert seen in ([["reader"]] * 8, [own_choice(fitted, SUM)] * 8)


def test_deciding_without_calling_leaves_no_memory(fitted):
    sticky = StickyThreads()
    make(fitted, sticky=sticky).decide(WORDS)
    assert len(sticky) == 0


def test_two_rounds_are_kept_too(fitted):
    router = make(fitted, policy="adaptive:3", sticky=StickyThreads())
    first, config = router.decide(WORDS), {"configurable": {"thread_id": "a"}}
    router.invoke(WORDS, config)
    (again,) = router.engine.decide([SUM], [config])
    assert again.selected == first.selected
    np.testing.assert_array_equal(again.further.added, first.further.added)


def test_a_copied_router_goes_on_with_the_same_threads(fitted):
    router, thread = make(fitted, sticky=StickyThreads()), {"configurable": {"thread_id": "1"}}
    router.invoke(WORDS, thread)
    assert asked(copy.deepcopy(router).invoke(SUM, thread)) == ["reader"]
