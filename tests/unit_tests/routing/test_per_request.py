"""What one request may change: policy, bound on calls, least confidence, members in flight."""

import asyncio
import threading
import time
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda
from pydantic import BaseModel

from langchain_selectllm import SelectLLMClassifier, VotingOutputParser
from langchain_selectllm.exceptions import FanOutError, LowConfidenceError, PolicyError
from langchain_selectllm.integrations.agent_middleware import SelectLLMMiddleware
from langchain_selectllm.testing import ReplayChatModel
from tests.support.agents import run
from tests.support.routers import LETTERS, call, every_mode, make_router, metadata_of
from tests.support.tool_models import ToolModel, tool_models
from tests.support.tools import add
from tests.support.waiting import LONG_S, until
from tests.support.worlds import scripted

FIELDS = {
    "policy": ConfigurableField(id="policy", annotation=str),
    "max_calls": ConfigurableField(id="max_calls"),
    "min_confidence": ConfigurableField(id="min_confidence"),
    "below_confidence": ConfigurableField(id="below_confidence"),
}


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    monkeypatch.setattr(SelectLLMClassifier, "from_pretrained", None)
    monkeypatch.setattr(SelectLLMClassifier, "fit", None)


@every_mode
def test_a_bound_on_calls_takes_the_most_probable_of_the_chosen(fitted, mode):
    router = make_router(fitted, policy="max_conf:4", max_calls=2)
    free = make_router(fitted, policy="max_conf:4").decide("Add 3 and 4.")
    after = metadata_of(call(router, "Add 3 and 4.", mode))
    ranked = sorted(free.selected_members, key=lambda name: -after["probabilities"][name])
    assert after["selection"]["members"] == sorted(ranked[:2])
    assert (after["held_back"], after["calls"]) == (sorted(ranked[2:]), 2)


@every_mode
def test_a_bound_on_calls_counts_those_that_failed(fitted, mode):
    models = scripted(LETTERS, errors=("calculator", "clockmaker"))
    after = metadata_of(call(make_router(fitted, models, min_replies=3, max_calls=3), "Add 3 and 4.", mode))
    assert after["calls"] <= 3
    assert after["topped_up"] == []
    assert set(after["selection"]["members"]) | set(after["held_back"]) == set(LETTERS)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_bound_on_calls_holds_in_further_rounds_and_says_who_was_held_back(fitted, mode):
    rule = {"policy": "max_conf:2", "min_confidence": 1.0, "below_confidence": "guesser"}
    escalated = metadata_of(call(make_router(fitted, max_calls=3, **rule), "Add 3 and 4.", mode))
    assert (escalated["calls"], escalated["winner"], escalated["held_back"]) == (3, "guesser", [])
    bounded = metadata_of(call(make_router(fitted, max_calls=2, **rule), "Add 3 and 4.", mode))
    assert (bounded["calls"], bounded["rounds"], bounded["held_back"]) == (2, 1, ["guesser"])
    assert bounded["vote"]["decided_by"] != "escalation"


def test_a_bound_of_one_streams_as_it_comes(fitted):
    router = make_router(fitted, max_calls=1)
    assert router.engine.is_final(router.decide("x"))


def test_a_bound_that_lets_nobody_be_called_is_refused(fitted):
    with pytest.raises(PolicyError, match="max_calls is 0. Use at least 1"):
        make_router(fitted, max_calls=0)


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "batch", "abatch", "stream"])
def test_each_request_in_a_chain_has_settings_of_its_own(fitted, mode):
    router = make_router(fitted).configurable_fields(**FIELDS)
    prompt = ChatPromptTemplate.from_messages([("human", "{q}")])
    chain = prompt | router

    def ask(**settings):
        return metadata_of(call(chain.with_config(configurable=settings), {"q": "Add 3 and 4."}, mode))

    assert ask()["calls"] == 5
    assert ask(policy="max_conf:3")["selection"]["policy"] == "max_conf:3"
    assert ask(max_calls=2)["calls"] == 2
    assert ask(policy="max_conf:3", max_calls=2)["calls"] == 2
    assert ask(min_confidence=1.0, below_confidence="abstain")["abstained"]
    assert ask(min_confidence=1.0, below_confidence="guesser")["winner"] == "guesser"
    with pytest.raises(LowConfidenceError, match="less than min_confidence=1"):
        ask(min_confidence=1.0)
    with pytest.raises(PolicyError, match="max_calls is -1"):
        ask(max_calls=-1)
    assert ask()["calls"] == 5


@pytest.mark.usefixtures("nothing_is_loaded")
def test_a_request_reaches_the_chat_models_router_through_its_config(fitted):
    cheap, dear = make_router(fitted, max_calls=1), make_router(fitted)
    chain = (
        dear.as_chat_model().configurable_fields(router=ConfigurableField(id="router")) | StrOutputParser()
    )
    assert chain.invoke("x") == "The answer is (A)."
    chosen = cheap.decide("x").selected_members[0]
    said = chain.with_config(configurable={"router": cheap}).invoke("x")
    assert said == f"The answer is ({LETTERS[chosen]})."


class InFlight:
    """A context for calls that counts how many are in it at once; none leaves before there have been `limit`."""

    def __init__(self, limit):
        self.limit, self.running, self.peak = limit, 0, 0
        self.lock, self.full = threading.Lock(), threading.Event()

    def __enter__(self):
        with self.lock:
            self.running += 1
            self.peak = max(self.peak, self.running)
            if self.running >= self.limit:
                self.full.set()

    def __exit__(self, *_):
        with self.lock:
            self.running -= 1


class Counting(ReplayChatModel):
    calls: Any

    def _generate(self, *args, **kwargs):
        with self.calls:
            self.calls.full.wait(LONG_S)
            # Whoever passes the bound does so now.
            time.sleep(0.005)
            return super()._generate(*args, **kwargs)

    async def _agenerate(self, *args, **kwargs):
        with self.calls:
            await until(self.calls.full.is_set)
            await asyncio.sleep(0.005)
            return await super()._agenerate(*args, **kwargs)


def counting(limit):
    """Members that count their calls in flight, and the count."""
    calls = InFlight(limit)
    return {name: Counting(model=name, default="(A)", calls=calls) for name in LETTERS}, calls


def as_facade(router, facade):
    if facade == "router":
        return router
    return router.as_chat_model() if facade == "chat" else router.configurable_fields(**FIELDS)


async def gathered(stream):
    return [one async for one in stream]


BATCHES = {
    "batch": lambda model, *given: model.batch(*given),
    "abatch": lambda model, *given: asyncio.run(model.abatch(*given)),
    "batch_as_completed": lambda model, *given: [reply for _, reply in model.batch_as_completed(*given)],
    "abatch_as_completed": lambda model, *given: [
        r for _, r in asyncio.run(gathered(model.abatch_as_completed(*given)))
    ],
    "chain": lambda model, *given: (RunnableLambda(lambda prompt: prompt) | model).batch(*given),
    "bound": lambda model, *given: model.bind(stop=None).batch(*given),
}


@pytest.mark.parametrize("facade", ["router", "chat", "configurable"])
@pytest.mark.parametrize("mode", BATCHES)
@pytest.mark.parametrize("limit", [1, 3])
def test_max_concurrency_bounds_all_member_calls_of_a_batch_together(fitted, facade, mode, limit):
    models, calls = counting(limit)
    model = as_facade(make_router(fitted, models), facade)
    # Requests that differ, where they may.
    configs = [{"max_concurrency": limit, "configurable": {"max_calls": 5 + i}} for i in range(6)]
    replies = BATCHES[mode](model, ["x"] * 6, configs)
    assert calls.peak == limit
    assert [metadata_of(reply)["calls"] for reply in replies] == [5] * 6


@pytest.mark.parametrize("inside", ["router", "chat"])
@pytest.mark.parametrize("outside", ["router", "chat", "configurable"])
@pytest.mark.parametrize("mode", ["batch", "batch_as_completed"])
def test_a_pool_whose_member_is_a_pool_does_not_wait_for_itself(fitted, inside, outside, mode):
    """One slot for the whole batch: the inner pool's calls are the outer member's own affair."""
    outer = as_facade(
        make_router(fitted, dict.fromkeys(LETTERS, as_facade(make_router(fitted), inside))), outside
    )
    given, done = (
        (["x", "y"], [{"max_concurrency": 1, "configurable": {"max_calls": 5 + i}} for i in range(2)]),
        [],
    )
    worker = threading.Thread(target=lambda: done.extend(BATCHES[mode](outer, *given)), daemon=True)
    worker.start()
    worker.join(LONG_S)
    assert [reply.content for reply in done] == ["The answer is (A)."] * 2


def test_one_call_outside_a_batch_is_bounded_too(fitted):
    models, calls = counting(2)
    make_router(fitted, models).as_chat_model().invoke("x", {"max_concurrency": 2})
    assert calls.peak == 2


def test_a_batch_can_return_what_went_wrong(fitted):
    model = make_router(
        fitted, {name: ReplayChatModel(model=name, replies={"a": "(A)"}) for name in LETTERS}
    ).as_chat_model()
    good, bad = model.batch(["a", "b"], {"max_concurrency": 2}, return_exceptions=True)
    assert good.content == "(A)"
    assert isinstance(bad, FanOutError)
    assert model.batch([]) == []


class Asked(BaseModel):
    """A sum."""

    total: int


@pytest.fixture
def tooled(fitted):
    return make_router(fitted, tool_models(), parser=VotingOutputParser()).configurable_fields(**FIELDS)


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_configurable_router_stays_so_with_tools_and_schemas(tooled, mode):
    config = {"configurable": {"max_calls": 2}}
    assert metadata_of(call(tooled.bind_tools([add]), "Add 3 and 4.", mode, config))["calls"] == 2
    raw = call(tooled.with_structured_output(Asked, include_raw=True), "The total is 7.", mode, config)
    assert (raw["parsed"], metadata_of(raw["raw"])["calls"]) == (Asked(total=7), 2)
    assert metadata_of(call(tooled.bind_tools([add]), "Add 3 and 4.", mode))["calls"] == 5


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
@pytest.mark.parametrize("facade", ["router", "middleware"])
def test_a_request_to_an_agent_sets_the_fields_of_its_router(tooled, facade, mode):
    if facade == "router":
        agent = create_agent(tooled, [add])
    else:
        agent = create_agent(
            ToolModel(error=AssertionError()), [add], middleware=[SelectLLMMiddleware(tooled)]
        )

    def calls(**settings):
        messages = run(agent, mode, {"messages": "Add 3 and 4."}, {"configurable": settings})["messages"]
        return [metadata_of(message)["calls"] for message in messages if isinstance(message, AIMessage)]

    assert calls() == [5, 5]
    assert calls(max_calls=2) == [2, 2]
    assert calls(policy="max_conf:3") == [3, 3]


@pytest.mark.parametrize("mode", ["batch", "abatch"])
def test_a_configured_batch_is_encoded_and_bounded_together(fitted, mode, monkeypatch):
    (models, calls), encoded = counting(2), []
    original = SelectLLMClassifier.predict_proba
    router = make_router(fitted, models).configurable_fields(**FIELDS)
    monkeypatch.setattr(
        SelectLLMClassifier, "predict_proba", lambda self, ts: encoded.append(len(ts)) or original(self, ts)
    )
    config = {"max_concurrency": 2, "configurable": {"max_calls": 3}}
    assert [metadata_of(reply)["calls"] for reply in BATCHES[mode](router, ["x"] * 4, config)] == [3] * 4
    assert calls.peak == 2
    assert 4 in encoded
    apart = [{"configurable": {"max_calls": n}} for n in (1, 2)]
    assert [metadata_of(reply)["calls"] for reply in BATCHES[mode](router, ["x"] * 2, apart)] == [1, 2]
    assert BATCHES[mode](router, []) == []


def test_fields_that_requests_set_on_members_are_told(fitted):
    says = {"says": ConfigurableField(id="words"), "args": ConfigurableField(id="arguments")}
    models = {name: ToolModel(model=name, says=name).configurable_fields(**says) for name in LETTERS}
    router = make_router(fitted, models, parser=VotingOutputParser(answer="text"))
    assert {spec.id: spec.default for spec in router.config_specs} == {
        "words": "calculator",
        "arguments": None,
    }
    asked = {"configurable": {"words": "hello", "max_calls": 2}}
    assert metadata_of(router.invoke("x", asked))["answer"] == "hello"
    configurable = router.configurable_fields(max_calls=ConfigurableField(id="max_calls"))
    assert {spec.id for spec in configurable.config_specs} == {"words", "arguments", "max_calls"}
    assert metadata_of(configurable.invoke("x", asked))["calls"] == 2


def test_only_fields_can_be_made_configurable(fitted):
    with pytest.raises(ValueError, match="nonsense"):
        make_router(fitted).configurable_fields(nonsense=ConfigurableField(id="nonsense"))
