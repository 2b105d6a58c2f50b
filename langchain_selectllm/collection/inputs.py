"""What is to be collected: queries and members, from files or from Python."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.members.pool_file import MemberSpec, PoolFile, read_pool_file
from langchain_selectllm.members.registry import ChatModel, Member, ModelRegistry, connect_member
from langchain_selectllm.outcomes.folders import read_query_file
from langchain_selectllm.outcomes.records import QueryRecord, merge_queries, parse_query

Pool = str | Path | PoolFile | Mapping[str, ChatModel | Member]
"""A pool file, or chat models by name."""
Queries = str | Path | Iterable[Mapping[str, Any]]
"""A file `queries.jsonl[.gz]`, or records with the same fields."""


@dataclass(frozen=True, eq=False)
class PoolMember:
    """One member that is to be sampled."""

    name: str
    spec: MemberSpec
    member: Member
    parameters: Mapping[str, Any]
    """What decides its replies."""
    is_described: bool
    """Whether `spec` is all it takes to connect it on another machine."""


def read_pool(pool: Pool) -> tuple[PoolMember, ...]:
    """The members, connected; calls nobody.

    Raises:
        PoolFileError: If the pool file is malformed, or a provider refuses its settings.
        MissingDependencyError: If a provider's package is not installed.
    """
    if isinstance(pool, (str, Path)):
        pool = read_pool_file(pool)
    if isinstance(pool, PoolFile):
        return tuple(_from_spec(name, spec) for name, spec in pool.members.items())
    return tuple(_from_model(name, member) for name, member in ModelRegistry(pool).items())


def read_queries(queries: Queries) -> list[QueryRecord]:
    """The validated queries, in order of their id.

    Raises:
        OutcomeError: If a record is malformed, records contradict each other, or there is none.
    """
    if isinstance(queries, (str, Path)):
        records = read_query_file(Path(queries))
    else:
        rows = queries.to_dict("records") if hasattr(queries, "to_dict") else queries
        records = [parse_query(fields, f"queries[{i}]") for i, fields in enumerate(rows)]
    if not records:
        raise OutcomeError("There is no query. Give at least one.")
    return list(merge_queries(records).values())


def _from_spec(name: str, spec: MemberSpec) -> PoolMember:
    return PoolMember(name, spec, connect_member(name, spec), spec.parameters, is_described=True)


def _from_model(name: str, member: Member) -> PoolMember:
    """A member registered in Python: what its chat model says of itself are its parameters."""
    told: dict[str, Any] = getattr(member.model, "_get_ls_params", dict)()
    parameters = {
        "model": str(told.get("ls_model_name") or type(member.model).__name__),
        **{
            key: told[f"ls_{key}"]
            for key in ("provider", "temperature", "max_tokens")
            if told.get(f"ls_{key}") is not None
        },
    }
    spec = MemberSpec(
        model=parameters["model"],
        max_tokens=parameters.get("max_tokens"),
        price_input_usd_per_million=member.price_input_usd_per_million,
        price_output_usd_per_million=member.price_output_usd_per_million,
    )
    return PoolMember(name, spec, member, parameters, is_described=False)


def check_samples(samples: int) -> None:
    """Whether it is a number of samples.

    Raises:
        ValueError: If it is not an integer from 1.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples!r}. Use an integer from 1.")


def pages(queries: Sequence[QueryRecord], size: int = 200) -> Iterable[Sequence[QueryRecord]]:
    """The queries, some at a time."""
    return (queries[start : start + size] for start in range(0, len(queries), size))
