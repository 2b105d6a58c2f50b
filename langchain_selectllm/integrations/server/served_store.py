"""The collection's store, with the decisions of a server beside the outcomes."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from sqlalchemy import and_, insert, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.collection.rows import GradeRow, ReplyRow
from langchain_selectllm.exceptions import StoreError
from langchain_selectllm.integrations.server import served_tables as tables
from langchain_selectllm.integrations.server.served_rows import DecisionRow, KeptReply
from langchain_selectllm.outcomes.records import parse_query
from langchain_selectllm.routing.feedback import member_scores

FEEDBACK = "feedback"
"""Name of the grading that feedback makes."""
_CATEGORY = "served"
_PARAMETERS = {"served": True}
"""Stands for the members' sampling parameters, which requests change."""


@dataclass(frozen=True, kw_only=True)
class StoredDecision:
    """One decision as the store holds it."""

    decision_id: str
    served_at: float
    artefact: str
    policy: str
    novelty: float | None
    shadow_of: str | None
    agrees: bool | None
    decision: Mapping[str, Any]
    query_id: str | None
    sample: int | None
    score: float | None
    """Mean score of its feedback; None without any."""


class ServedStore:
    """Decisions, feedback and, where prompts are kept, outcomes; every method is one or two transactions."""

    def __init__(self, url: str, *, create: bool = True) -> None:
        """Open the store.

        Args:
            url: URL of the store.
            create: Whether a missing store is made, and the store made ready for writing.

        Raises:
            StoreError: If it cannot be opened, or holds no decisions and `create` is false.
        """
        self._outcomes = open_store(url, create=create)
        self._engine = self._outcomes.engine
        if not create:
            if not inspect(self._engine).has_table(tables.decisions.name):
                raise StoreError(
                    f"{self._outcomes} holds no decisions. Write some: selectllm serve --store URL."
                )
            return
        try:
            tables.metadata.create_all(self._engine)
        except SQLAlchemyError as error:
            raise StoreError(f"{url} cannot hold decisions: {type(error).__name__}.") from error
        self._parameters = self._outcomes.add_parameters(_PARAMETERS)
        self._outcomes.begin_grading(FEEDBACK, "function", redo=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.dispose()

    def save(self, rows: Sequence[DecisionRow], novelties: Sequence[float]) -> None:
        """Save decisions, and the outcomes of those that keep their prompt.

        Args:
            rows: The decisions.
            novelties: Unfamiliarity of the text of each.
        """
        values = [_values(row, novelty) for row, novelty in zip(rows, novelties, strict=True)]
        with self._engine.begin() as connection:
            connection.execute(insert(tables.decisions), values)
        kept = [row for row in rows if row.query_id is not None]
        if kept:
            self._outcomes.add_queries([_query(row, i) for i, row in enumerate(kept)])
        replies = [self._reply(row, reply) for row in kept for reply in row.replies]
        if replies:
            self._outcomes.save_replies(replies)

    def find(self, decision_id: str) -> StoredDecision | None:
        """The decision of an id; None if it is not in the store."""
        return next(self._read(tables.decisions.c.decision_id == decision_id), None)

    def read(self, *, since: float = 0.0) -> Iterator[StoredDecision]:
        """The decisions from a time on (seconds since 1970), in the order they were served."""
        return self._read(tables.decisions.c.served_at >= since)

    def add_feedback(self, decision_id: str, score: float) -> dict[str, float] | None:
        """Save a score of a final answer; the score of each member, or None for an unknown decision."""
        found = self.find(decision_id)
        if found is None:
            return None
        scores = member_scores(found.decision, score)
        with self._engine.begin() as connection:
            given = {"decision_id": decision_id, "score": score, "given_at": time.time()}
            connection.execute(insert(tables.feedback), given)
        if found.query_id is not None and found.sample is not None:
            self._outcomes.save_grades([self._grade(found, name, scores[name]) for name in scores])
        return scores

    def query_records(self) -> Iterator[Mapping[str, Any]]:
        """The kept prompts as query records."""
        return self._outcomes.read_queries()

    def reply_records(self) -> Iterator[Mapping[str, Any]]:
        """The kept replies with the scores that feedback gave them."""
        return self._outcomes.read_replies(FEEDBACK)

    def _read(self, condition: Any) -> Iterator[StoredDecision]:
        decisions, feedback = tables.decisions, tables.feedback
        scored = select(feedback.c.decision_id, feedback.c.score).order_by(feedback.c.feedback_id)
        columns = [*decisions.c]
        statement = select(*columns).where(condition).order_by(decisions.c.served_at, decisions.c.decision_id)
        with self._engine.connect() as connection:
            scores: dict[str, list[float]] = {}
            joined = scored.join(
                decisions, and_(decisions.c.decision_id == feedback.c.decision_id, condition)
            )
            for given in connection.execute(joined):
                scores.setdefault(given.decision_id, []).append(given.score)
            for row in connection.execute(statement).mappings():
                yield StoredDecision(**row, score=_mean(scores.get(row["decision_id"])))

    def _reply(self, row: DecisionRow, reply: KeptReply) -> ReplyRow:
        return ReplyRow(
            query_id=row.query_id or "",
            sample=row.sample,
            parameters=self._parameters,
            error=None,
            attempts=1,
            finished_at=row.served_at,
            **vars(reply),
        )

    def _grade(self, found: StoredDecision, member: str, score: float) -> GradeRow:
        return GradeRow(
            grading=FEEDBACK,
            member=member,
            parameters=self._parameters,
            query_id=found.query_id or "",
            sample=found.sample or 0,
            answer=found.decision["answers"].get(member),
            score=score,
        )


def _mean(scores: Sequence[float] | None) -> float | None:
    if not scores:
        return None
    return sum(scores) / len(scores)


def _values(row: DecisionRow, novelty: float) -> dict[str, Any]:
    sample = None
    if row.query_id is not None:
        sample = row.sample
    return {
        "decision_id": row.decision_id,
        "served_at": row.served_at,
        "artefact": row.artefact,
        "policy": row.policy,
        "novelty": novelty,
        "shadow_of": row.shadow_of,
        "agrees": row.agrees,
        "decision": dict(row.decision),
        "query_id": row.query_id,
        "sample": sample,
    }


def _query(row: DecisionRow, i: int) -> Any:
    fields: dict[str, Any] = {"query_id": row.query_id, "query": row.text, "category": _CATEGORY}
    if row.answer_type is not None:
        fields["answer_type"] = row.answer_type
    return parse_query(fields, f"decisions[{i}]")
