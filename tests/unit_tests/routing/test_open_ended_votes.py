"""Judges and comparing extractors together with tools, objects, rules, agents and streams."""

import asyncio
import re
import threading

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from langchain_selectllm import (
    JudgeVote,
    OutcomeTable,
    SelectLLMRouter,
    SemanticAnswers,
    VotingOutputParser,
    label_from_agreement,
)
from langchain_selectllm.outcomes import combine
from langchain_selectllm.outcomes.table import AGREEMENT
from langchain_selectllm.routing.feedback import member_scores
from langchain_selectllm.testing import ReplayChatModel
from tests.support.fitted import three_members
from tests.support.routers import metadata_of
from tests.support.waiting import LONG_S

SCHEMA = {
    "title": "Place",
    "type": "object",
    "properties": {"city": {"type": "string"}, "floor": {"type": "integer"}},
    "required": ["city", "floor"],
}


def alike(texts):
    """Embeddings that call everything the same."""
    return np.ones((len(texts), 2))


def calling(**args):
    return AIMessage("", tool_calls=[{"name": "Place", "args": args, "id": "1"}])


class Caller(RunnableLambda):
    """A member that says one message, with or without tools."""

    def bind_tools(self, tools, **kwargs):
        return self


def routed(replies, parser, **kwargs):
    models = {f"m{k}": Caller(lambda _, reply=reply: reply) for k, reply in enumerate(replies)}
    return SelectLLMRouter(
        classifier=three_members(), models=models, policy="all_members", parser=parser, **kwargs
    )


def choosing(wanted, seen=None):
    """A judge that names the answer with `wanted` in it."""

    def rule(messages):
        text = messages[-1].text
        if seen is not None:
            seen.append(text)
        return AIMessage(
            next(n for n, body in re.findall(r'<answer number="(\d+)">\n(.*?)\n</', text) if wanted in body)
        )

    return JudgeVote(RunnableLambda(rule))


CALLS = [calling(city="Rome", floor=1), calling(city="Rome", floor=2), calling(city="Rome", floor=1)]


def test_similar_calls_are_not_one_answer_where_answers_are_compared_by_meaning():
    parser = VotingOutputParser(answer=SemanticAnswers(alike), vote="majority")
    message = routed(CALLS, parser).invoke("Where?")
    assert metadata_of(message)["supporters"] == ["m0", "m2"]
    assert parser.count(CALLS).supporters == ("sample 1", "sample 3")
    mixed = parser.count([*CALLS[:2], "Rome", "In Rome", "Paris"])
    assert mixed.supporters == ("sample 3", "sample 4", "sample 5")


def test_feedback_on_a_call_says_nothing_of_members_that_made_another():
    message = routed(CALLS, VotingOutputParser(answer="choice", vote="majority"), early_stop=False).invoke(
        "Where?"
    )
    assert metadata_of(message)["open_ended"]
    assert member_scores(metadata_of(message), 1.0) == {"m0": 1.0, "m2": 1.0}
    assert VotingOutputParser(answer="choice").count(CALLS).open_ended
    assert not VotingOutputParser(answer="choice").count(["A", "B"]).open_ended


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream", "chat"])
async def test_a_judge_sees_calls_and_chooses_one(how):
    seen = []
    router = routed(CALLS, VotingOutputParser(answer="text", vote=choosing('"floor": 2', seen)))
    match how:
        case "invoke":
            message = router.invoke("Where?")
        case "ainvoke":
            message = await router.ainvoke("Where?")
        case "stream":
            message = list(router.stream("Where?"))[-1]
        case "astream":
            message = [chunk async for chunk in router.astream("Where?")][-1]
        case _:
            message = router.as_chat_model().invoke("Where?")
    assert (metadata_of(message)["winner"], metadata_of(message)["vote"]["decided_by"]) == ("m1", "judge")
    assert len(seen) == 1
    assert '{"args": {"city": "Rome", "floor": 2}, "name": "Place"}' in seen[0]


@pytest.mark.parametrize("vote", ["fields", "whole"])
def test_with_structured_output_a_judge_chooses_a_whole_object(vote):
    router = routed(CALLS, VotingOutputParser(answer="text", vote=choosing('"floor": 2')))
    asked = router.with_structured_output(SCHEMA, vote=vote, include_raw=True).invoke("Where?")
    assert asked["parsed"] == {"city": "Rome", "floor": 2}
    assert metadata_of(asked["raw"])["vote"]["decided_by"] == "judge"


def test_nobody_supports_an_object_that_nobody_gave():
    router = routed(
        [*CALLS[:2], calling(city="Bonn", floor=1)], VotingOutputParser(answer="text", vote="majority")
    )
    raw = router.with_structured_output(SCHEMA, include_raw=True).invoke("Where?")["raw"]
    assert metadata_of(raw)["supporters"] == ["m0"]
    apart = [calling(city="Rome", floor=1), calling(city="Bonn", floor=2), calling(city="Rome", floor=2)]
    raw = routed(apart, VotingOutputParser(answer="text", vote="majority")).with_structured_output(
        SCHEMA, include_raw=True
    )
    assert metadata_of(raw.invoke("Where?")["raw"])["supporters"] == ["m2"]


async def test_comparing_is_done_off_the_event_loop():
    threads = set()

    def embed(texts):
        threads.add(threading.current_thread())
        return alike(texts)

    router = routed(
        [AIMessage("a"), AIMessage("b"), AIMessage("c")], VotingOutputParser(answer=SemanticAnswers(embed))
    )
    message = await router.ainvoke("x")
    assert metadata_of(message)["support"] == 1
    assert threads
    assert threading.current_thread() not in threads


async def test_a_second_round_is_counted_off_the_event_loop(fitted):
    """The first count decides whether anybody else is called; the loop runs on meanwhile."""
    counting, loop_ran = threading.Event(), threading.Event()

    def embed(texts):
        counting.set()
        assert loop_ran.wait(LONG_S)
        return alike(texts)

    async def runs_on():
        await asyncio.to_thread(counting.wait, LONG_S)
        loop_ran.set()

    models = {name: ReplayChatModel(model=name, default=f"{name} says so") for name in fitted.members}
    rule = {"min_confidence": 1.0, "below_confidence": "guesser"}
    parser = VotingOutputParser(answer=SemanticAnswers(embed))
    router = SelectLLMRouter(classifier=fitted, models=models, policy="max_conf:2", parser=parser, **rule)
    message, _ = await asyncio.gather(router.ainvoke("What is 2 + 2?"), runs_on())
    assert (metadata_of(message)["rounds"], metadata_of(message)["winner"]) == (2, "guesser")


def test_an_agent_asks_the_judge_beside_its_members():
    agents = pytest.importorskip("langchain.agents")
    from langchain_selectllm.integrations.agent_middleware import SelectLLMMiddleware

    parser = VotingOutputParser(answer="text", vote=choosing("green"))
    router = routed([AIMessage("red"), AIMessage("green"), AIMessage("red")], parser)

    agent = agents.create_agent(
        ReplayChatModel(default="nobody"), [], middleware=[SelectLLMMiddleware(router)]
    )
    message = agent.invoke({"messages": [("human", "Which colour?")]})["messages"][-1]
    assert message.text == "green"
    assert metadata_of(message)["vote"]["decided_by"] == "judge"


def test_labels_from_agreement_count_by_meaning_and_keep_their_mark():
    replies = [
        {"query_id": "q", "model": name, "response": text}
        for name, text in (("a", "yes"), ("b", "yes, it is"), ("c", "no"))
    ]

    def embed(texts):
        return np.array([[1.0, 0.0] if "yes" in text else [0.0, 1.0] for text in texts])

    table = OutcomeTable.from_records(
        [{"query_id": "q", "query": "x"}], replies, answer=SemanticAnswers(embed)
    )
    labelled = label_from_agreement(table)
    assert labelled.labels.tolist() == [[1, 1, 0]]
    assert combine(table, labelled).labels_from == AGREEMENT
    assert combine(labelled, table).labels_from == AGREEMENT
