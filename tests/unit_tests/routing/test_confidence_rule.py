import asyncio
import copy
import pickle
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_selectllm import SelectLLMClassifier, SelectLLMRouter, VotingOutputParser, evaluate
from langchain_selectllm.classifier.metrics import selective_metrics
from langchain_selectllm.exceptions import LowConfidenceError, MemberMismatchError, PolicyError
from langchain_selectllm.routing.confidence_rule import ConfidenceRule
from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.operating_points import SINGLE_BEST, FurtherRounds
from langchain_selectllm.selection.policies import Selection
from langchain_selectllm.testing import ReplayChatModel, replay_models
from langchain_selectllm.voting.votes import MajorityVote
from tests.support.routers import metadata_of
from tests.support.worlds import score_table

NUMBER = VotingOutputParser(answer="number")


def models_that_say(fitted, **numbers):
    return {
        name: ReplayChatModel(model=name, default=f"Let me see. The answer is {numbers.get(name, 7)}.")
        for name in fitted.members
    }


def make(fitted, models, **fields):
    return SelectLLMRouter(
        classifier=fitted, models=models, **{"parser": NUMBER, "policy": "all_members", **fields}
    )


def test_agreement_raises_the_confidence_and_disagreement_lowers_it(fitted):
    together = make(fitted, models_that_say(fitted)).invoke("Add 3 and 4.")
    apart = make(fitted, models_that_say(fitted, calculator=1, clockmaker=2, generalist=3, reader=4)).invoke(
        "Add 3 and 4."
    )
    assert 0 < metadata_of(apart)["confidence"] < 0.7 < 0.9 < metadata_of(together)["confidence"] <= 1


def test_the_posterior_of_a_lone_reply_is_near_its_members_probability(fitted):
    message = make(fitted, models_that_say(fitted), policy="max_conf:1").invoke(
        "How many letters has the word river?"
    )
    assert metadata_of(message)["confidence"] == pytest.approx(
        metadata_of(message)["probabilities"][metadata_of(message)["winner"]], abs=0.15
    )


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream"])
def test_below_the_minimum_the_router_raises_abstains_or_escalates(fitted, mode):
    models = models_that_say(fitted, calculator=1, clockmaker=2, generalist=3, reader=4)

    def ask(**fields):
        router = make(fitted, models, min_confidence=0.95, **fields)
        if mode == "invoke":
            return router.invoke("Add 3 and 4.")
        if mode == "ainvoke":
            return asyncio.run(router.ainvoke("Add 3 and 4."))
        chunks = list(router.stream("Add 3 and 4."))
        return sum(chunks[1:], chunks[0])

    with pytest.raises(LowConfidenceError, match=r"less than min_confidence=0\.95") as error:
        ask()
    assert metadata_of(error.value.reply)["confidence"] == error.value.confidence < 0.95
    silent = ask(below_confidence="abstain")
    assert silent.text == ""
    assert metadata_of(silent)["abstained"]
    assert metadata_of(silent)["answer"] is not None
    escalated = ask(below_confidence="guesser")
    assert escalated.text == "Let me see. The answer is 7."
    assert (metadata_of(escalated)["winner"], metadata_of(escalated)["vote"]["decided_by"]) == (
        "guesser",
        "escalation",
    )


def test_a_withheld_message_keeps_nothing_of_its_calls():
    made = {"id": "1", "function": {"name": "add", "arguments": "{"}, "type": "function"}
    message = AIMessage(
        "7",
        tool_calls=[tool_call(name="add", args={}, id="1")],
        invalid_tool_calls=[invalid_tool_call(name="add", args="{", id="1")],
        additional_kwargs={"tool_calls": [made], "refusal": None},
        response_metadata={"selectllm": {"confidence": 0.1, "answer": "7"}},
    )
    silent = ConfidenceRule(0.5, "abstain").apply(message)
    assert (silent.text, silent.tool_calls, silent.invalid_tool_calls) == ("", [], [])
    assert silent.additional_kwargs == {"refusal": None}


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_the_error_of_an_unsure_answer_travels_whole(again):
    error = LowConfidenceError("not sure", reply=AIMessage("7"), confidence=0.1)
    error.add_note("asked twice")
    copied = again(error)
    assert (str(copied), copied.reply.text, copied.confidence) == ("not sure", "7", 0.1)
    assert copied.__notes__ == ["asked twice"]


def test_escalation_calls_a_member_that_was_not_selected(fitted):
    router = make(
        fitted, models_that_say(fitted), policy="max_conf:1", min_confidence=0.999, below_confidence="guesser"
    )
    message = router.invoke("How many letters has the word river?")
    assert metadata_of(message)["selection"]["members"] == ["reader"]
    assert (
        metadata_of(message)["winner"],
        metadata_of(message)["calls"],
        metadata_of(message)["rounds"],
    ) == ("guesser", 2, 2)


def test_a_sure_answer_is_left_alone(fitted):
    message = make(fitted, models_that_say(fitted), min_confidence=0.5, below_confidence="guesser").invoke(
        "Add 3 and 4."
    )
    assert metadata_of(message)["rounds"] == 1
    assert not metadata_of(message)["abstained"]


def test_rules_that_cannot_be_applied_are_refused_at_construction(fitted):
    models = models_that_say(fitted)
    with pytest.raises(PolicyError, match=r"min_confidence is 1\.5"):
        make(fitted, models, min_confidence=1.5)
    with pytest.raises(MemberMismatchError, match="below_confidence is 'nobody'"):
        make(fitted, models, min_confidence=0.5, below_confidence="nobody")
    scores = SelectLLMClassifier().fit(score_table(np.eye(4)))
    plain = {name: ReplayChatModel(default="x") for name in scores.members}
    with pytest.raises(PolicyError, match="needs a learned vote"):
        SelectLLMRouter(classifier=scores, models=plain, policy="max_conf:1", min_confidence=0.5)


def test_adaptive_rounds_serve_what_they_replay(fitted, demo):
    test = demo[1]
    unique = test.take([test.texts.index(text) for text in set(test.texts)])
    for policy in (
        "adaptive:2",
        "selectllm:2",
        "learned:3",
        "adaptive:4",
        "adaptive:4:1round",
    ):
        router = make(fitted, replay_models(unique), policy=policy)
        replies = router.batch(list(unique.texts))
        report = evaluate(fitted, unique, policies=[policy])[policy]
        served = np.mean(
            [
                metadata_of(reply)["answer"] == gold
                for reply, gold in zip(replies, unique.references, strict=True)
            ]
        )
        assert served == pytest.approx(report.accuracy)
        assert np.mean([metadata_of(reply)["calls"] for reply in replies]) == pytest.approx(report.calls)


@dataclass(frozen=True)
class TwoRounds:
    """Some members first, everybody below a confidence."""

    first: tuple[str, ...]
    threshold: float = 1.0

    def select(self, probabilities, pool):
        mask = np.tile([name in self.first for name in pool.members], (len(probabilities), 1))
        further = FurtherRounds(threshold=self.threshold, added=~mask)
        return Selection(mask, probabilities, ("some first",) * len(mask), MajorityVote(), further)


def test_a_two_round_policy_streams_one_answer_not_two(fitted):
    router = make(fitted, models_that_say(fitted), policy=TwoRounds(("reader",)))
    chunks = list(router.stream("zyx wvu tsr"))
    assert "".join(chunk.text for chunk in chunks) == "Let me see. The answer is 7."
    assert (metadata_of(chunks[-1])["rounds"], metadata_of(chunks[-1])["calls"]) == (2, 5)


def test_a_second_round_whose_members_replaced_failed_ones_calls_no_member(fitted):
    engine = make(fitted, models_that_say(fitted), policy=TwoRounds(("calculator",))).engine
    (decision,) = engine.decide(["zyx wvu tsr"])
    further = replace(decision.further, added=np.array([[False, True, False, False, False]]))
    election = engine.open_election(replace(decision, further=further))
    election.add(0, AIMessage("The answer is 7."))
    assert list(election.next_round({0, 1})) == []
    assert list(election.next_round({0})) == [1]
    assert list(election.next_round({0, 1})) == []


def late(models, name):
    return {**models, name: models[name].model_copy(update={"delay_s": 0.4})}


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
@pytest.mark.parametrize("slow", ["clockmaker", "guesser"])
def test_a_vote_that_is_decided_early_is_still_escalated(fitted, mode, slow):
    """Three of five say 7 at once, which a majority cannot lose; what is not sure enough goes to the guesser all the same."""
    models = late(models_that_say(fitted, clockmaker=1, guesser=2), slow)
    fields = {"parser": VotingOutputParser(answer="number", vote="majority"), "early_stop": True}
    router = SelectLLMRouter(classifier=fitted, models=models, policy="all_members", **fields)
    assert ask(router, mode, "zyx wvu tsr")["decided_early"]
    escalating = router.model_copy(update={"min_confidence": 1.0, "below_confidence": "guesser"})
    after = ask(escalating, mode, "zyx wvu tsr")
    assert (after["winner"], after["answer"], after["vote"]["decided_by"]) == ("guesser", "2", "escalation")


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_vote_that_is_decided_early_and_sure_is_not_waited_for(fitted, mode):
    models = late(models_that_say(fitted), "guesser")
    fields = {"parser": VotingOutputParser(answer="number", vote="majority"), "early_stop": True}
    router = make(fitted, models, min_confidence=0.5, below_confidence="guesser", **fields)
    assert "guesser" in ask(router, mode, "Add 3 and 4.")["cancelled"]


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_vote_that_is_decided_early_still_gets_its_second_round(fitted, mode):
    models = late(models_that_say(fitted), "reader")
    policy = TwoRounds(("calculator", "generalist", "reader"))
    after = ask(make(fitted, models, policy=policy, early_stop=True), mode, "zyx wvu tsr")
    assert (after["rounds"], after["calls"]) == (2, 5)


def test_the_vote_stands_where_the_member_escalated_to_has_no_answer(fitted):
    models = {
        **models_that_say(fitted),
        "guesser": ReplayChatModel(model="guesser", default="I would rather not say."),
    }
    rule = {"min_confidence": 1.0, "below_confidence": "guesser"}
    after = metadata_of(make(fitted, models, policy="max_conf:2", **rule).invoke("Add 3 and 4."))
    assert (after["answer"], after["answers"]["guesser"], after["rounds"]) == ("7", None, 2)
    assert after["vote"]["decided_by"] == "vote, because the member escalated to abstained"
    silent = dict.fromkeys(fitted.members, models["guesser"])
    assert metadata_of(make(fitted, silent, **rule).invoke("x"))["vote"]["decided_by"] == "no readable answer"


def ask(router, mode, prompt):
    return metadata_of(router.invoke(prompt) if mode == "invoke" else asyncio.run(router.ainvoke(prompt)))


def test_a_budget_is_kept_on_validation_and_an_impossible_one_is_refused(fitted):
    for calls in range(1, 6):
        for guarded in (False, True):
            assert Adaptive(calls=calls, guarded=guarded).point(fitted.pool).calls <= calls
    with pytest.raises(PolicyError, match="No operating point keeps cost_usd=1e-09 in at most") as refused:
        Adaptive(cost_usd=1e-9).point(fitted.pool)
    (smallest,) = re.findall(r"the smallest possible cost_usd is (\S+)\.$", str(refused.value))
    assert Adaptive(cost_usd=float(smallest)).point(fitted.pool).cost_usd > 0.99 * float(smallest)
    # 0.0005 USD is the price of one middling call; the generalist alone costs 0.002.
    cheap = Adaptive(cost_usd=0.0007)
    assert cheap.point(fitted.pool).cost_usd <= 0.0007
    assert cheap.select(fitted.predict_proba(["Add 3 and 4."]), fitted.pool).mask.sum() >= 1
    # Calls take 1 s in the mean, the slowest of three about 1.3 s.
    fast, slow = Adaptive(latency_s=1.05).point(fitted.pool), Adaptive(latency_s=3).point(fitted.pool)
    assert 0.9 < fast.latency_s <= 1.05
    assert slow.latency_s > 1.05
    assert slow.accuracy >= fast.accuracy
    with pytest.raises(
        PolicyError, match=r"keeps latency_s=0\.1 in at most 2 rounds; the smallest possible latency_s is"
    ):
        Adaptive(latency_s=0.1).point(fitted.pool)


def test_the_guard_goes_by_evidence(fitted):
    found = [
        Adaptive(calls=size, guarded=True).point(fitted.pool) for size in range(1, len(fitted.members) + 1)
    ]
    assert all(point.rule == SINGLE_BEST or "beats" in point.evidence for point in found)
    assert any(point.evidence for point in found)


def test_the_guard_keeps_the_fixed_set_where_the_query_says_nothing():
    # Two members whose being right has nothing to do with the text.
    rng = np.random.default_rng(0)
    classifier = SelectLLMClassifier().fit(score_table((rng.random((400, 2)) < [0.8, 0.6]).astype(float)))
    for size in (1, 2):
        assert Adaptive(calls=size, guarded=True).point(classifier.pool).rule.ranking == "fixed"
        assert Adaptive(calls=size).point(classifier.pool).rule.ranking == "query"


def test_selective_metrics_by_hand():
    # Sorted by confidence the scores are 1, 1, 0, 1: accuracies 1, 1, 2/3, 3/4.
    metrics = selective_metrics(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 1, 0, 1]))
    assert metrics["aurc"] == pytest.approx(np.mean([0, 0, 1 / 3, 1 / 4]))
    assert metrics["accuracy_at_50"] == 1
    assert metrics["accuracy_at_80"] == pytest.approx(2 / 3)
