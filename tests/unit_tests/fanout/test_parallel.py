import asyncio
import threading

import pytest

from langchain_selectllm.fanout.deadlines import Limits
from langchain_selectllm.fanout.parallel import arun, run
from tests.support.plans import plan_for, reply
from tests.support.waiting import LONG_S


def carry_out(plan, behaviour, limits, mode):
    """Run a plan with `behaviour(k)` as the call, in threads or as tasks."""
    if mode == "sync":
        run(plan, behaviour, limits)
        return

    async def call(k):
        return await asyncio.to_thread(behaviour, k)

    asyncio.run(arun(plan, call, limits))


modes = pytest.mark.parametrize("mode", ["sync", "async"])


@modes
def test_all_calls_are_in_flight_together(mode):
    barrier = threading.Barrier(5, timeout=LONG_S)

    def call(k):
        barrier.wait()
        return reply(k)

    plan = plan_for(range(5))
    carry_out(plan, call, Limits(), mode)
    assert sorted(plan.replies) == [0, 1, 2, 3, 4]


@modes
@pytest.mark.parametrize("limit", [1, 2])
def test_max_concurrency_is_honoured_and_reached(mode, limit):
    lock, running, peak = threading.Lock(), 0, 0
    full = threading.Event()

    def call(k):
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
            if running == limit:
                full.set()
        full.wait(LONG_S)
        with lock:
            running -= 1
        return reply(k)

    plan = plan_for(range(6))
    carry_out(plan, call, Limits(max_concurrency=limit), mode)
    assert peak == limit
    assert len(plan.replies) == 6


@modes
def test_failures_do_not_lose_the_others(mode):
    def call(k):
        if k in {1, 3}:
            raise ValueError(f"no {k}")
        return reply(k)

    plan = plan_for(range(5))
    carry_out(plan, call, Limits(), mode)
    assert sorted(plan.replies) == [0, 2, 4]
    assert {k: str(error) for k, error in plan.failures.items()} == {1: "no 1", 3: "no 3"}
    assert plan.calls == 5


@modes
def test_the_next_of_the_reserve_are_called_when_too_few_replies_are_left(mode):
    def call(k):
        if k < 3:
            raise ValueError("down")
        return reply(k)

    plan = plan_for([0, 1], reserve=[2, 3, 4, 5], min_replies=2)
    carry_out(plan, call, Limits(), mode)
    assert plan.topped_up == [2, 3, 4]
    assert sorted(plan.replies) == [3, 4]
    assert plan.calls == 5


@modes
def test_a_settled_vote_gives_up_the_rest(mode):
    release = threading.Event()

    def call(k):
        if k == 2:
            release.wait(LONG_S)
        return reply(k)

    plan = plan_for(range(3), settled_by=2)
    try:
        if mode == "sync":
            run(plan, call, Limits())
        else:
            asyncio.run(arun(plan, _async_call(call), Limits()))
    finally:
        release.set()
    assert sorted(plan.replies) == [0, 1]
    assert plan.outstanding == [2]
    assert plan.calls == 3


def _async_call(call):
    async def acall(k):
        if k == 2:
            await asyncio.Event().wait()
        return call(k)

    return acall


async def test_a_members_own_timeout_error_is_not_taken_for_the_deadline():
    async def call(k):
        raise TimeoutError("the member's own")

    plan = plan_for([0])
    await arun(plan, call, Limits(deadline_s=LONG_S))
    assert str(plan.failures[0]) == "the member's own"


async def test_cancelling_the_caller_cancels_every_member():
    started, cancelled = asyncio.Semaphore(0), []

    async def call(k):
        started.release()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(k)
            raise

    task = asyncio.create_task(arun(plan_for(range(4)), call, Limits()))
    for _ in range(4):
        await started.acquire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(cancelled) == [0, 1, 2, 3]


def test_threads_are_daemons():
    daemons = []

    def call(k):
        daemons.append(threading.current_thread().daemon)
        return reply(k)

    run(plan_for([0, 1]), call, Limits())
    assert daemons == [True, True]


def raising(error):
    def call(k):
        if k == 1:
            raise error
        return reply(k)

    return call


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError("gave up")])
def test_a_member_that_exits_or_cancels_itself_has_failed_and_no_more(error):
    plan = plan_for(range(3))
    run(plan, raising(error), Limits())
    assert sorted(plan.replies) == [0, 2]
    assert f"ended in {type(error).__name__}" in str(plan.failures[1])
    assert plan.failures[1].__cause__ is error


async def test_a_task_that_cancels_itself_does_not_cancel_the_caller():
    plan, call = plan_for(range(3)), raising(asyncio.CancelledError("gave up"))

    async def acall(k):
        return call(k)

    await arun(plan, acall, Limits(deadline_s=LONG_S))
    assert sorted(plan.replies) == [0, 2]
    assert str(plan.failures[1]) == "The member's call ended in CancelledError: gave up"


async def test_a_task_that_cancels_its_own_task_has_failed_and_no_more():
    async def call(k):
        if k == 1:
            asyncio.current_task().cancel()
        await asyncio.sleep(0)
        return reply(k)

    plan = plan_for(range(3))
    await arun(plan, call, Limits())
    assert sorted(plan.replies) == [0, 2]
    assert "ended in CancelledError" in str(plan.failures[1])
