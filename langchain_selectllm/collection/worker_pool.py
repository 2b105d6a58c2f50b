"""Work on items as they come, so many at a time."""

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
    """Return when every item was worked on, or the work is over.

    Args:
        items: Drawn one by one, as workers get free: no more than `at_a_time` are held.
        work: What is done with each.
        at_a_time: Number of workers.
        is_over: Asked before each item; work that was begun is finished.
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
    """The first error of a group of groups."""
    return innermost(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
