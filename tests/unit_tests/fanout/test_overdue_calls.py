"""Calls that miss their deadline, and those that wait for a free slot."""

import asyncio
import threading
import time

from langchain_selectllm.exceptions import DeadlineError
from langchain_selectllm.fanout.concurrency import ConcurrencyLimit
from langchain_selectllm.fanout.deadlines import Limits
from langchain_selectllm.fanout.parallel import arun, run
from tests.support.plans import plan_for, reply
from tests.support.waiting import DEADLINE_S, LONG_S, OVERDUE


@OVERDUE.call
def late_thread(_):
    """A plan of which one member replies only after the plan is over."""
    release = threading.Event()

    def call(k):
        if k == 1:
            release.wait()
        return reply(k)

    plan = plan_for(range(3))
    run(plan, call, Limits(deadline_s=DEADLINE_S))
    release.set()
    return plan


def test_a_late_thread_is_a_failure_and_its_late_reply_is_ignored(overdue):
    plan = overdue(late_thread)
    assert sorted(plan.replies) == [0, 2]
    assert isinstance(plan.failures[1], DeadlineError)
    assert "deadline_s=10" in str(plan.failures[1])


@OVERDUE.call
def late_task(_):
    """A plan of which one member never replies, and the members that were cancelled."""
    cancelled = []

    async def call(k):
        if k == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(k)
                raise
        return reply(k)

    plan = plan_for(range(3))
    asyncio.run(arun(plan, call, Limits(deadline_s=DEADLINE_S)))
    return plan, cancelled


def test_a_late_task_is_cancelled_and_counted_as_a_failure(overdue):
    plan, cancelled = overdue(late_task)
    assert sorted(plan.replies) == [0, 2]
    assert isinstance(plan.failures[1], DeadlineError)
    assert cancelled == [1]


@OVERDUE.call
def waits_for_a_slot(_):
    """A plan whose calls get their slot after more than a deadline."""
    plan, limit = plan_for(range(3)), ConcurrencyLimit(1)
    with limit.slot(None):
        caller = threading.Thread(target=run, args=(plan, reply, Limits(deadline_s=DEADLINE_S), limit))
        caller.start()
        time.sleep(DEADLINE_S + 1)
    caller.join()
    return plan


def test_a_call_that_waits_for_a_slot_is_not_late(overdue):
    """Deadlines run from the start of a call."""
    plan = overdue(waits_for_a_slot)
    assert (sorted(plan.replies), plan.failures) == ([0, 1, 2], {})


class Hanging:
    """A call of which the first member hangs until it is released, and those that hung."""

    def __init__(self):
        self.release, self.ended = threading.Event(), []

    def __call__(self, k):
        if k == 0:
            self.release.wait()
            self.ended.append(k)
        return reply(k)


@OVERDUE.call
def hangs_in_the_only_slot(_):
    """A plan of one call at a time, whose first call hangs, and the calls that were waited for."""
    call, plan = Hanging(), plan_for(range(3))
    run(plan, call, Limits(deadline_s=DEADLINE_S), ConcurrencyLimit(1))
    waited_for = list(call.ended)
    call.release.set()
    return plan, waited_for


def test_a_hanging_call_loses_its_slot_at_its_deadline(overdue):
    plan, waited_for = overdue(hangs_in_the_only_slot)
    assert (sorted(plan.replies), list(plan.failures), waited_for) == ([1, 2], [0], [])


@OVERDUE.call
def given_up_in_a_slot(_):
    """A plan that needs both slots, one of which a call holds that was given up, and the calls that were waited for."""
    call, limit, barrier = Hanging(), ConcurrencyLimit(2), threading.Barrier(2, timeout=LONG_S)
    run(plan_for(range(2), settled_by=1), call, Limits(deadline_s=DEADLINE_S), limit)
    both = plan_for(range(2))
    run(both, lambda k: (barrier.wait(), reply(k))[1], Limits(), limit)
    waited_for = list(call.ended)
    call.release.set()
    return both, waited_for


def test_a_call_that_a_settled_vote_gave_up_loses_its_slot_at_its_deadline(overdue):
    both, waited_for = overdue(given_up_in_a_slot)
    assert (sorted(both.replies), waited_for) == ([0, 1], [])
