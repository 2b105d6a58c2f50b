"""Settings are checked when a router is made, whether a request uses them or not."""

import math

import pytest
from langchain_core.language_models import FakeListLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import ConfigurableField, RunnableLambda

from langchain_selectllm import Member, SelectLLMRouter, VotingOutputParser
from langchain_selectllm.exceptions import MemberMismatchError, PolicyError
from langchain_selectllm.members.registry import ModelRegistry
from langchain_selectllm.testing import ReplayChatModel
from tests.support.routers import LETTERS, make_router
from tests.support.worlds import scripted


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"deadline": 5}, r"SelectLLMRouter got an unexpected .* 'deadline'. Did you mean 'deadline_s'\?"),
        ({"zzz": 5}, "unexpected keyword argument 'zzz'. It takes .*max_calls"),
    ],
)
def test_unknown_keyword_arguments_are_errors(fitted, tmp_path, fields, message):
    with pytest.raises(TypeError, match=message):
        make_router(fitted, **fields)
    fitted.save_pretrained(tmp_path / "router")
    with pytest.raises(TypeError, match=message):
        SelectLLMRouter.from_pretrained(tmp_path / "router", scripted(LETTERS), **fields)


def test_parsers_and_chat_models_take_no_unknown_arguments_either(fitted):
    with pytest.raises(TypeError, match=r"VotingOutputParser .* 'anwser'. Did you mean 'answer'\?"):
        VotingOutputParser(anwser="number")
    with pytest.raises(TypeError, match=r"ChatSelectLLM .* 'stopp'. Did you mean 'stop'\?"):
        make_router(fitted).as_chat_model(stopp=["x"])


@pytest.mark.parametrize("name", ["deadline_s", "request_deadline_s"])
@pytest.mark.parametrize("seconds", [0, -1.0, math.nan])
def test_deadlines_are_above_0(fitted, name, seconds):
    with pytest.raises(PolicyError, match=f"{name} is .*Use seconds above 0"):
        make_router(fitted, **{name: seconds})


@pytest.mark.parametrize("min_replies", [0, -1, 6])
def test_min_replies_is_a_number_of_members(fitted, min_replies):
    with pytest.raises(PolicyError, match=f"min_replies is {min_replies}. Use 1 to 5"):
        make_router(fitted, min_replies=min_replies)


def test_below_confidence_is_checked_although_no_min_confidence_uses_it(fitted):
    with pytest.raises(MemberMismatchError, match="below_confidence is 'gusser'"):
        make_router(fitted, below_confidence="gusser")
    assert make_router(fitted, below_confidence="guesser").min_confidence is None


@pytest.mark.parametrize("policy", ["selectllm:9", "adaptive:5.5"])
def test_a_budget_of_more_calls_than_members_is_an_error(fitted, policy):
    with pytest.raises(PolicyError, match=r"does not fit the pool \(5 members\)|is unknown"):
        make_router(fitted, policy=policy)
    assert make_router(fitted, policy="selectllm:5")


def test_a_field_that_a_request_sets_is_checked_too(fitted):
    router = make_router(fitted).configurable_fields(deadline_s=ConfigurableField(id="deadline"))
    with pytest.raises(PolicyError, match="deadline_s is -1"):
        router.invoke("x", {"configurable": {"deadline": -1}})


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (42, "Member 'reader' is a int, which returns no message"),
        (ReplayChatModel, "no message"),
        (FakeListLLM(responses=["x"]), "is a FakeListLLM, which returns str, no message"),
        (ReplayChatModel(default="x") | StrOutputParser(), "is a RunnableSequence, which returns str"),
        (Member("".join(())), "is a str, which returns no message"),
    ],
)
def test_members_that_return_no_message_are_errors(fitted, member, message):
    with pytest.raises(MemberMismatchError, match=message):
        make_router(fitted, {**scripted(LETTERS), "reader": member})


def test_wrappers_and_functions_that_return_messages_are_members():
    model = ReplayChatModel(default="x")
    models = [model.bind(stop=["x"]), model.with_retry(), RunnableLambda(lambda x: x) | model, model]
    assert len(ModelRegistry({str(i): one for i, one in enumerate(models)})) == 4


def test_a_provider_string_is_connected(monkeypatch):
    made = []

    def init_chat_model(model, **settings):
        made.append(model)
        return ReplayChatModel(model=model, default="x")

    monkeypatch.setattr("langchain.chat_models.init_chat_model", init_chat_model)
    registry = ModelRegistry({"mini": "openai:gpt-4o-mini", "priced": Member("openai:gpt-4o", 2.5, 10.0)})
    assert made == ["openai:gpt-4o-mini", "openai:gpt-4o"]
    assert registry["mini"].model.model == "openai:gpt-4o-mini"
    assert registry["priced"].price_input_usd_per_million == 2.5
