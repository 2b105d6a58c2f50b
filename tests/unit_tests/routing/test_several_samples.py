"""Policies that call one member several times, through the router."""

import logging
from dataclasses import dataclass

import numpy as np
import pytest

from langchain_selectllm import FeedbackLog, VotingOutputParser
from langchain_selectllm.exceptions import FanOutError
from langchain_selectllm.selection.operating_points import FurtherRounds
from langchain_selectllm.selection.policies import Selection
from langchain_selectllm.voting.votes import MajorityVote
from tests.support.live_models import CountingModel
from tests.support.routers import LETTERS, call, every_mode, make_router, metadata_of
from tests.support.tool_models import tool_models
from tests.support.worlds import scripted


def samples(*letters):
    """A model whose n-th reply names the n-th letter; "!" fails."""

    def answer(prompt, n):
        letter = letters[n % len(letters)]
        return RuntimeError("down") if letter == "!" else f"The answer is ({letter})."

    return CountingModel(answer=answer)


@pytest.fixture
def best(fitted):
    return fitted.members[fitted.pool.single_best]


def sampled_router(fitted, best, *letters, **fields):
    models = {**scripted(LETTERS), best: samples(*letters)}
    return make_router(fitted, models, **{"policy": "self_consistency:3", **fields}), models


@every_mode
def test_the_majority_of_the_samples_of_one_member_is_returned(fitted, best, mode):
    router, models = sampled_router(fitted, best, "C", "B", "B")
    message = call(router, "x", mode)
    metadata = metadata_of(message)
    assert models[best].calls["x"] == 3
    assert message.text == "The answer is (B)."
    assert metadata["selection"]["members"] == [best] * 3
    assert metadata["selection"]["policy"] == "self_consistency:3"
    assert metadata["called"] == [[best] * 3]
    assert (metadata["calls"], metadata["rounds"], metadata["winner"]) == (3, 1, best)
    assert sorted(metadata["answers"]) == [best, f"{best}#2", f"{best}#3"]
    assert sorted(metadata["answers"].values()) == ["B", "B", "C"]
    assert len(metadata["supporters"]) == 2
    assert metadata["support"] == pytest.approx(2 / 3)
    # Every call has its own latency and tokens: 10 in, 5 out each.
    assert set(metadata["latencies_s"]) == set(metadata["usage_by_member"]) == set(metadata["answers"])
    assert message.usage_metadata["total_tokens"] == 45


def test_the_routed_policy_samples_the_most_probable_member(fitted):
    router = make_router(fitted, policy="routed_self_consistency:2")
    decision = router.decide("What is 17 * 23?")
    best = max(decision.members, key=lambda name: decision.probabilities[decision.members.index(name)])
    assert decision.selected_members == (best, best)


def test_early_stop_gives_up_samples_that_cannot_change_the_majority(fitted, best):
    router, _ = sampled_router(fitted, best, "A", policy="self_consistency:5", early_stop=True)
    metadata = metadata_of(router.invoke("x", {"max_concurrency": 1}))
    # Three of five equal answers decide.
    assert metadata["calls"] == 3
    assert metadata["cancelled"] == [best] * 2
    assert metadata["decided_early"]


def test_max_calls_bounds_the_samples(fitted, best):
    router, models = sampled_router(fitted, best, "A", max_calls=2)
    metadata = metadata_of(router.invoke("x"))
    assert models[best].calls["x"] == metadata["calls"] == 2
    assert metadata["held_back"] == [best]


def test_a_failed_sample_is_recorded_under_a_name_of_its_own(fitted, best):
    router, _ = sampled_router(fitted, best, "A", "!", "A", min_replies=1)
    metadata = metadata_of(router.invoke("x", {"max_concurrency": 1}))
    assert metadata["answers"] == {best: "A", f"{best}#2": "A"}
    assert list(metadata["failures"]) == [f"{best}#3"]


def test_the_error_names_every_failed_call(fitted, best):
    models = scripted(LETTERS, errors=tuple(LETTERS))
    router = make_router(fitted, {**models, best: samples("!")}, policy="self_consistency:2", max_calls=2)
    with pytest.raises(FanOutError, match="All 2 called members failed"):
        router.invoke("x")


def test_a_member_with_temperature_zero_is_called_once_with_one_warning(fitted, best, caplog):
    models = {**scripted(LETTERS), best: CountingModel(temperature=0, answer=lambda prompt, n: "(A)")}
    router = make_router(fitted, models, policy="self_consistency:3")
    with caplog.at_level(logging.WARNING, "langchain_selectllm.routing"):
        metadata = metadata_of(router.invoke("x"))
        router.invoke("x")
    assert models[best].calls["x"] == 2
    assert metadata["called"] == [[best]]
    assert metadata["selection"]["reason"].endswith(f"{best} once, because its temperature is 0")
    assert caplog.messages == [f"member {best} is called once instead of several times: its temperature is 0"]


def test_temperature_zero_of_the_call_counts_too(fitted, best):
    router, models = sampled_router(fitted, best, "A", "B")
    router.invoke("x", temperature=0)
    assert models[best].calls["x"] == 1


def test_objects_of_several_samples_are_voted_on(fitted, best):
    schema = {"title": "Answer", "type": "object", "properties": {"a": {"type": "integer"}}}
    router = make_router(
        fitted, tool_models(), policy="self_consistency:3", parser=VotingOutputParser()
    ).with_structured_output(schema, include_raw=True)
    reply = router.invoke("x")
    assert metadata_of(reply["raw"])["called"] == [[best] * 3]


def test_feedback_scores_a_member_by_the_mean_of_its_ballots(fitted, best, tmp_path):
    log = FeedbackLog(tmp_path)
    router, _ = sampled_router(fitted, best, "A", "A", "B", feedback_log=log)
    # Two of three samples gave the right answer.
    assert router.feedback(router.invoke("x"), 1.0) == {best: pytest.approx(2 / 3)}


@dataclass(frozen=True)
class AskAgain:
    """One call of the best member, and two more where the confidence is below a threshold."""

    threshold: float = 1.1

    def select(self, probabilities, pool):
        calls = np.zeros(probabilities.shape, dtype=np.int64)
        calls[:, pool.single_best] = 1
        further = FurtherRounds(threshold=self.threshold, added=2 * calls)
        return Selection(
            calls > 0, probabilities, ("asked again",) * len(calls), MajorityVote(), further, calls
        )


@every_mode
def test_a_second_round_calls_the_same_member_again(fitted, best, mode):
    router, models = sampled_router(fitted, best, "C", "B", "B", policy=AskAgain())
    message = call(router, "x", mode)
    metadata = metadata_of(message)
    assert message.text == "The answer is (B)."
    assert models[best].calls["x"] == 3
    assert metadata["called"] == [[best], [best, best]]
    assert metadata["answers"][best] == "C"
    assert {metadata["answers"][f"{best}#2"], metadata["answers"][f"{best}#3"]} == {"B"}
    assert (metadata["rounds"], metadata["calls"]) == (2, 3)


def test_no_second_round_of_the_same_member_where_the_answer_is_sure_enough(fitted, best):
    router, models = sampled_router(fitted, best, "C", "B", "B", policy=AskAgain(threshold=0.0))
    assert metadata_of(router.invoke("x"))["called"] == [[best]]
    assert models[best].calls["x"] == 1


def test_a_member_with_temperature_zero_is_not_called_again(fitted, best, caplog):
    models = {**scripted(LETTERS), best: CountingModel(temperature=0, answer=lambda prompt, n: "(A)")}
    router = make_router(fitted, models, policy=AskAgain())
    with caplog.at_level(logging.WARNING, "langchain_selectllm.routing"):
        assert metadata_of(router.invoke("x"))["called"] == [[best]]
    assert caplog.messages == [f"member {best} is called once instead of several times: its temperature is 0"]
