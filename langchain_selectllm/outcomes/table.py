"""The table of recorded outcomes: queries down, members across."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.answers import ComparesAnswers
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.outcomes.assembly import AnswerSpec, assemble, member_names
from langchain_selectllm.outcomes.folders import read_queries, read_replies
from langchain_selectllm.outcomes.labels import grade, matches
from langchain_selectllm.outcomes.records import (
    QueryRecord,
    ReplyRecord,
    members_of,
    parse_queries,
    parse_replies,
)
from langchain_selectllm.outcomes.split import test_rows

if TYPE_CHECKING:
    import pandas as pd

_NO_FIELDS: Mapping[str, Any] = {}

AGREEMENT = "agreement with the pool's own vote"
"""Source of labels that were made without references; see `label_from_agreement`."""


@dataclass(frozen=True, eq=False)
class OutcomeTable:
    """Recorded outcomes of K members on n queries.

    Rows stand in order of query id and columns in order of `members`, so that the order in which files or
    records were read changes nothing. An unobserved cell is NaN, never 0.
    """

    members: tuple[str, ...]
    query_ids: tuple[str, ...]
    texts: tuple[str, ...]
    references: tuple[str | None, ...]
    """Gold answer of each query in canonical form; None when the outcome is known by score only."""
    answer_types: tuple[str | None, ...]
    """Kind of answer of each query, recorded or inferred; None where there is neither a kind nor a reply."""
    types_inferred: tuple[bool, ...]
    """Whether the kind of answer was inferred from the reference and the replies."""
    categories: tuple[str, ...]
    scores: NDArray[np.float64]
    """Success rate, (n, K) in [0, 1]; NaN when unobserved."""
    labels: NDArray[np.float64]
    """1 when the majority of the member's samples is right, else 0, (n, K); NaN when unobserved."""
    replies: NDArray[np.object_]
    """Replies of each cell, (n, K): a tuple of texts in sample order, empty when none was recorded."""
    answers: NDArray[np.object_]
    """Parsed answers of each cell, (n, K): a tuple as long as that of `replies`; None = abstain."""
    token_probabilities: NDArray[np.object_]
    """Figures of each reply, (n, K): a tuple as long as that of `replies`; None = unknown."""
    costs: NDArray[np.float64]
    """Mean `cost_usd` of one call, (n, K); NaN when not recorded."""
    latencies: NDArray[np.float64]
    """Mean `latency_s` of one call, (n, K); NaN when not recorded."""

    answer: str | None = None
    """Kind of answer that all replies were read as; None for each query's own `answer_type`."""
    comparer: ComparesAnswers | None = None
    """How answers are compared where they may agree without being equal strings."""
    labels_from: str = "references"
    """Source of the labels: "references" (or recorded scores), or `AGREEMENT`."""

    def __len__(self) -> int:
        return len(self.query_ids)

    @classmethod
    def from_folders(
        cls, *folders: str | Path, members: Sequence[str] | None = None, answer: AnswerSpec | None = None
    ) -> Self:
        """The outcomes of one or more folders in the interchange format.

        Args:
            folders: Folders that hold `queries.jsonl[.gz]` and `responses/*.jsonl[.gz]`.
            members: Members to keep, in this order; all of them, sorted by name, when None.
            answer: How replies are read; each query's own `answer_type` when None, inferred where it has
                none.

        Raises:
            OutcomeError: If records are malformed, contradict each other, or a member is unknown; names file
                and line.
        """
        if not folders:
            raise OutcomeError("No folder was given. Give at least one folder of recorded outcomes.")
        queries: list[QueryRecord] = []
        replies: list[ReplyRecord] = []
        for folder in folders:
            queries += read_queries(Path(folder))
            # The fields as read are most of a record's memory, and a table has no use for them.
            replies += [replace(reply, fields=_NO_FIELDS) for reply in read_replies(Path(folder), members)]
        if members is not None and set(members) - set(members_of(replies)):
            # For the error, which names every recorded member; only some of them were read.
            everyone = chain.from_iterable(map(read_replies, map(Path, folders)))
            member_names(members, members_of(everyone))
        return cls(**assemble(queries, replies, members=members, answer=answer))

    @classmethod
    def from_records(
        cls,
        queries: "Iterable[Mapping[str, Any]] | pd.DataFrame",
        replies: "Iterable[Mapping[str, Any]] | pd.DataFrame",
        *,
        members: Sequence[str] | None = None,
        answer: AnswerSpec | None = None,
    ) -> Self:
        """The outcomes of query and reply records, with the fields of the interchange format.

        Args:
            queries: Mappings or a DataFrame: `query_id`, `query`, and where known `reference`, `answer_type`,
                `category`.
            replies: Mappings or a DataFrame: `query_id`, `model`, `response`, and where known `sample`,
                `score`, `cost_usd`, `latency_s`.
            members: Members to keep, in this order; all of them, sorted by name, when None.
            answer: How replies are read; each query's own `answer_type` when None, inferred where it has
                none.

        Raises:
            OutcomeError: If records are malformed, contradict each other, or a member is unknown.
        """
        parsed, recorded = parse_queries(_rows(queries)), parse_replies(_rows(replies))
        names = member_names(members, members_of(recorded))
        kept = [reply for reply in recorded if reply.member in names]
        return cls(**assemble(parsed, kept, members=members, answer=answer))

    def grade(self, answers: Sequence[str | None], gold: str) -> tuple[float, float]:
        """Label and success rate of one member's answers to one query; see `labels.grade`."""
        return grade(answers, gold, self.comparer)

    def matches(self, answers: Sequence[str | None], gold: str) -> list[bool]:
        """Whether each answer is the gold one, or agrees with it; an abstention never does."""
        return matches(answers, gold, self.comparer)

    @property
    def n_samples(self) -> int:
        """Samples that every member has for every query at least; 0 where a reply is missing."""
        return min(map(len, self.answers.ravel()), default=0)

    @property
    def has_replies(self) -> bool:
        """Whether any reply text was recorded, so that answers can be voted on."""
        return any(self.replies.ravel().tolist())

    @property
    def inferred_types(self) -> dict[str, int]:
        """Number of queries per kind of answer that was inferred."""
        counts: dict[str, int] = {}
        for kind, inferred in zip(self.answer_types, self.types_inferred, strict=True):
            if inferred and kind is not None:
                counts[kind] = counts.get(kind, 0) + 1
        return counts

    @property
    def observed(self) -> NDArray[np.bool_]:
        """Mask of the cells that hold a score, (n, K)."""
        return ~np.isnan(self.scores)

    @property
    def query_digests(self) -> tuple[int, ...]:
        """A 64-bit digest of each query id, by which an artefact knows its training queries."""
        return tuple(map(_digest, self.query_ids))

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Self:
        """The table of the given rows, in order of query id whatever the order of `rows`."""
        index = np.unique(np.asarray(rows, dtype=np.intp))
        fields: dict[str, Any] = {}
        for name in _QUERY_FIELDS:
            fields[name] = tuple(map(getattr(self, name).__getitem__, index))
        for name in _CELL_FIELDS:
            fields[name] = getattr(self, name)[index]
        return replace(self, **fields)

    def subset(self, members: Sequence[str]) -> Self:
        """The table of the given members, in the given order.

        Raises:
            OutcomeError: If a member is unknown or named twice.
        """
        names = member_names(members, self.members)
        columns = list(map(self.members.index, names))
        fields: dict[str, Any] = {}
        for name in _CELL_FIELDS:
            fields[name] = getattr(self, name)[:, columns]
        return replace(self, members=names, **fields)

    def split(self, test: float, *, seed: int = 0) -> tuple[Self, Self]:
        """Training and test tables with no query in both; depends on the queries' ids and the seed alone.

        Args:
            test: Share of the queries in the second table, in (0, 1).
            seed: Another seed, another split.

        Raises:
            OutcomeError: If either side would be empty.
        """
        chosen = test_rows(self.query_ids, test, seed=seed)
        return self.take(np.flatnonzero(~chosen)), self.take(np.flatnonzero(chosen))


_QUERY_FIELDS = ("query_ids", "texts", "references", "answer_types", "types_inferred", "categories")
_CELL_FIELDS = ("scores", "labels", "replies", "answers", "token_probabilities", "costs", "latencies")


def _rows(records: Any) -> Iterable[Mapping[str, Any]]:
    rows: Iterable[Mapping[str, Any]] = records
    if hasattr(records, "to_dict"):
        rows = records.to_dict("records")
    return rows


def _digest(query_id: str) -> int:
    return int.from_bytes(hashlib.sha256(query_id.encode()).digest()[:8], "big")
