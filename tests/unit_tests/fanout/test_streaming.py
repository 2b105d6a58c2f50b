import asyncio
import functools
import operator
import threading
import time
from contextlib import aclosing
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField

from langchain_selectllm import MaxConf, SelectLLMClassifier
from langchain_selectllm.exceptions import DeadlineError, FanOutError, PolicyError
from langchain_selectllm.fanout.streaming import message_chunks
from tests.support.routers import as_facade, make_tool_router, metadata_of
from tests.support.tool_models import ToolModel, tool_models
from tests.support.tools import add
from tests.support.traces import Recorder, flatten
from tests.support.waiting import DEADLINE_S, LONG_S, OVERDUE

MODES, FACADES = ("stream", "astream"), ("router", "chat")
modes = pytest.mark.parametrize("mode", MODES)
facades = pytest.mark.parametrize("facade", FACADES)
SAYS = {"says": "one two three"}


class Scripted(ToolModel):
    """Streams the words of `says`; "!" raises, "~" hangs until it is released."""

    closed: threading.Event
    release: threading.Event

    def _stream(self, *args, **kwargs):
        try:
            for word in self.says.split():
                if word == "!":
                    raise RuntimeError("broken off")
                if word == "~":
                    self.release.wait()
                yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))
        finally:
            self.closed.set()


def make(fitted, models=None, facade="router", **fields):
    models = models or tool_models(**dict.fromkeys(fitted.members, SAYS))
    return as_facade(make_tool_router(fitted, models, **{"policy": "single_best", **fields}), facade)


def scripted_streams(fitted, best, others="fine"):
    chosen, release = fitted.members[fitted.pool.single_best], threading.Event()
    said = {name: best if name == chosen else others for name in fitted.members}
    return {
        name: Scripted(model=name, says=says, closed=threading.Event(), release=release)
        for name, says in said.items()
    }


def chunks_of(model, mode, prompt="x", config=None, seen=None):
    seen = [] if seen is None else seen
    if mode == "stream":
        for chunk in model.stream(prompt, config):
            seen.append(chunk)
        return seen

    async def gather():
        async for chunk in model.astream(prompt, config):
            seen.append(chunk)
        return seen

    return asyncio.run(gather())


@modes
@facades
@pytest.mark.parametrize("policy", ["single_best", "all_members"])
def test_chunks_add_up_to_what_invoke_returns(fitted, mode, facade, policy):
    model = make(fitted, facade=facade, policy=policy)
    whole, invoked = functools.reduce(operator.add, chunks_of(model, mode)), model.invoke("x")
    assert whole.content == invoked.content
    assert whole.usage_metadata == invoked.usage_metadata
    assert whole.response_metadata["model_name"] == invoked.response_metadata["model_name"]
    told, expected = whole.response_metadata["selectllm"], invoked.response_metadata["selectllm"]
    assert told.pop("latencies_s").keys() == expected.pop("latencies_s").keys()
    assert told == expected


@modes
@facades
@pytest.mark.parametrize("policy", ["single_best", "all_members"])
def test_streamed_tool_calls_add_up_too(fitted, mode, facade, policy):
    bound = make(fitted, tool_models(), facade=facade, policy=policy).bind_tools([add])
    whole = functools.reduce(operator.add, chunks_of(bound, mode, "Add 3 and 4."))
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("add", {"a": 3, "b": 4})]


@modes
@facades
@pytest.mark.parametrize("policy", ["single_best", "all_members"])
def test_members_that_reply_in_blocks_stream_blocks(fitted, mode, facade, policy):
    models = tool_models(**{name: {**SAYS, "output_version": "v1"} for name in fitted.members})
    whole = functools.reduce(operator.add, chunks_of(make(fitted, models, facade, policy=policy), mode))
    assert [(block["type"], block["text"]) for block in whole.content] == [("text", "one two three")]
    assert whole.response_metadata["selectllm"]["answer"] == "one two three"


@modes
@facades
def test_a_member_that_fails_before_its_first_chunk_is_replaced(fitted, mode, facade):
    told = chunks_of(make(fitted, scripted_streams(fitted, "! never"), facade), mode)[-1].response_metadata[
        "selectllm"
    ]
    chosen = fitted.members[fitted.pool.single_best]
    assert list(told["failures"]) == told["selection"]["members"] == [chosen]
    assert told["topped_up"] == [told["winner"]] != [chosen]


@modes
@facades
def test_a_stream_that_breaks_off_raises_what_broke_it(fitted, mode, facade):
    seen = []
    with pytest.raises(RuntimeError, match="broken off"):
        chunks_of(make(fitted, scripted_streams(fitted, "one ! two"), facade), mode, seen=seen)
    assert [chunk.content for chunk in seen] == ["one "]


@modes
@facades
def test_when_no_member_streams_one_error_carries_every_cause(fitted, mode, facade):
    with pytest.raises(FanOutError, match="All 5 called members failed"):
        chunks_of(make(fitted, scripted_streams(fitted, "!", "!"), facade), mode)


@OVERDUE.each(*product(MODES, FACADES, ("~ late", "one ~ late")))
def one_stream_hangs(fitted, mode, facade, says):
    """The chunks of a stream whose first chosen member hangs, or the error that ends it."""
    models = scripted_streams(fitted, says)
    try:
        return chunks_of(make(fitted, models, facade, deadline_s=DEADLINE_S), mode)
    except DeadlineError as error:
        return error
    finally:
        for model in models.values():
            model.release.set()


@modes
@facades
def test_a_deadline_bounds_the_wait_for_a_stream(overdue, mode, facade):
    told = metadata_of(overdue(one_stream_hangs, mode, facade, "~ late")[-1])
    assert [failure["error"] for failure in told["failures"].values()] == ["DeadlineError"]
    halfway = overdue(one_stream_hangs, mode, facade, "one ~ late")
    assert isinstance(halfway, DeadlineError)
    assert "No reply within deadline_s=10" in str(halfway)


@OVERDUE.call
def slow_reader(fitted):
    """Chunks that are read in more time than the deadline gives."""
    chunks = []
    for chunk in make(fitted, deadline_s=DEADLINE_S).stream("x"):
        time.sleep(0.4 * DEADLINE_S)
        chunks.append(chunk)
    return chunks


def test_a_reader_that_takes_its_time_does_not_pass_the_deadline(overdue):
    words = [chunk.content for chunk in overdue(slow_reader)]
    assert len(words) > 2
    assert "".join(words) == "one two three"


@facades
def test_a_reader_that_leaves_closes_the_members_stream(fitted, facade):
    models = scripted_streams(fitted, "one two three")
    stream = make(fitted, models, facade).stream("x")
    next(stream)
    stream.close()
    assert models[fitted.members[fitted.pool.single_best]].closed.wait(LONG_S)


async def test_a_reader_that_leaves_closes_the_members_async_stream(fitted):
    closed: asyncio.Queue[str] = asyncio.Queue()

    class Endless(ToolModel):
        async def _astream(self, *args, **kwargs):
            try:
                while True:
                    yield ChatGenerationChunk(message=AIMessageChunk(content="on "))
                    await asyncio.sleep(0)
            finally:
                closed.put_nowait(self.model)

    models = {name: Endless(model=name) for name in fitted.members}
    async with aclosing(make(fitted, models).astream("x")) as stream:
        await anext(stream)
    assert await asyncio.wait_for(closed.get(), LONG_S) == fitted.members[fitted.pool.single_best]


@modes
@pytest.mark.parametrize("policy", ["single_best", "all_members"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_streamed_member_runs_nest_and_tokens_are_counted_once(fitted, mode, policy, wrapped):
    models = tool_models(**dict.fromkeys(fitted.members, SAYS))
    if wrapped:
        models = {name: model.bind(stop=["s"]) for name, model in models.items()}
    tracer, usage = Recorder(), UsageMetadataCallbackHandler()
    chain = (
        ChatPromptTemplate.from_messages([("human", "{q}")])
        | make(fitted, models, policy=policy)
        | StrOutputParser()
    )
    assert "".join(chunks_of(chain, mode, {"q": "x"}, {"callbacks": [tracer, usage]})) == "one two three"
    (root,) = tracer.roots
    router = next(run for run in flatten(root) if run.name == "SelectLLMRouter")
    members = [run for run in flatten(root) if run.run_type in {"llm", "chat_model"}]
    assert len(members) == (1 if policy == "single_best" else 5)
    assert all(run.parent_run_id == router.id for run in members)
    assert all(any(tag.startswith("selectllm:member:") for tag in run.tags) for run in members)
    assert sum(counted["input_tokens"] for counted in usage.usage_metadata.values()) == 10 * len(members)


@given(st.text())
def test_words_add_up_to_the_text(text):
    assert "".join(chunk.content for chunk in message_chunks(AIMessage(text))) == text


def test_the_policy_is_chosen_per_request_without_loading_anything(fitted, monkeypatch):
    monkeypatch.setattr(SelectLLMClassifier, "from_pretrained", None)
    router = make(fitted, tool_models(), policy="all_members").bind_tools([add])
    field = router.configurable_fields(policy=ConfigurableField(id="policy", annotation=str))

    def told(config=None):
        return field.invoke("Add 3 and 4.", config).response_metadata["selectllm"]

    assert (told()["calls"], told({"configurable": {"policy": "max_conf:2"}})["calls"]) == (5, 2)
    assert told({"configurable": {"policy": MaxConf(1)}})["selection"]["policy"] == "max_conf:1"
    # Tools that were bound stay bound.
    assert (
        told({"configurable": {"policy": "max_conf:2"}})["answer"]
        == '[{"args": {"a": 3, "b": 4}, "name": "add"}]'
    )
    prepared, _ = field.prepare({"configurable": {"policy": "max_conf:2"}})
    assert prepared.classifier is fitted
    with pytest.raises(PolicyError, match="'nonsense' is unknown"):
        told({"configurable": {"policy": "nonsense"}})
    assert (
        field.with_config(configurable={"policy": "max_conf:3"})
        .invoke("x")
        .response_metadata["selectllm"]["calls"]
        == 3
    )
