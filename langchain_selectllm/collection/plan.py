"""Calls and cost of a collection before it starts; no model is called."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from langchain_selectllm.collection.budget import expected_cost_usd, upper_bound_usd
from langchain_selectllm.collection.inputs import (
    PoolMember,
    PoolSource,
    Queries,
    check_samples,
    pages,
    read_pool,
    read_queries,
)
from langchain_selectllm.collection.open_store import open_store, store_exists
from langchain_selectllm.collection.rows import parameters_digest
from langchain_selectllm.outcomes.records import QueryRecord

if TYPE_CHECKING:
    from langchain_selectllm.collection.store import OutcomeStore


@dataclass(kw_only=True)
class PlannedMember:
    """Remaining calls of one member and their cost."""

    member: str
    total: int
    """Calls of the whole collection."""
    calls: int = 0
    """Those without a reply in the store."""
    expected_usd: float | None = 0.0
    """Cost of the calls at a token per four characters, and replies as long as the recorded ones (without
    any: `max_tokens`); None without prices or both of these."""
    most_usd: float | None = 0.0
    """Upper bound of their cost, as no token is shorter than a byte; None without prices or `max_tokens`."""
    cheapest_usd: float | None = None
    """The most that the cheapest of the calls can cost; None without a call, prices or `max_tokens`."""

    def add(self, calls: int, expected_usd: float | None, most_usd: float | None) -> None:
        """Adds calls of one query with the costs of a single call; an unknown cost makes the sum unknown."""
        if calls:
            self.calls += calls
            self.expected_usd = _plus(self.expected_usd, calls, expected_usd)
            self.most_usd = _plus(self.most_usd, calls, most_usd)
            if most_usd is not None and (self.cheapest_usd is None or most_usd < self.cheapest_usd):
                self.cheapest_usd = most_usd


@dataclass(frozen=True)
class Plan:
    """Calls that a collection would make."""

    members: tuple[PlannedMember, ...]

    @property
    def calls(self) -> int:
        """Calls of all members."""
        return sum(member.calls for member in self.members)

    @property
    def expected_usd(self) -> float | None:
        """Expected cost of all calls; None where that of some member is unknown."""
        total: float | None = 0.0
        for member in self.members:
            total = _plus(total, 1, member.expected_usd)
        return total

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures as plain JSON."""
        return {
            "calls": self.calls,
            "expected_usd": self.expected_usd,
            "members": list(map(asdict, self.members)),
        }


def plan_collection(pool: PoolSource, queries: Queries, store: str, *, samples: int = 10) -> Plan:
    """Returns the calls that `collect_outcomes` would make with the same arguments.

    No model is called, and no store is created.

    Raises:
        PoolFileError: If the pool file is malformed.
        OutcomeError: If the queries are malformed.
        StoreError: If the store cannot be opened.
    """
    check_samples(samples)
    members, records = read_pool(pool), read_queries(queries)
    if not store_exists(store):
        return Plan(tuple(_plan(member, records, None, samples) for member in members))
    with open_store(store, create=False) as opened:
        return Plan(tuple(_plan(member, records, opened, samples) for member in members))


def smallest_budget_usd(
    members: Sequence[PoolMember], queries: Sequence[QueryRecord], store: "OutcomeStore", *, samples: int
) -> float | None:
    """Returns the smallest `max_cost_usd` with which one more call is made, rounded up to three digits.

    It is the recorded cost of the store plus the most that the cheapest call left can cost; None where no
    call is left.
    """
    cheapest = []
    for member in members:
        planned = _plan(member, queries, store, samples)
        if planned.cheapest_usd is not None:
            cheapest.append(planned.cheapest_usd)
    if not cheapest:
        return None
    return _rounded_up(store.cost_usd() + min(cheapest))


def _rounded_up(cost_usd: float) -> float:
    """Returns the cost with three significant digits, never below it."""
    rounded = float(f"{cost_usd:.3g}")
    if rounded >= cost_usd:
        return rounded
    last_digit = 10.0 ** (math.floor(math.log10(cost_usd)) - 2)
    return float(f"{rounded + last_digit:.3g}")


def _plan(
    member: PoolMember, queries: Sequence[QueryRecord], store: "OutcomeStore | None", samples: int
) -> PlannedMember:
    digest = parameters_digest(member.parameters)
    planned = PlannedMember(member=member.name, total=samples * len(queries))
    output_tokens: float | None = member.spec.max_tokens
    if store is not None:
        output_tokens = store.mean_output_tokens(member.name, digest) or output_tokens
    for page in pages(queries):
        answered: set[tuple[str, int]] = set()
        if store is not None:
            answered = store.answered(member.name, digest, [query.query_id for query in page])
        for query in page:
            planned.add(
                sum((query.query_id, sample) not in answered for sample in range(samples)),
                expected_cost_usd(member, query.text, output_tokens),
                upper_bound_usd(member, query.text),
            )
    return planned


def _plus(total: float | None, calls: int, cost_usd: float | None) -> float | None:
    if total is None or cost_usd is None:
        return None
    return total + calls * cost_usd
