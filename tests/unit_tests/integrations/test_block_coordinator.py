"""Blocks of several workers: which may be in progress together, and what each may cost."""

import asyncio

import pytest

from langchain_selectllm.integrations.block_coordinator import Coordinator


async def soon(waiting):
    """Whether a task is done once all others have had their turn."""
    for _ in range(10):
        await asyncio.sleep(0)
    return waiting.done()


async def test_blocks_with_a_query_in_common_are_answered_one_after_the_other():
    coordinator = Coordinator(None, 3)
    assert (await coordinator.begin("a", ["q1", "q2"])).stopped is None
    second = asyncio.create_task(coordinator.begin("b", ["q2", "q3"]))
    assert not await soon(second)
    # Others go on.
    assert (await coordinator.begin("c", ["q4"])).stopped is None
    await coordinator.end("a", 0.0, None)
    assert (await second).stopped is None


async def test_the_money_left_is_divided_and_what_is_not_spent_is_given_back():
    coordinator = Coordinator(10.0, 2)
    assert (await coordinator.begin("a", ["q1"])).allowed_usd == 5.0
    assert (await coordinator.begin("b", ["q2"])).allowed_usd == 5.0
    await coordinator.end("a", 1.0, None)
    # 10 without the dollar that was spent and the five that b may spend.
    assert (await coordinator.begin("c", ["q3"])).allowed_usd == 4.0
    await coordinator.end("b", 5.0, None)
    await coordinator.end("c", 0.5, None)
    assert (await coordinator.begin("d", ["q4"])).allowed_usd == pytest.approx(3.5 / 2)


async def test_what_a_lost_worker_was_allowed_counts_as_spent():
    coordinator = Coordinator(10.0, 2)
    await coordinator.begin("a", ["q1"])
    # Its own queries do not keep it waiting.
    assert (await coordinator.begin("a", ["q1"])).allowed_usd == 2.5


async def test_after_a_stop_no_block_is_begun_and_those_that_wait_are_told():
    coordinator = Coordinator(1.0, 2)
    await coordinator.begin("a", ["q1"])
    waiting = asyncio.create_task(coordinator.begin("b", ["q1"]))
    assert not await soon(waiting)
    assert await coordinator.stopped() is None
    await coordinator.end("a", 1.0, "max_cost_usd")
    assert (await waiting).stopped == "max_cost_usd"
    await coordinator.stop("interrupted")
    assert await coordinator.stopped() == "max_cost_usd"


async def test_a_block_that_is_told_to_stop_ends_for_the_reason_of_the_job():
    coordinator = Coordinator(1.0, 3)
    for name in ("a", "b", "c"):
        await coordinator.begin(name, [name])
    assert await coordinator.end("a", 1.0, "max_cost_usd") == "max_cost_usd"
    # The worker of b saw that the job ends; that of c had answered its block.
    assert await coordinator.end("b", 0.0, "interrupted") == "max_cost_usd"
    assert await coordinator.end("c", 0.0, None) is None
