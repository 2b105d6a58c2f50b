"""Spans and events of LlamaIndex around a routed call, and the question inside a query engine's prompt."""

import asyncio
import threading

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.prompts import PromptTemplate
from llama_index.core.response_synthesizers import CompactAndRefine
from pydantic import BaseModel

from langchain_selectllm.integrations.llama_index import SelectLLMDecisionEvent
from tests.support.llama_spans import recorded_events, recorded_spans
from tests.support.llamas import LETTERS, ScriptedLlama, collect, llamas, make, user

QUESTION = "Add 3 and 4."
TEMPLATE = PromptTemplate("Context information is below.\n{context_str}\nQuery: {query_str}\nAnswer: ")
MODES = {
    "chat": lambda llm: llm.chat(user("x")),
    "achat": lambda llm: asyncio.run(llm.achat(user("x"))),
    "stream_chat": lambda llm: list(llm.stream_chat(user("x")))[-1],
    "astream_chat": lambda llm: asyncio.run(collect(llm.astream_chat(user("x"))))[-1],
}
every_mode = pytest.mark.parametrize("mode", MODES)


@every_mode
@pytest.mark.parametrize("policy", ["all_members", "max_conf:1"])
def test_spans_of_members_carry_their_names_under_the_span_of_the_call(fitted, mode, policy):
    with recorded_spans() as spans:
        metadata = MODES[mode](make(fitted, policy=policy)).raw["selectllm"]
    names = {span.tags["selectllm:member"] for span in spans.of_members()}
    assert names == set(metadata["selection"]["members"])
    assert all(spans.is_under(span, f"SelectLLM.{mode}") for span in spans.of_members())
    assert not spans.open_spans


def test_the_span_of_a_call_that_was_given_up_is_closed(fitted):
    started, release = threading.Event(), threading.Event()

    def hang(messages, tools):
        started.set()
        release.wait(60)
        return "The answer is (C)."

    def answer(messages, tools):
        assert started.wait(60)
        return "The answer is (A)."

    models = {name: ScriptedLlama(answer, model=name) for name in LETTERS}
    models["guesser"] = ScriptedLlama(hang, model="guesser")
    with recorded_spans() as spans:
        make(fitted, models, early_stop=True).chat(user("x"))
        still_open = list(spans.open_spans)
        release.set()
    assert still_open == []
    # Four agree, so that the fifth is given up; three settle it, so that a fourth may be as well.
    assert "guesser" in {span.tags["selectllm:member"] for span in spans.dropped_spans}


@every_mode
def test_the_decision_is_an_event_of_the_call(fitted, mode):
    with recorded_events() as events:
        response = MODES[mode](make(fitted))
    (event,) = events.of(SelectLLMDecisionEvent)
    assert event.metadata == response.raw["selectllm"]
    assert (event.winner, event.members) == (event.metadata["winner"], sorted(LETTERS))
    assert event.span_id.startswith(f"SelectLLM.{mode}")
    assert event.model_dump()["class_name"] == "SelectLLMDecisionEvent"


def routed_on(fitted, answer, **fields):
    """P(correct) of the routed text."""
    with recorded_events() as events:
        answer(make(fitted, **fields))
    (event,) = events.of(SelectLLMDecisionEvent)
    return list(event.metadata["probabilities"].values())


@pytest.mark.parametrize(
    "answer",
    [
        lambda llm: llm.predict(TEMPLATE, query_str=QUESTION, context_str="pages"),
        lambda llm: llm.predict(TEMPLATE.partial_format(query_str=QUESTION), context_str="pages"),
        lambda llm: asyncio.run(llm.apredict(TEMPLATE, query_str=QUESTION, context_str="pages")),
        lambda llm: list(llm.stream(TEMPLATE, query_str=QUESTION, context_str="pages")),
        lambda llm: asyncio.run(collect(llm.astream(TEMPLATE, query_str=QUESTION, context_str="pages"))),
    ],
    ids=["predict", "partial predict", "apredict", "stream", "astream"],
)
def test_the_prompt_of_a_query_engine_is_routed_on_its_question(fitted, answer):
    assert routed_on(fitted, answer) == fitted.predict_proba([QUESTION])[0].tolist()


class Total(BaseModel):
    """A total."""

    total: int


@pytest.mark.parametrize(
    "answer",
    [
        lambda llm: llm.predict(TEMPLATE, query_str=QUESTION, context_str="pages"),
        lambda llm: asyncio.run(llm.apredict(TEMPLATE, query_str=QUESTION, context_str="pages")),
        lambda llm: list(llm.stream(TEMPLATE, query_str=QUESTION, context_str="pages")),
        lambda llm: asyncio.run(collect(llm.astream(TEMPLATE, query_str=QUESTION, context_str="pages"))),
        lambda llm: CompactAndRefine(llm=llm).get_response(QUESTION, ["pages"]),
    ],
    ids=["predict", "apredict", "stream", "astream", "synthesizer"],
)
# LlamaIndex's own streams of structured LLMs use a deprecated method of pydantic.
@pytest.mark.filterwarnings("ignore:The `json` method is deprecated")
def test_a_structured_llm_in_a_query_engine_is_routed_on_the_question_too(fitted, answer):
    models = {name: ScriptedLlama([("Total", {"total": 7})], model=name) for name in LETTERS}
    with recorded_events() as events:
        answer(make(fitted, models).as_structured_llm(Total))
    probabilities = [
        list(event.metadata["probabilities"].values()) for event in events.of(SelectLLMDecisionEvent)
    ]
    assert probabilities == [fitted.predict_proba([QUESTION])[0].tolist()]


def test_members_get_the_whole_prompt_of_a_query_engine(fitted):
    models = llamas(LETTERS)
    make(fitted, models).predict(TEMPLATE, query_str=QUESTION, context_str="pages")
    assert "pages" in models["reader"].asked[0]["messages"][-1].content


def test_an_own_text_of_is_used_for_query_engines_too(fitted):
    own = routed_on(
        fitted,
        lambda llm: llm.predict(TEMPLATE, query_str=QUESTION, context_str="pages"),
        text_of=lambda messages: "Which word?",
    )
    assert own == fitted.predict_proba(["Which word?"])[0].tolist()


def test_a_prompt_without_a_question_is_routed_on_as_a_whole(fitted):
    plain = routed_on(fitted, lambda llm: llm.predict(PromptTemplate("Add {n}."), n="3"))
    assert plain == fitted.predict_proba(["Add 3."])[0].tolist()
