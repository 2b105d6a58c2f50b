"""The money that collecting may spend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Budget:
    """Sets aside what each call can cost at most while it is in flight, so that the limit is never passed."""

    limit_usd: float | None
    spent_usd: float
    """Everything that the store has cost so far; grows with each call."""
    _set_aside_usd: float = 0.0
    _settled: asyncio.Condition = field(default_factory=asyncio.Condition)

    @asynccontextmanager
    async def spend(self, most_usd: float | None) -> AsyncIterator["Expense | None"]:
        """An expense to enter the cost of one call in; None when it might pass the limit.

        Waits while the calls in flight may turn out cheaper than what was set aside for them.
        """
        if self.limit_usd is None:
            expense = Expense()
            yield expense
            self.spent_usd += expense.cost_usd
            return
        bound = most_usd or 0.0
        async with self._settled:
            await self._settled.wait_for(lambda: self._fits(bound) or not self._set_aside_usd)
            if not self._fits(bound):
                yield None
                return
            self._set_aside_usd += bound
        expense = Expense()
        try:
            yield expense
        finally:
            async with self._settled:
                # What is left of floating-point sums must not keep anybody waiting.
                self._set_aside_usd = max(self._set_aside_usd - bound, 0.0)
                if self._set_aside_usd < 1e-12:
                    self._set_aside_usd = 0.0
                self.spent_usd += expense.cost_usd
                self._settled.notify_all()

    def _fits(self, bound_usd: float) -> bool:
        return self.spent_usd + self._set_aside_usd + bound_usd <= (self.limit_usd or 0.0)


@dataclass
class Expense:
    """What one call has cost."""

    cost_usd: float = 0.0
