"""Which blocks of prompts may be answered at the same time by several workers, and what each may cost."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Permit:
    """Reply to a worker that wants to begin a block."""

    allowed_usd: float | None = None
    """Most that the calls of the block may cost; None without a limit."""
    stopped: str | None = None
    """Why no further block is begun; None where it may be."""


@dataclass(frozen=True, kw_only=True)
class _OpenBlock:
    queries: frozenset[str]
    reserved_usd: float


class Coordinator:
    """Keeps workers from buying a reply twice, and from spending more than is left.

    Blocks that have a query in common are answered one after the other: the second one finds the replies in
    the store. The money left is divided among the workers, and what a block did not spend is given back when
    it ends. One of them runs beside the workers; all methods are called from one event loop.
    """

    def __init__(self, left_usd: float | None, n_workers: int) -> None:
        """Begin with nothing in progress.

        Args:
            left_usd: Money for all calls; None without a limit.
            n_workers: Number of workers, each of which answers one block at a time.
        """
        self._left_usd = left_usd
        self._n_workers = n_workers
        self._open: dict[str, _OpenBlock] = {}
        self._stopped: str | None = None
        self._changed = asyncio.Condition()

    async def begin(self, block: str, queries: Sequence[str]) -> Permit:
        """Waits until no other block has one of these queries.

        A block that is begun again was lost with its worker: it may have spent all that it was allowed.
        """
        wanted = frozenset(queries)
        async with self._changed:
            self._open.pop(block, None)
            await self._changed.wait_for(lambda: self._stopped is not None or self._is_free(wanted))
            if self._stopped is not None:
                return Permit(stopped=self._stopped)
            allowed = None
            if self._left_usd is not None:
                allowed = self._left_usd / max(self._n_workers - len(self._open), 1)
                self._left_usd -= allowed
            self._open[block] = _OpenBlock(queries=wanted, reserved_usd=allowed or 0.0)
            return Permit(allowed_usd=allowed)

    async def end(self, block: str, spent_usd: float, stopped: str | None) -> str | None:
        """Ends a block; where it stopped, no further one is begun.

        Returns why the job ends, if the block stopped: a worker that has to stop does not know why.
        """
        async with self._changed:
            ended = self._open.pop(block)
            if self._left_usd is not None:
                self._left_usd += ended.reserved_usd - spent_usd
            self._stopped = self._stopped or stopped
            self._changed.notify_all()
            return stopped and self._stopped

    async def stop(self, reason: str) -> None:
        """Ends the job: no further block is begun, and those in progress end early."""
        async with self._changed:
            self._stopped = self._stopped or reason
            self._changed.notify_all()

    async def stopped(self) -> str | None:
        """Returns why the job ends; None while it goes on."""
        return self._stopped

    def _is_free(self, wanted: frozenset[str]) -> bool:
        return all(wanted.isdisjoint(block.queries) for block in self._open.values())
