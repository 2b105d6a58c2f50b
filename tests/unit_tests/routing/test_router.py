import asyncio
import json

import numpy as np
import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from pydantic import ValidationError

from langchain_selectllm import Member, SelectLLMRouter, VotingOutputParser, evaluate
from langchain_selectllm.exceptions import FanOutError, MemberMismatchError, PolicyError
from langchain_selectllm.testing import ReplayChatModel, replay_models
from tests.support.routers import LETTERS, call, every_mode, make_router
from tests.support.traces import Recorder, flatten
from tests.support.worlds import scripted


@every_mode
def test_the_reply_is_the_winners_own_message_with_everything_beside_it(fitted, mode):
    message = call(make_router(fitted), "Add 3 and 4.", mode)
    told = message.response_metadata["selectllm"]
    assert message.content == "The answer is (A)."
    assert message.response_metadata["model_name"] == told["winner"]
    assert told["answer"] == "A"
    assert told["answers"] == LETTERS
    assert told["support"] == pytest.approx(0.6)
    assert told["vote"] == {
        "strategy": "majority",
        "scores": {"A": 3.0, "B": 1.0, "C": 1.0},
        "decided_by": "vote",
    }
    assert told["selection"] == {"members": list(LETTERS), "policy": "all_members", "reason": "all members"}
    assert told["calls"] == 5
    assert set(told["probabilities"]) == set(told["latencies_s"]) == set(LETTERS)
    assert told["failures"] == {}
    assert json.loads(json.dumps(told)) == told


@every_mode
def test_three_failing_members_leave_a_voted_answer_and_three_failures(fitted, mode):
    models = scripted(LETTERS, errors=("calculator", "clockmaker", "guesser"))
    told = call(make_router(fitted, models), "x", mode).response_metadata["selectllm"]
    assert set(told["answers"]) == {"generalist", "reader"}
    assert set(told["failures"]) == {"calculator", "clockmaker", "guesser"}
    assert told["failures"]["guesser"] == {"error": "RuntimeError", "message": "guesser is down"}


def test_sync_and_async_and_batch_agree(fitted, demo):
    router = make_router(
        fitted,
        replay_models(demo[1]),
        policy="weighted_max_conf:3",
        parser=VotingOutputParser(answer="number"),
    )
    prompts = list(demo[1].texts[:12])

    def essence(message):
        told = message.response_metadata["selectllm"]
        return message.content, {key: value for key, value in told.items() if key != "latencies_s"}

    singly = [essence(router.invoke(prompt)) for prompt in prompts]
    assert [essence(message) for message in router.batch(prompts)] == singly
    assert [essence(message) for message in asyncio.run(router.abatch(prompts))] == singly


def test_evaluation_and_serving_agree(fitted, demo):
    test = demo[1]
    unique = test.take([test.texts.index(text) for text in set(test.texts)])
    for policy in ("weighted_max_conf:3", "max_conf:2", "labelled_max_conf:3", "fixed_best:4"):
        router = make_router(
            fitted,
            replay_models(unique),
            policy=policy,
            parser=VotingOutputParser(answer="number"),
            early_stop=True,
        )
        replies = router.batch(list(unique.texts))
        answers = [message.response_metadata["selectllm"]["answer"] for message in replies]
        served = np.mean([answer == gold for answer, gold in zip(answers, unique.references, strict=True)])
        assert served == pytest.approx(evaluate(fitted, unique, policies=[policy])[policy].accuracy)


def test_batch_encodes_all_prompts_at_once(fitted, monkeypatch):
    seen = []
    original = type(fitted).predict_proba
    monkeypatch.setattr(
        type(fitted), "predict_proba", lambda self, texts: seen.append(len(texts)) or original(self, texts)
    )
    router = make_router(fitted)
    seen.clear()
    router.batch(["one", "two", "three"])
    assert seen == [3]


def test_one_bad_prompt_of_a_batch_is_returned_when_asked_for(fitted, demo):
    router = make_router(fitted, replay_models(demo[1]), parser=VotingOutputParser(answer="number"))
    results = router.batch([demo[1].texts[0], "never recorded"], return_exceptions=True)
    assert isinstance(results[0], AIMessage)
    assert isinstance(results[1], FanOutError)
    with pytest.raises(FanOutError):
        router.batch([demo[1].texts[0], "never recorded"])


def test_a_failed_single_pick_falls_back_to_the_next_most_probable(fitted):
    prompt = "How many letters has the word river?"
    order = [fitted.members[k] for k in np.argsort(-fitted.predict_proba([prompt])[0])]
    told = (
        make_router(fitted, scripted(LETTERS, errors=order[:1]), policy="max_conf:1")
        .invoke(prompt)
        .response_metadata["selectllm"]
    )
    assert told["selection"]["members"] == order[:1] == ["reader"]
    assert told["topped_up"] == order[1:2]
    assert told["winner"] == order[1]


def test_when_all_abstain_the_most_probable_members_reply_stands_and_is_recorded(fitted):
    models = {name: ReplayChatModel(model=name, default="no idea") for name in LETTERS}
    message = make_router(fitted, models).invoke("What is 12 * 12?")
    told = message.response_metadata["selectllm"]
    assert (told["answer"], told["vote"]["decided_by"], told["support"]) == (None, "no readable answer", 0.0)
    assert told["winner"] == "generalist"  # the best base rate, which a query-unaware policy votes with


def test_cost_and_usage_are_summed_over_the_members(fitted):
    models = {name: Member(model, 1.0, 2.0) for name, model in scripted(LETTERS).items()}
    message = make_router(fitted, models).invoke("x" * 40)
    # 10 input tokens and 4 output tokens a member.
    assert message.usage_metadata["input_tokens"] == 50
    assert message.usage_metadata["output_tokens"] == 20
    assert message.response_metadata["selectllm"]["cost_usd"] == pytest.approx((50 * 1 + 20 * 2) / 1e6)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "batch", "abatch", "stream"])
def test_member_runs_are_children_of_the_router_tagged_by_name(fitted, mode):
    tracer = Recorder()
    chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | make_router(fitted) | StrOutputParser()
    call(chain, {"q": "x"}, mode, {"callbacks": [tracer]})
    (root,) = tracer.roots
    router = next(run for run in flatten(root) if run.name == "SelectLLMRouter")
    members = [run for run in flatten(root) if run.run_type in {"llm", "chat_model"}]
    assert len(members) == 5
    assert all(run.parent_run_id == router.id for run in members)
    assert {tag for run in members for tag in run.tags if tag.startswith("selectllm:")} == {
        f"selectllm:member:{name}" for name in LETTERS
    }


@every_mode
def test_every_token_is_counted_once_by_the_usage_handler(fitted, mode):
    handler = UsageMetadataCallbackHandler()
    call(make_router(fitted), "x" * 40, mode, {"callbacks": [handler]})
    assert len(handler.usage_metadata) == 5
    assert sum(usage["input_tokens"] for usage in handler.usage_metadata.values()) == 50


def test_it_composes_in_chains_with_fallbacks_and_retries(fitted):
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{question}")])
    down = make_router(fitted, scripted(LETTERS, errors=tuple(LETTERS)))
    chain = (
        prompt
        | down.with_retry(stop_after_attempt=2).with_fallbacks([make_router(fitted)])
        | StrOutputParser()
    )
    assert chain.invoke({"question": "What?"}) == "The answer is (A)."


def test_the_last_human_text_is_routed_on_unless_told_otherwise(fitted):
    messages = [
        SystemMessage("s"),
        HumanMessage("first"),
        AIMessage("r"),
        HumanMessage([{"type": "text", "text": "second"}]),
    ]
    assert make_router(fitted).decide(messages).text == "second"
    assert make_router(fitted, text_of=lambda ms: ms[1].text).decide(messages).text == "first"
    assert make_router(fitted).decide("plain").text == "plain"


@every_mode
@pytest.mark.parametrize("prompt", [None, 5, {"q": "x"}, HumanMessage("x")])
def test_what_is_no_prompt_is_refused_before_anybody_is_called(fitted, mode, prompt):
    with pytest.raises(
        TypeError, match=f"The prompt is a {type(prompt).__name__}. Pass a string, a list of messages"
    ):
        call(make_router(fitted), prompt, mode)


@every_mode
@pytest.mark.parametrize("text", [None, 5])
def test_a_text_that_is_none_is_refused_before_anybody_is_called(fitted, mode, text):
    with pytest.raises(TypeError, match=f"text_of returned {text}. Let it return a string"):
        call(make_router(fitted, text_of=lambda _: text), "x", mode)


def test_a_prompt_without_text_is_routed_by_base_rates_and_says_so(fitted):
    picture = HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])
    decision = make_router(fitted, policy="max_conf:2").decide([picture])
    np.testing.assert_array_equal(decision.probabilities, fitted.pool.base_rates)
    assert decision.reason.endswith("no text, so by base rates")


def test_mistakes_are_heard_of_at_construction(fitted):
    with pytest.raises(MemberMismatchError, match="Missing from the registry: 'reader'"):
        make_router(fitted, scripted(dict.fromkeys(list(LETTERS)[:4], "A")))
    with pytest.raises(PolicyError, match="does not fit the pool"):
        make_router(fitted, policy="max_conf:6")
    with pytest.raises(PolicyError, match="'nonsense' is unknown"):
        make_router(fitted, policy="nonsense")
    with pytest.raises(ValidationError):
        make_router(fitted, deadline_s="soon")


def test_the_parser_defaults_to_what_the_training_replies_were(fitted, demo):
    router = SelectLLMRouter(classifier=fitted, models=replay_models(demo[1]))
    assert router.parser.answer == "number"
    assert router.invoke(demo[1].texts[0]).response_metadata["selectllm"]["answer"] is not None


def test_a_replaying_model_refuses_what_it_never_heard():
    with pytest.raises(LookupError, match="has no recorded reply to 'new'"):
        ReplayChatModel(model="m", replies={"old": "x"}).invoke("new")


def test_an_engine_is_built_once_and_again_after_a_field_has_changed(fitted):
    router = SelectLLMRouter(classifier=fitted, models=scripted(LETTERS), policy="weighted_max_conf:2")
    engine = router.engine
    assert router.engine is engine
    bounded = router.model_copy(update={"max_calls": 1})
    assert (bounded.engine.settings.max_calls, router.engine) == (1, engine)
    router.max_calls = 3
    assert (router.engine is engine, router.engine.settings.max_calls) == (False, 3)
