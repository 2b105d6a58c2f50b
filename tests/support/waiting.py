"""Waiting for what has to come, and calls that wait for a deadline, on a machine that may be busy."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

LONG_S = 120.0
"""Bound of a wait for what has to come: only a fault passes it."""
DEADLINE_S = 10.0
"""Deadline that one member misses: long enough for the others, which reply at once."""


def wait_until(holds, seconds=LONG_S):
    """Waits until a condition holds."""
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "what the test waits for did not come"
        time.sleep(0.005)


async def until(holds, seconds=LONG_S):
    """Waits until a condition holds, while the event loop runs."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what it waits for may come in any thread
            await asyncio.sleep(0.001)


class Overdue:
    """Calls that wait for a deadline, which all wait at the same time: one after the other they would take minutes."""

    def __init__(self):
        self.calls = []

    def each(self, *variants):
        """Decorator of a function that takes the fitted classifier and what one of the variants holds."""

        def add(call):
            self.calls += [(call, variant) for variant in variants]
            return call

        return add

    def call(self, call):
        """Decorator of a function that takes the fitted classifier."""
        return self.each(())(call)

    @contextmanager
    def waiting(self, fitted):
        """Starts all calls; a function returns the result of one of them when it has come."""
        with ThreadPoolExecutor(len(self.calls)) as pool:
            started = {(call, variant): pool.submit(call, fitted, *variant) for call, variant in self.calls}
            yield lambda call, *variant: started[call, variant].result()


OVERDUE = Overdue()
"""Filled in when test modules are imported, before the first test."""
