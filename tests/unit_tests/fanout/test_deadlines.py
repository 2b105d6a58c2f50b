"""The deadline of a whole request, beside that of one call."""

import asyncio
import time
from itertools import product

import pytest

from langchain_selectllm import JudgeVote, VotingOutputParser
from langchain_selectllm.exceptions import DeadlineError, FanOutError
from langchain_selectllm.fanout.call_plan import CallPlan
from langchain_selectllm.fanout.deadlines import Limits, RequestTimer
from langchain_selectllm.fanout.parallel import arun, run
from langchain_selectllm.testing import ReplayChatModel
from tests.support.hanging import HangingChatModel, release_all
from tests.support.routers import LETTERS, as_facade, call, make_router, metadata_of
from tests.support.waiting import DEADLINE_S, OVERDUE
from tests.support.worlds import scripted

CALL_S, REQUEST_S = 0.6 * DEADLINE_S, DEADLINE_S
FACADES, MODES = ("router", "chat"), ("invoke", "ainvoke", "batch", "stream", "astream")


def outcome(runnable, models, mode, config=None):
    """The reply, or the error that stands for those of all members; what hangs is released then."""
    try:
        return call(runnable, "x", mode, config)
    except FanOutError as error:
        return error
    finally:
        release_all(models)


def test_a_call_has_its_own_deadline_or_what_is_left_of_the_request():
    assert Limits().of_a_call() is None
    assert Limits(2.0).of_a_call().seconds == 2.0
    timer = RequestTimer(deadline_s=5000.0, started_at=time.perf_counter() - 4000.0)
    assert Limits(0.5, None, timer).of_a_call().seconds == 0.5
    left = Limits(2000.0, None, timer).of_a_call()
    assert 0.0 < left.seconds < 1000.0
    assert "request_deadline_s=5000" in str(left.error)
    over = RequestTimer(deadline_s=5.0, started_at=time.perf_counter() - 6.0)
    assert (over.left_s, Limits(2.0, None, over).is_over) == (0.0, True)


@OVERDUE.each(*product(FACADES, MODES))
def all_hang(fitted, facade, mode):
    """What comes of members that all hang and are called one after the other, and how many were called."""
    models = {name: HangingChatModel(model=name) for name in fitted.members}
    router = make_router(
        fitted, models, policy="single_best", deadline_s=CALL_S, request_deadline_s=REQUEST_S, min_replies=1
    )
    error = outcome(as_facade(router, facade), models.values(), mode)
    return error, sum(model.n_calls for model in models.values())


@pytest.mark.parametrize("facade", FACADES)
@pytest.mark.parametrize("mode", MODES)
def test_members_called_for_hanging_ones_get_what_is_left(overdue, facade, mode):
    error, n_called = overdue(all_hang, facade, mode)
    assert isinstance(error, FanOutError)
    assert [type(cause) for cause in error.exceptions] == [DeadlineError] * 2
    # Without the deadline of the request, all five members would be called.
    assert n_called == 2
    first, second = sorted(map(str, error.exceptions))
    assert ("No reply within deadline_s=6" in first, "request_deadline_s=10" in second) == (True, True)


@OVERDUE.each(("invoke",), ("ainvoke",))
def two_hang(fitted, mode):
    hanging = {name: HangingChatModel(model=name) for name in ("reader", "clockmaker")}
    router = make_router(
        fitted, {**scripted(LETTERS), **hanging}, request_deadline_s=REQUEST_S, min_replies=5
    )
    return outcome(router, hanging.values(), mode)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_the_replies_that_have_come_vote_and_the_others_are_named(overdue, mode):
    told = metadata_of(overdue(two_hang, mode))
    assert set(told["answers"]) == {"calculator", "generalist", "guesser"}
    assert set(told["failures"]) == {"reader", "clockmaker"}
    assert told["failures"]["reader"]["error"] == "DeadlineError"
    assert (told["calls"], told["cancelled"], told["decided_early"]) == (5, [], False)


@OVERDUE.each(("invoke",), ("ainvoke",))
def four_hang_in_two_slots(fitted, mode):
    models = {name: HangingChatModel(model=name) for name in fitted.members}
    models["calculator"] = scripted(LETTERS)["calculator"]
    router = make_router(fitted, models, request_deadline_s=REQUEST_S)
    return outcome(router, models.values(), mode, {"max_concurrency": 2})


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_members_that_wait_for_a_free_slot_are_held_back_when_the_time_is_over(overdue, mode):
    told = metadata_of(overdue(four_hang_in_two_slots, mode))
    assert (told["calls"], len(told["held_back"])) == (3, 2)


def test_no_round_follows_when_the_time_is_over():
    class Again:
        is_slow = False

        def add(self, member, reply):
            pass

        def is_settled(self, outstanding, *, are_late):
            return False

        def next_round(self, called):
            return [2, 3]

    plan = CallPlan(selected=(0, 1), reserve=(2, 3), min_replies=2, counter=Again())
    plan.take(None)
    plan.close(DeadlineError("over"), {0: 0.25})
    assert plan.done
    assert (sorted(plan.failures), plan.latencies) == ([0, 1], {0: 0.25, 1: 0.0})
    assert (plan.topped_up, plan.held_back, plan.rounds) == ([], [2, 3], 1)


def test_a_fan_out_without_time_calls_nobody():
    calls = []
    over = Limits(timer=RequestTimer(deadline_s=1.0, started_at=time.perf_counter() - 2.0))

    async def acall(member):
        calls.append(member)

    plans = [CallPlan(selected=(0,)), CallPlan(selected=(0,))]
    run(plans[0], calls.append, over)
    asyncio.run(arun(plans[1], acall, over))
    assert (calls, [plan.held_back for plan in plans]) == ([], [[0], [0]])


@OVERDUE.each(("invoke",), ("ainvoke",))
def judge_hangs(fitted, mode):
    judge = HangingChatModel(model="judge")
    parser = VotingOutputParser(answer="choice", vote=JudgeVote(judge))
    return outcome(make_router(fitted, parser=parser, request_deadline_s=REQUEST_S), [judge], mode)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_the_judge_gets_what_is_left(overdue, mode):
    told = metadata_of(overdue(judge_hangs, mode))
    assert "request_deadline_s" in told["vote"]["judge"]["failure"]


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_a_decision_that_takes_all_of_the_time_calls_nobody(fitted, mode):
    def slow_text(messages):
        time.sleep(0.05)
        return "x"

    models = {name: ReplayChatModel(model=name, error=AssertionError("called")) for name in fitted.members}
    router = make_router(fitted, models, text_of=slow_text, request_deadline_s=0.02)
    with pytest.raises(DeadlineError, match=r"request_deadline_s=0\.02"):
        call(router, "x", mode)
