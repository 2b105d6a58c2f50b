"""The deadline of a whole request, beside that of one call."""

import asyncio
import time

import pytest

from langchain_selectllm import JudgeVote, VotingOutputParser
from langchain_selectllm.exceptions import DeadlineError, FanOutError
from langchain_selectllm.fanout.call_plan import CallPlan
from langchain_selectllm.fanout.deadlines import Limits, RequestTimer
from langchain_selectllm.fanout.parallel import arun, run
from langchain_selectllm.testing import ReplayChatModel
from tests.support.hanging import HangingChatModel
from tests.support.routers import LETTERS, as_facade, call, make_router, metadata_of
from tests.support.worlds import scripted

CALL_S, REQUEST_S = 0.3, 0.5


@pytest.fixture
def hang():
    """Members that hang until the test ends."""
    made = []

    def make(**fields):
        made.append(HangingChatModel(**fields))
        return made[-1]

    yield make
    for model in made:
        model.release.set()


def timed(runnable, mode):
    start = time.perf_counter()
    try:
        return call(runnable, "x", mode), time.perf_counter() - start
    except FanOutError as error:
        return error, time.perf_counter() - start


def test_a_call_has_its_own_deadline_or_what_is_left_of_the_request():
    assert Limits().of_a_call() is None
    assert Limits(2.0).of_a_call().seconds == 2.0
    timer = RequestTimer(deadline_s=5.0, started_at=time.perf_counter() - 4.0)
    assert Limits(0.5, None, timer).of_a_call().seconds == 0.5
    left = Limits(2.0, None, timer).of_a_call()
    assert 0.0 < left.seconds < 1.0
    assert "request_deadline_s=5" in str(left.error)
    over = RequestTimer(deadline_s=5.0, started_at=time.perf_counter() - 6.0)
    assert (over.left_s, Limits(2.0, None, over).is_over) == (0.0, True)


@pytest.mark.parametrize("facade", ["router", "chat"])
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "batch", "stream", "astream"])
def test_members_called_for_hanging_ones_get_what_is_left(fitted, hang, facade, mode):
    # Five hanging members, called one after the other: 5 * 0.3 s without the deadline of the request.
    models = {name: hang(model=name) for name in fitted.members}
    router = make_router(
        fitted, models, policy="single_best", deadline_s=CALL_S, request_deadline_s=REQUEST_S, min_replies=1
    )
    error, took = timed(as_facade(router, facade), mode)
    assert isinstance(error, FanOutError)
    assert [type(cause) for cause in error.exceptions] == [DeadlineError] * 2
    assert took < 5 * CALL_S
    first, second = sorted(map(str, error.exceptions))
    assert ("No reply within deadline_s=0.3" in first, "request_deadline_s=0.5" in second) == (True, True)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_the_replies_that_have_come_vote_and_the_others_are_named(fitted, hang, mode):
    models = {**scripted(LETTERS), "reader": hang(model="reader"), "clockmaker": hang(model="clockmaker")}
    router = make_router(fitted, models, request_deadline_s=REQUEST_S, min_replies=5)
    message, _ = timed(router, mode)
    told = metadata_of(message)
    assert set(told["answers"]) == {"calculator", "generalist", "guesser"}
    assert set(told["failures"]) == {"reader", "clockmaker"}
    assert told["failures"]["reader"]["error"] == "DeadlineError"
    assert (told["calls"], told["cancelled"], told["decided_early"]) == (5, [], False)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_members_that_wait_for_a_free_slot_are_held_back_when_the_time_is_over(fitted, hang, mode):
    models = {name: hang(model=name) for name in fitted.members}
    models["calculator"] = scripted(LETTERS)["calculator"]
    router = make_router(fitted, models, request_deadline_s=REQUEST_S)
    message = call(router, "x", mode, {"max_concurrency": 2})
    told = metadata_of(message)
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


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_the_judge_gets_what_is_left(fitted, hang, mode):
    parser = VotingOutputParser(answer="choice", vote=JudgeVote(hang(model="judge")))
    message, _ = timed(make_router(fitted, parser=parser, request_deadline_s=REQUEST_S), mode)
    assert "request_deadline_s" in metadata_of(message)["vote"]["judge"]["failure"]


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_a_decision_that_takes_all_of_the_time_calls_nobody(fitted, mode):
    def slow_text(messages):
        time.sleep(0.05)
        return "x"

    models = {name: ReplayChatModel(model=name, error=AssertionError("called")) for name in fitted.members}
    router = make_router(fitted, models, text_of=slow_text, request_deadline_s=0.02)
    with pytest.raises(DeadlineError, match=r"request_deadline_s=0\.02"):
        call(router, "x", mode)
