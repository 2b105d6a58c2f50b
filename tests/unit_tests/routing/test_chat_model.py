import asyncio
import threading
from itertools import pairwise
from unittest.mock import MagicMock

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import UsageMetadataCallbackHandler, get_usage_metadata_callback
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langsmith import tracing_context

from langchain_selectllm import ChatSelectLLM, Member, SelectLLMRouter, VotingOutputParser
from langchain_selectllm.exceptions import FanOutError, MemberMismatchError
from langchain_selectllm.prompts import whole_transcript
from langchain_selectllm.routing.sticky import StickyThreads
from langchain_selectllm.testing import ReplayChatModel
from tests.support.routers import LETTERS, call, make_chat_model
from tests.support.tool_models import ToolModel, tool_models
from tests.support.tools import add
from tests.support.traces import Recorder, flatten
from tests.support.waiting import LONG_S
from tests.support.worlds import scripted

every_mode = pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])


@every_mode
def test_the_vote_is_returned_with_everything_beside_it(fitted, mode):
    message = call(make_chat_model(fitted), "x", mode)
    told = message.response_metadata["selectllm"]
    assert message.content == "The answer is (A)."
    assert (told["answer"], told["answers"], told["calls"]) == ("A", LETTERS, 5)
    assert (message.response_metadata["model_name"], told["winner_model"]) == ("selectllm", told["winner"])


@every_mode
@pytest.mark.parametrize("wrapped", [False, True])
def test_one_run_is_seen_and_every_token_is_counted_once(fitted, mode, wrapped):
    models = scripted(LETTERS)
    if wrapped:
        models = {name: model.with_config(tags=["inner"]).with_retry() for name, model in models.items()}
    tracer, handler = Recorder(), UsageMetadataCallbackHandler()
    chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | make_chat_model(fitted, models)
    with get_usage_metadata_callback() as ambient:
        call(chain, {"q": "x" * 40}, mode, {"callbacks": [tracer, handler]})
    (root,) = tracer.roots
    assert [run.name for run in flatten(root) if run.run_type in {"llm", "chat_model"}] == ["ChatSelectLLM"]
    for counted in (handler.usage_metadata, ambient.usage_metadata):
        # 10 input tokens a member, reported once, under the chat model's own name.
        assert [usage["input_tokens"] for usage in counted.values()] == [50]


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_tracer_that_is_on_everywhere_sees_one_run(fitted, mode):
    client, watchers = MagicMock(), []

    class Watched(ToolModel):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            watchers.extend(run_manager.handlers)
            return super()._generate(messages, stop, run_manager, **kwargs)

    models = {name: Watched(model=name) for name in LETTERS}
    with tracing_context(enabled=True, client=client):
        call(make_chat_model(fitted, models), "x", mode)
        assert watchers == []
        call(make_chat_model(fitted, models).router, "x", mode)
    assert len(watchers) == 5
    assert [started.kwargs["name"] for started in client.create_run.call_args_list][:1] == ["ChatSelectLLM"]


@every_mode
def test_a_member_without_an_async_form_is_run_in_a_thread(fitted, mode):
    class SyncOnly(ReplayChatModel):
        async def _agenerate(self, *args, **kwargs):
            raise NotImplementedError

    models = {name: SyncOnly(model=name, default=f"({letter})") for name, letter in LETTERS.items()}
    for policy, calls in (("all_members", 5), ("single_best", 1)):
        for model in (
            make_chat_model(fitted, models, policy=policy),
            make_chat_model(fitted, models, policy=policy).router,
        ):
            told = call(model, "x", mode).response_metadata["selectllm"]
            assert (told["calls"], told["failures"]) == (calls, {})


@every_mode
def test_the_id_of_a_message_is_that_of_the_run_that_is_seen(fitted, mode):
    tracer = Recorder()
    message = call(make_chat_model(fitted), "x", mode, {"callbacks": [tracer]})
    assert str(tracer.roots[0].id) in message.id


@every_mode
def test_a_member_can_be_asked_for_by_name(fitted, mode):
    message = call(make_chat_model(fitted), "x", mode, model="guesser")
    told = message.response_metadata["selectllm"]
    assert (message.content, told["winner"], told["calls"]) == ("The answer is (C).", "guesser", 1)
    with pytest.raises(
        MemberMismatchError, match=r"'nobody' is not a member\. Members to choose from: calculator"
    ):
        call(make_chat_model(fitted), "x", mode, model="nobody")
    with pytest.raises(FanOutError, match="All 1 called members failed"):
        call(make_chat_model(fitted, scripted(LETTERS, errors=["guesser"])), "x", mode, model="guesser")


def test_stop_sequences_reach_the_members(fitted):
    models = tool_models()
    router = SelectLLMRouter(classifier=fitted, models=models, policy="max_conf:1")
    ChatSelectLLM(router=router, stop=["you"]).invoke("x")
    router.as_chat_model().invoke("x", stop=["me"])
    assert [kwargs["stop"] for model in models.values() for kwargs in model.calls] == [["you"], ["me"]]


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_content_is_text_or_blocks_as_asked(fitted, version):
    router = make_chat_model(fitted).router
    message = ChatSelectLLM(router=router, output_version=version).invoke("x")
    blocks = [{"type": "text", "text": "The answer is (A)."}]
    assert message.content == ("The answer is (A)." if version == "v0" else blocks)


def test_two_routers_never_share_a_cached_reply(fitted):
    set_llm_cache(InMemoryCache())
    try:
        first, other_pool = (
            make_chat_model(fitted),
            make_chat_model(fitted, scripted({**LETTERS, "reader": "B", "clockmaker": "B"})),
        )
        assert first.invoke("x").content == "The answer is (A)."
        assert other_pool.invoke("x").content == "The answer is (B)."
        assert "selectllm" in first.invoke("x").response_metadata
    finally:
        set_llm_cache(None)


def test_identity_covers_pool_artefact_policy_and_vote(fitted, demo):
    weighted = VotingOutputParser(answer="choice", vote="weighted")
    models = [
        make_chat_model(fitted),
        make_chat_model(fitted, policy="max_conf:2"),
        make_chat_model(fitted, policy="max_conf:3"),
        make_chat_model(fitted, parser=weighted),
        make_chat_model(type(fitted)().fit(demo[1].take(range(40)))),
        make_chat_model(
            fitted, {**scripted(LETTERS), "reader": ReplayChatModel(model="reader", default="x")}
        ),
        make_chat_model(fitted, {name: model.bind(stop=["x"]) for name, model in scripted(LETTERS).items()}),
        make_chat_model(fitted, {name: model.bind(stop=["y"]) for name, model in scripted(LETTERS).items()}),
        make_chat_model(fitted, {name: model.with_retry() for name, model in scripted(LETTERS).items()}),
        make_chat_model(
            fitted,
            {
                name: model.with_fallbacks([ReplayChatModel(default="z")])
                for name, model in scripted(LETTERS).items()
            },
        ),
        make_chat_model(
            fitted,
            {name: model | RunnableLambda(lambda reply: reply) for name, model in scripted(LETTERS).items()},
        ),
        make_chat_model(
            fitted, {name: Member(model, latency_s=1.0) for name, model in scripted(LETTERS).items()}
        ),
        make_chat_model(fitted, {name: Member(model, 1.0, 2.0) for name, model in scripted(LETTERS).items()}),
        make_chat_model(fitted, text_of=whole_transcript),
        make_chat_model(fitted, sticky=StickyThreads()),
        make_chat_model(fitted, max_calls=2),
        make_chat_model(fitted, min_confidence=0.5),
    ]
    seen = [repr(model._identifying_params) for model in models]
    assert len(set(seen)) == len(models)
    assert repr(make_chat_model(fitted)._identifying_params) == seen[0]
    tools = [
        make_chat_model(fitted, tool_models()).router.with_tools([tool]).as_chat_model()
        for tool in (add, subtract)
    ]
    assert (
        len({repr(model._identifying_params) for model in [make_chat_model(fitted, tool_models()), *tools]})
        == 3
    )


def subtract(a: int, b: int) -> str:
    """Subtract two numbers."""
    return str(a - b)


def test_the_profile_is_the_minimum_over_the_members(fitted):
    limits = {"calculator": 1000, "clockmaker": 800, "generalist": 900, "guesser": 1000, "reader": 2000}
    models = {
        name: ToolModel(
            model=name,
            profile={"max_input_tokens": limit, "tool_calling": True, "structured_output": name != "reader"}
            | ({"image_inputs": True} if name == "reader" else {}),
        )
        for name, limit in limits.items()
    }
    models["guesser"] = models["guesser"].with_retry()
    model = SelectLLMRouter(classifier=fitted, models=models).as_chat_model()
    # Four members do not say whether they take images; one denies structured output.
    assert model.profile == {"max_input_tokens": 800, "tool_calling": True, "structured_output": False}


class Gated(ToolModel):
    """Goes on streaming only after its first word was read."""

    gate: threading.Event

    def _stream(self, *args, **kwargs):
        for word in ("one ", "two ", "three"):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
            assert self.gate.wait(LONG_S)


@pytest.mark.parametrize("facade", ["router", "chat"])
@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_one_chosen_members_chunks_arrive_before_its_reply_is_complete(fitted, facade, mode):
    gate = threading.Event()
    models = {name: Gated(model=name, gate=gate) for name in LETTERS}
    router = SelectLLMRouter(classifier=fitted, models=models, policy="single_best")
    chunks = []

    def read(chunk):
        chunks.append(chunk)
        gate.set()

    async def aread(stream):
        async for chunk in stream:
            read(chunk)

    model = router if facade == "router" else router.as_chat_model()
    if mode == "stream":
        for chunk in model.stream("x"):
            read(chunk)
    else:
        asyncio.run(aread(model.astream("x")))
    words = [chunk.content for chunk in chunks]
    assert "".join(words) == "one two three"
    assert words[:3] == ["one ", "two ", "three"]
    assert chunks[-1].chunk_position == "last"
    assert chunks[-1].response_metadata["selectllm"]["calls"] == 1


def test_a_winner_of_several_is_cut_up_after_the_vote(fitted):
    chunks = list(make_chat_model(fitted).stream("x"))
    assert [chunk.content for chunk in chunks] == ["The ", "answer ", "is ", "(A)."]
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False, False, False, True]
    assert all(a.id == b.id for a, b in pairwise(chunks))
