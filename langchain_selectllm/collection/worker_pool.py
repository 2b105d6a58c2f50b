"""A bounded worker pool over an async iterator."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

Item = TypeVar("Item")


async def work_through(
    items: AsyncIterator[Item],
    work: Callable[[Item], Awaitable[None]],
    *,
    at_a_time: int,
    is_over: Callable[[], bool],
) -> None:
    """Returns when every item was worked on, or the work is over.

    Args:
        items: Drawn one by one, as workers become free: no more than `at_a_time` are in memory.
        work: Called with each item.
        at_a_time: Number of workers.
        is_over: Checked before each item; work in progress is finished.
    """
    turn = asyncio.Lock()

    async def worker() -> None:
        while not is_over():
            async with turn:
                item = await anext(items, None)
            if item is None:
                return
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_a_time):
            group.create_task(worker())


def innermost(error: BaseException) -> BaseException:
    """Returns the first error of nested exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
