"""Queries and members of a collection, from files or from Python."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.members.pool_file import MemberSpec, PoolFile, read_pool_file
from langchain_selectllm.members.registry import ChatModel, Member, ModelRegistry, connect_member
from langchain_selectllm.outcomes.folders import read_query_file
from langchain_selectllm.outcomes.records import QueryRecord, merge_queries, parse_query

PoolSource = str | Path | PoolFile | Mapping[str, ChatModel | Member]
"""A pool file, or chat models by name."""
Queries = str | Path | Iterable[Mapping[str, Any]]
"""A file `queries.jsonl[.gz]`, or records with the same fields."""

_PAGE = 200
"""Queries whose recorded samples are looked up at once."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PoolMember:
    """One member to sample."""

    name: str
    spec: MemberSpec
    registered: Member
    parameters: Mapping[str, Any]
    """Settings that determine its replies."""
    is_described: bool
    """Whether `spec` is sufficient to connect it on another machine."""


def read_pool(pool: PoolSource) -> tuple[PoolMember, ...]:
    """Returns the members, connected; calls no model.

    Raises:
        PoolFileError: If the pool file is malformed, or a provider refuses its settings.
        MissingDependencyError: If a provider's package is not installed.
    """
    if isinstance(pool, (str, Path)):
        pool = read_pool_file(pool)
    members = []
    if isinstance(pool, PoolFile):
        for name, spec in pool.members.items():
            members.append(described_member(name, spec))
    else:
        for name, member in ModelRegistry(pool).items():
            members.append(_registered_member(name, member))
    return tuple(members)


def described_member(name: str, spec: MemberSpec) -> PoolMember:
    """Returns the connected member of one entry of a pool file."""
    return PoolMember(
        name=name,
        spec=spec,
        # The collection has retries of its own, which the member's limits and breaker know of.
        registered=connect_member(name, spec, max_retries=0),
        parameters=spec.parameters,
        is_described=True,
    )


def _registered_member(name: str, member: Member) -> PoolMember:
    """Returns a member registered in Python; its parameters are those that the chat model reports."""
    reported: dict[str, Any] = getattr(member.model, "_get_ls_params", dict)()
    parameters: dict[str, Any] = {"model": str(reported.get("ls_model_name") or type(member.model).__name__)}
    for key in ("provider", "temperature", "max_tokens"):
        value = reported.get(f"ls_{key}")
        if value is not None:
            parameters[key] = value
    spec = MemberSpec(
        model=parameters["model"],
        max_tokens=parameters.get("max_tokens"),
        price_input_usd_per_million=member.price_input_usd_per_million,
        price_output_usd_per_million=member.price_output_usd_per_million,
    )
    return PoolMember(name=name, spec=spec, registered=member, parameters=parameters, is_described=False)


def read_queries(queries: Queries) -> list[QueryRecord]:
    """Returns the validated queries, in order of their id.

    Raises:
        OutcomeError: If a record is malformed, records contradict each other, or there is none.
    """
    if isinstance(queries, (str, Path)):
        records = read_query_file(Path(queries))
    else:
        rows: Any = queries
        if hasattr(queries, "to_dict"):
            rows = queries.to_dict("records")
        records = [parse_query(fields, f"queries[{i}]") for i, fields in enumerate(rows)]
    if not records:
        raise OutcomeError("There is no query. Give at least one.")
    return list(merge_queries(records).values())


def check_samples(samples: int) -> None:
    """Raises an error unless the number of samples is positive.

    Raises:
        ValueError: If it is not an integer from 1.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples!r}. Use an integer from 1.")


def pages(queries: Sequence[QueryRecord]) -> Iterable[Sequence[QueryRecord]]:
    """Yields the queries in pages."""
    for start in range(0, len(queries), _PAGE):
        yield queries[start : start + _PAGE]
