"""Outcomes that serving left in a store: feedback of users, and agreement of members in shadow calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.answers.auto import EXTRACTOR_NAMES
from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.classifier.pseudo_labels import label_from_agreement
from langchain_selectllm.embedded.names import EMBEDDED_PREFIX
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.integrations.server.served_store import ServedStore
from langchain_selectllm.outcomes import OutcomeTable, combine

_COPIED = ("cost_usd", "latency_s", "input_tokens", "output_tokens")


@dataclass(frozen=True, eq=False, kw_only=True)
class RecentOutcomes:
    """Outcomes of served queries."""

    agreement: OutcomeTable
    """Queries that every member answered and no user scored, labelled by the vote of all members."""
    feedback: OutcomeTable | None
    """Queries that users scored; None without any."""
    last_served: Mapping[str, float]
    """Time of the last request for each query id, in seconds since 1970."""

    def hold_out(self, share: float, eligible: NDArray[np.bool_]) -> tuple[OutcomeTable, OutcomeTable]:
        """The agreement-labelled queries in two tables, the second with the newest of the eligible ones.

        Args:
            share: Share of the eligible queries that are held out.
            eligible: Which queries may be held out, (n,).
        """
        table = self.agreement
        times = np.array([self.last_served.get(query_id, 0.0) for query_id in table.query_ids])
        rows = np.flatnonzero(eligible)
        rows = rows[np.argsort(times[rows], kind="stable")]
        newest = rows[len(rows) - round(share * len(rows)) :]
        return table.take(np.setdiff1d(np.arange(len(table)), newest)), table.take(newest)


def read_recent_outcomes(store: ServedStore, classifier: SelectLLMClassifier) -> RecentOutcomes:
    """The outcomes of a store for the members of a classifier.

    Raises:
        OutcomeError: If no query was answered by all members, such as without shadow calls or kept prompts.
    """
    members = classifier.members
    queries = {fields["query_id"]: dict(fields) for fields in store.query_records()}
    rows = [row for row in store.reply_records() if row["member"] in members]
    scored = {row["query_id"] for row in rows if row["score"] is not None}
    answered = _answered_by_all(rows, members)
    shared = [query_id for query_id in queries if query_id in answered and query_id not in scored]
    if not shared:
        raise OutcomeError(
            "The store holds no query that every member answered. Serve with --keep-prompts and --shadow "
            "first."
        )
    answer = reader_of(classifier)
    records = [_record(row) for row in rows if row["query_id"] in set(shared)]
    table = OutcomeTable.from_records(
        [queries[query_id] for query_id in shared], records, members=members, answer=answer
    )
    feedback = None
    if scored:
        graded = [_record(row) for row in rows if row["query_id"] in scored and row["score"] is not None]
        feedback = OutcomeTable.from_records(
            [queries[query_id] for query_id in sorted(scored)], graded, answer=answer
        )
    return RecentOutcomes(
        agreement=label_from_agreement(table), feedback=feedback, last_served=_last_served(store)
    )


def with_feedback(table: OutcomeTable, feedback: OutcomeTable | None) -> OutcomeTable:
    """The table with the outcomes that users scored."""
    if feedback is None:
        return table
    return combine(table, feedback)


def _answered_by_all(rows: Sequence[Mapping[str, Any]], members: Sequence[str]) -> set[str]:
    seen: dict[str, set[str]] = {}
    for row in rows:
        seen.setdefault(row["query_id"], set()).add(row["member"])
    return {query_id for query_id, names in seen.items() if len(names) == len(members)}


def _record(row: Mapping[str, Any]) -> dict[str, Any]:
    record = {
        "query_id": row["query_id"],
        "model": row["member"],
        "sample": row["sample"],
        "response": row["text"],
    }
    for name in (*_COPIED, "score"):
        if row[name] is not None:
            record[name] = row[name]
    return record


def _last_served(store: ServedStore) -> dict[str, float]:
    times = {}
    for row in store.read():
        if row.query_id is not None:
            times[row.query_id] = row.served_at
    return times


def reader_of(classifier: SelectLLMClassifier) -> Any:
    """How replies are read: as in training, or as the embedded members write them."""
    if classifier.summary.answer in EXTRACTOR_NAMES:
        return classifier.summary.answer
    if all(name.startswith(EMBEDDED_PREFIX) for name in classifier.members):
        from langchain_selectllm.embedded import read_answer

        return read_answer
    return None
