"""Feedback that comes later, by the id of a run."""

import asyncio
import copy
import json
import uuid
from datetime import UTC, datetime

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough
from langsmith.schemas import Feedback
from pydantic import BaseModel

from langchain_selectllm import FeedbackLog
from langchain_selectllm.exceptions import LowConfidenceError, OutcomeError
from langchain_selectllm.integrations.agent_middleware import SelectLLMMiddleware
from tests.support.routers import make_router
from tests.support.tool_models import ToolModel, tool_models
from tests.support.tools import add
from tests.support.worlds import scripted

PROMPT = ChatPromptTemplate.from_template("{q}")
BY_ALL = dict.fromkeys(tool_models(), 0.5)


class Sum(BaseModel):
    """A sum."""

    a: int


@pytest.fixture
def log(tmp_path):
    return FeedbackLog(tmp_path / "feedback")


def router(fitted, letters="AABCA", models=None, **fields):
    """Members answer with the letters, in the order of their names."""
    return make_router(fitted, models or scripted(dict(zip(BY_ALL, letters, strict=True))), **fields)


def run_of(runnable, prompt, log, call="invoke"):
    """The id of a root run that the log was a callback of."""
    config = {"callbacks": [log], "run_id": (run := uuid.uuid4())}
    if call == "stream":
        list(runnable.stream(prompt, config))
    elif call == "batch":
        runnable.batch([prompt], [config])
    else:
        reply = getattr(runnable, call)(prompt, config)
        if call == "ainvoke":
            asyncio.run(reply)
    return run


AROUND = {
    "router": lambda routed: routed,
    "chat model": lambda routed: routed.as_chat_model(),
    "chain": lambda routed: RunnableLambda(str) | routed,
    "chain with parser": lambda routed: RunnableLambda(str) | routed | StrOutputParser(),
    "chain in a chain": lambda routed: (
        RunnableParallel(x=RunnableLambda(str) | routed | StrOutputParser()) | dict
    ),
    "assign": lambda routed: (
        RunnableLambda(lambda text: {"q": text}) | RunnablePassthrough.assign(x=PROMPT | routed)
    ),
    "raw": lambda routed: routed.with_structured_output(Sum, include_raw=True),
    "lambda": lambda routed: RunnableLambda(lambda text: routed.invoke(text).text),
    "retry": lambda routed: routed.with_retry(),
    "configured": lambda routed: routed.with_config(tags=["t"]),
}


@pytest.mark.parametrize("call", ["invoke", "ainvoke", "stream", "batch"])
@pytest.mark.parametrize("around", AROUND)
def test_a_root_run_is_known_however_deep_the_router_stands_in_it(fitted, log, around, call):
    models = tool_models(**{name: {"args": {"a": 1}} for name in BY_ALL}) if around == "raw" else None
    run = run_of(AROUND[around](router(fitted, "AAAAA", models)), "Which?", log, call)
    assert log.add(run, 0.5) == log.add(str(run), 0.5) == BY_ALL
    # And by a log that was opened later.
    assert FeedbackLog(log.folder).add(run, 0.5) == BY_ALL


AGENTS = {
    "router": lambda routed: create_agent(routed, [add]),
    "chat model": lambda routed: create_agent(routed.as_chat_model(), [add]),
    "middleware": lambda routed: create_agent(ToolModel(), [add], middleware=[SelectLLMMiddleware(routed)]),
}


@pytest.mark.parametrize("call", ["invoke", "ainvoke", "stream"])
@pytest.mark.parametrize("kind", AGENTS)
def test_the_run_of_an_agent_that_answers_at_once_is_known(fitted, log, kind, call):
    models = tool_models(**{name: {"says": "The answer is (A)."} for name in BY_ALL})
    run = run_of(AGENTS[kind](router(fitted, models=models)), {"messages": ["Which?"]}, log, call)
    assert log.add(run, 0.5) == BY_ALL


def test_a_run_with_several_routed_replies_is_ambiguous(fitted, log):
    routed = router(fitted)
    chain = PROMPT | routed | StrOutputParser() | routed | StrOutputParser()
    agent = create_agent(router(fitted, models=tool_models()), [add])
    for runnable, prompt in ((chain, {"q": "Which?"}), (agent, {"messages": ["add 3 and 4"]})):
        run = run_of(runnable, prompt, log)
        with pytest.raises(OutcomeError, match="holds 2 replies of routers"):
            log.add(run, 1.0)


def test_a_chain_that_ends_in_a_reply_is_about_that_reply(fitted, log):
    chain = router(fitted) | StrOutputParser() | router(fitted, "BBBBB")
    run = run_of(RunnableLambda(str) | RunnableLambda(chain.invoke) | StrOutputParser(), "Which?", log)
    assert log.add(run, 0.5) == BY_ALL


def test_a_router_is_scored_for_its_own_reply_however_late_one_of_its_members_ends(log):
    told = {
        "text": "Which?",
        "answer": "A",
        "answers": {"a": "A"},
        "supporters": ["a"],
        "winner": "a",
        "open_ended": False,
    }
    outer, inner = uuid.uuid4(), uuid.uuid4()
    log.on_chain_end(AIMessage("A", response_metadata={"selectllm": told}), run_id=outer)
    late = {**told, "winner": "b", "supporters": ["b"], "answers": {"b": "A"}}
    log.on_chain_end(AIMessage("A", response_metadata={"selectllm": late}), run_id=inner, parent_run_id=outer)
    assert (log.add(outer, 0.5), log.add(inner, 0.5)) == ({"a": 0.5}, {"b": 0.5})


@pytest.mark.parametrize("chat", [False, True])
def test_an_answer_that_was_not_sure_enough_can_be_scored(fitted, log, chat):
    unsure = router(fitted, min_confidence=1.0)
    model, run = unsure.as_chat_model() if chat else unsure, uuid.uuid4()
    with pytest.raises(LowConfidenceError):
        (PROMPT | model).invoke({"q": "Which?"}, {"callbacks": [log], "run_id": run})
    assert log.add(run, 0.0) == dict.fromkeys(("calculator", "clockmaker", "reader"), 0.0)


def test_an_answer_given_in_a_routers_place_is_not_the_routers(fitted, log):
    chain = router(fitted, min_confidence=1.0).with_fallbacks([RunnableLambda(lambda _: AIMessage("B"))])
    with pytest.raises(OutcomeError, match="was not seen by this log"):
        log.add(run_of(chain, "Which?", log), 1.0)


def test_langsmith_feedback_records_become_outcomes(fitted, log):
    runs = [run_of(router(fitted), f"Question {i}", log) for i in range(3)]
    twice = run_of(RunnableParallel(a=router(fitted), b=router(fitted)), "Which?", log)
    stamp = {"id": uuid.uuid4(), "created_at": datetime.now(UTC), "modified_at": datetime.now(UTC)}
    records = [
        {"id": uuid.uuid4(), "run_id": runs[0], "key": "correct", "score": 1, "comment": "fine"},
        Feedback(run_id=runs[1], trace_id=runs[1], key="correct", score=False, **stamp),
        {"id": uuid.uuid4(), "run_id": str(runs[2]), "key": "correct", "score": None, "value": "meh"},
        {"id": uuid.uuid4(), "run_id": runs[2], "key": "tone", "score": 0.9},
        {"id": uuid.uuid4(), "run_id": twice, "key": "correct", "score": 1},
        {"id": uuid.uuid4(), "run_id": (foreign := uuid.uuid4()), "key": "correct", "score": 1},
    ]
    added = log.add_records(records, key="correct")
    right = ("calculator", "clockmaker", "reader")
    assert added.outcomes == {**dict.fromkeys(right, 2), **dict.fromkeys(("generalist", "guesser"), 1)}
    assert (added.unknown_runs, added.ambiguous_runs, added.without_score) == (
        (str(foreign),),
        (str(twice),),
        1,
    )
    table = log.outcomes(right)
    assert dict(zip(table.texts, table.scores.tolist(), strict=True)) == {
        "Question 0": [1.0] * 3,
        "Question 1": [0.0] * 3,
    }
    (line,) = (log.folder / "responses" / "guesser.jsonl").read_text().splitlines()
    assert {"run_id": str(runs[0]), "key": "correct", "comment": "fine"}.items() <= json.loads(line).items()


def test_a_list_with_a_bad_record_records_nothing(fitted, log):
    run = run_of(router(fitted), "Which?", log)
    with pytest.raises(OutcomeError, match=r"The score is 5\.0"):
        log.add_records([{"run_id": run, "score": 1.0}, {"run_id": run, "score": 5.0}])
    assert list((log.folder / "responses").iterdir()) == []


def test_a_copied_router_writes_into_the_same_log(fitted, log):
    routed = router(fitted, feedback_log=log)
    copied = copy.deepcopy(routed)
    assert copied.feedback_log is log
    assert copied.feedback(run_of(routed, "Which?", log), 0.0) == dict.fromkeys(
        ("calculator", "clockmaker", "reader"), 0.0
    )
