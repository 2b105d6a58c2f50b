"""What collecting would call and cost, without calling anybody."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from langchain_selectllm.collection.costs import expected_cost_usd, most_cost_usd
from langchain_selectllm.collection.inputs import (
    Pool,
    PoolMember,
    Queries,
    check_samples,
    pages,
    read_pool,
    read_queries,
)
from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.collection.rows import parameters_digest
from langchain_selectllm.outcomes.records import QueryRecord

if TYPE_CHECKING:
    from langchain_selectllm.collection.store import OutcomeStore


@dataclass(frozen=True)
class PlannedMember:
    """What is left to do for one member."""

    member: str
    total: int
    """Calls that were asked for."""
    calls: int
    """Those without a reply in the store."""
    expected_usd: float | None
    """Cost of the calls at a token for four characters, and replies as long as the recorded ones (without any:
    `max_tokens`); None without prices or both of these."""
    most_usd: float | None
    """What they can cost at most, as no token is shorter than a byte; None without prices or `max_tokens`."""


@dataclass(frozen=True)
class Plan:
    """What a run of collecting would call."""

    members: tuple[PlannedMember, ...]

    @property
    def calls(self) -> int:
        """Calls of all members."""
        return sum(member.calls for member in self.members)

    @property
    def expected_usd(self) -> float | None:
        """Expected cost of all calls; None where that of some member is unknown."""
        costs = [member.expected_usd for member in self.members]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain JSON."""
        members = [asdict(member) for member in self.members]
        return {"calls": self.calls, "expected_usd": self.expected_usd, "members": members}


def plan_collection(pool: Pool, queries: Queries, store: str, *, samples: int = 10) -> Plan:
    """What `collect_outcomes` with the same arguments would call; nobody is called, and no reply is written.

    Raises:
        PoolFileError: If the pool file is malformed.
        OutcomeError: If the queries are malformed.
        StoreError: If the store cannot be opened.
    """
    check_samples(samples)
    members, records = read_pool(pool), read_queries(queries)
    with open_store(store) as opened:
        return Plan(tuple(_plan(member, records, opened, samples) for member in members))


def _plan(
    member: PoolMember, queries: Sequence[QueryRecord], store: "OutcomeStore", samples: int
) -> PlannedMember:
    digest = parameters_digest(member.parameters)
    recorded = store.mean_output_tokens(member.name, digest)
    output_tokens = member.spec.max_tokens if recorded is None else recorded
    calls, expected, most = 0, [], []
    for page in pages(queries):
        answered = store.answered(member.name, digest, [query.query_id for query in page])
        for query in page:
            missing = sum((query.query_id, sample) not in answered for sample in range(samples))
            calls += missing
            expected.append(_times(missing, expected_cost_usd(member, query.text, output_tokens)))
            most.append(_times(missing, most_cost_usd(member, query.text)))
    return PlannedMember(member.name, samples * len(queries), calls, _sum(expected), _sum(most))


def _times(calls: int, cost_usd: float | None) -> float | None:
    return 0.0 if not calls else None if cost_usd is None else calls * cost_usd


def _sum(costs: Sequence[float | None]) -> float | None:
    return None if None in costs else float(sum(cost for cost in costs if cost is not None))
