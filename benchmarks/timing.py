"""Timings as ratios: what is compared runs in turns within one process, and the median of the ratios counts."""

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table of performance."""

    name: str
    figure: str
    """With its unit."""
    ratio: float | None = None
    """Figure over that of the comparison."""
    compared_with: str = ""
    target: float | None = None
    """Largest ratio that meets the target; None where there is none."""

    @property
    def verdict(self) -> str:
        """ "met", "missed", or nothing without a target."""
        if self.target is None or self.ratio is None:
            return ""
        if self.ratio <= self.target:
            return "met"
        return "**missed**"


@dataclass(frozen=True, kw_only=True)
class Turns:
    """Seconds of several kinds of work, taken in turns."""

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Median seconds of one kind of work."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """Median over the turns of the ratio of two kinds of work."""
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        return statistics.median(one / two for one, two in pairs)


def in_turns(works: Mapping[str, Work], *, turns: int, repeat: int = 1) -> Turns:
    """Seconds per call, over `repeat` calls a turn, after one turn that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            gc.collect()
            start = time.perf_counter()
            for _ in range(repeat):
                work()
            if turn:
                seconds[name].append((time.perf_counter() - start) / repeat)
    return Turns(seconds=seconds)


def blocking(work: Callable[[], Awaitable[object]]) -> Work:
    """Asynchronous work as a call that waits for it, in an event loop of its own."""

    async def run() -> None:
        await work()

    return lambda: asyncio.run(run())
