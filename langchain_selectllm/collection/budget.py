"""Cost of calls before they are made, and the money that one collection may spend."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from langchain_selectllm.collection.inputs import PoolMember
from langchain_selectllm.exceptions import PoolFileError

_BYTES_PER_TOKEN = 4.0
"""Rule of thumb of the providers' own pages for English text; for expected costs only, never for bounds."""
_TEMPLATE_TOKENS = 128
"""Allowance for the roles and separators that a chat template puts around two messages."""
_ROUNDING_USD = 1e-12
"""Remainder of floating-point sums that counts as nothing."""


@dataclass
class Expense:
    """Cost of one call, entered when its reply arrives."""

    cost_usd: float = 0.0


@dataclass
class Budget:
    """Money of one collection; the upper bound of each call is reserved while the call is in flight."""

    limit_usd: float | None
    spent_usd: float
    """Recorded cost of the whole store; grows with each call."""
    _reserved_usd: float = 0.0
    _settled: asyncio.Condition = field(default_factory=asyncio.Condition)

    @asynccontextmanager
    async def spend(self, upper_bound_usd: float | None) -> AsyncIterator[Expense | None]:
        """Yields an expense to enter the cost of one call in; None when the call might exceed the limit.

        Waits while calls in flight may turn out cheaper than their reservation.
        """
        if self.limit_usd is None:
            expense = Expense()
            yield expense
            self.spent_usd += expense.cost_usd
            return
        bound = upper_bound_usd or 0.0
        async with self._settled:
            await self._settled.wait_for(lambda: self._fits(bound) or not self._reserved_usd)
            if not self._fits(bound):
                yield None
                return
            self._reserved_usd += bound
        expense = Expense()
        try:
            yield expense
        finally:
            async with self._settled:
                self._reserved_usd -= bound
                # A remainder of rounding would keep other calls waiting for a call that is over.
                if self._reserved_usd < _ROUNDING_USD:
                    self._reserved_usd = 0.0
                self.spent_usd += expense.cost_usd
                self._settled.notify_all()

    def _fits(self, bound_usd: float) -> bool:
        return self.spent_usd + self._reserved_usd + bound_usd <= (self.limit_usd or 0.0)


def expected_cost_usd(member: PoolMember, prompt: str, output_tokens: float | None) -> float | None:
    """Expected cost of a call with a reply of that length; None when a price or the length is unknown."""
    if output_tokens is None:
        return None
    return _cost_usd(member, _n_bytes(member, prompt) / _BYTES_PER_TOKEN, output_tokens)


def upper_bound_usd(member: PoolMember, prompt: str) -> float | None:
    """Upper bound of a call's cost (no token is shorter than a byte); None without prices or `max_tokens`."""
    if member.spec.max_tokens is None:
        return None
    return _cost_usd(member, _n_bytes(member, prompt) + _TEMPLATE_TOKENS, member.spec.max_tokens)


def known_cost(cost_usd: float | None, upper_bound: float | None) -> float:
    """Returns the cost to charge to the budget: the known one, else the upper bound, else 0."""
    if cost_usd is None:
        return upper_bound or 0.0
    return cost_usd


def check_affordable(members: Iterable[PoolMember], max_cost_usd: float | None) -> None:
    """Raises an error unless the cost of every call is bounded, where there is a limit to keep.

    Raises:
        PoolFileError: If a member lacks prices or `max_tokens`.
        ValueError: If the limit is negative.
    """
    if max_cost_usd is None:
        return
    if not max_cost_usd >= 0:
        raise ValueError(f"max_cost_usd is {max_cost_usd!r}. Use a number from 0.")
    for member in members:
        if upper_bound_usd(member, "") is None:
            raise PoolFileError(
                f"Member {member.name!r} has no bound on the cost of a call, so that max_cost_usd cannot be "
                "kept. Give it price_input_usd_per_million, price_output_usd_per_million and max_tokens "
                "(prices 0 where it is free)."
            )


def _n_bytes(member: PoolMember, prompt: str) -> int:
    return len(f"{member.spec.system_prompt or ''}{prompt}".encode("utf-8", "replace"))


def _cost_usd(member: PoolMember, input_tokens: float, output_tokens: float) -> float | None:
    return member.registered.cost_usd({"input_tokens": input_tokens, "output_tokens": output_tokens})
