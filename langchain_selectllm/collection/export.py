"""From a store to the interchange format, or straight to a table of outcomes."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.exceptions import StoreError
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.outcomes.assembly import AnswerSpec
from langchain_selectllm.outcomes.folders import check_new_folder, write_folder
from langchain_selectllm.outcomes.records import (
    ANSWER_TYPES,
    QueryRecord,
    ReplyRecord,
    parse_query,
    parse_reply,
)

if TYPE_CHECKING:
    from langchain_selectllm.collection.store import OutcomeStore

FAILURES = "failures.jsonl"
"""File beside the replies with the calls that failed, when any did."""

_COPIED = (
    "cost_usd",
    "latency_s",
    "input_tokens",
    "output_tokens",
    "finish_reason",
    "model_name",
    "token_probabilities",
)


def export_outcomes(store: str, folder: str | Path, *, grade: str | None = None) -> dict[str, int]:
    """Writes the queries and replies of a store as a folder in the interchange format.

    Calls that failed are no replies and are unobserved, not wrong; they are written to a file
    of their own.

    Args:
        store: URL of the store.
        folder: A new folder.
        grade: The grading whose columns are written; the only one when None, none where nothing was graded.

    Returns:
        The number of replies per member. A member that was sampled under several sets of parameters is
        exported as several members, each named "name@digest".

    Raises:
        StoreError: If the store cannot be opened, holds no reply, or does not hold the grading.
        OutcomeError: If the folder exists and is not empty.
    """
    target = Path(folder)
    check_new_folder(target)
    counts: Counter[str] = Counter()
    with open_store(store, create=False) as opened:
        queries, replies = _records(opened, grade)
        write_folder(target, _parsed_queries(queries), _parsed_replies(replies, counts))
        _write_failures(target / FAILURES, opened.read_failures())
    return dict(sorted(counts.items()))


def read_outcomes(
    store: str,
    *,
    members: Sequence[str] | None = None,
    answer: AnswerSpec | None = None,
    grade: str | None = None,
) -> OutcomeTable:
    """Returns the outcomes of a store as a table, equal to those of its exported folder.

    Args:
        store: URL of the store.
        members: Members to keep, in this order; all of them, sorted by name, when None.
        answer: How replies are read; each query's own `answer_type` when None, inferred where it has none.
        grade: The grading that scores the replies; the only one when None, the references where nothing was
            graded.

    Raises:
        StoreError: If the store cannot be opened, holds no reply, or does not hold the grading.
        OutcomeError: If a member is unknown.
    """
    with open_store(store, create=False) as opened:
        queries, replies = _records(opened, grade)
        return OutcomeTable.from_records(list(queries), list(replies), members=members, answer=answer)


def read_as_graded(store: "OutcomeStore", kind: str, changed: Sequence[Mapping[str, Any]]) -> OutcomeTable:
    """Returns the outcomes of a store as they will be once graded; nothing is written.

    Args:
        store: The store.
        kind: Kind of the grader: "reference", or a kind of answer.
        changed: Query records that replace those of the store.

    Raises:
        StoreError: If the store holds no reply.
    """
    queries, replies = _records_of(store, None, None)
    by_id = {fields["query_id"]: fields for fields in queries}
    for fields in changed:
        by_id[fields["query_id"]] = dict(fields)
    if kind in ANSWER_TYPES:
        for fields in by_id.values():
            fields["answer_type"] = kind
    return OutcomeTable.from_records(list(by_id.values()), list(replies))


_Records = Iterator[dict[str, Any]]


def _records(store: "OutcomeStore", grade: str | None) -> tuple[_Records, _Records]:
    """The query and reply records, with the columns of the named grading."""
    grading, kind = _grading(store, grade)
    return _records_of(store, grading, kind)


def _records_of(store: "OutcomeStore", grading: str | None, kind: str | None) -> tuple[_Records, _Records]:
    """The records, read from the store one page after the other while they are used."""
    sampled = Counter(member for member, _ in store.sampled())
    if not sampled:
        raise StoreError(f"{store} holds no reply. Collect some first: selectllm collect.")
    return _query_records(store, kind), _reply_records(store, grading, kind, sampled)


def _query_records(store: "OutcomeStore", kind: str | None) -> _Records:
    for fields in store.read_queries():
        record = dict(fields)
        if kind in ANSWER_TYPES:
            record["answer_type"] = kind
        yield record


def _reply_records(
    store: "OutcomeStore", grading: str | None, kind: str | None, sampled: Mapping[str, int]
) -> _Records:
    # Readers of the folder read the answers again, so that its labels follow from the majority of the
    # samples, not from their mean; the scores of a function or a judge cannot be computed again from the
    # texts.
    reads_answers = kind in ("reference", *ANSWER_TYPES)
    for row in store.read_replies(grading):
        name = row["member"]
        if sampled[name] > 1:
            name = f"{name}@{row['parameters']}"
        record = {
            "query_id": row["query_id"],
            "model": name,
            "sample": row["sample"],
            "response": row["text"],
        }
        for column in _COPIED:
            if row[column] is not None:
                record[column] = row[column]
        if grading is not None:
            record["grading"], record["answer"] = grading, row["answer"]
            if reads_answers:
                record["grade"] = row["score"]
            else:
                record["score"] = row["score"]
        yield record


def _parsed_queries(records: _Records) -> Iterator[QueryRecord]:
    for i, fields in enumerate(records):
        yield parse_query(fields, f"queries[{i}]")


def _parsed_replies(records: _Records, counts: Counter[str]) -> Iterator[ReplyRecord]:
    """The replies, counted by member as they pass."""
    for i, fields in enumerate(records):
        counts[fields["model"]] += 1
        yield parse_reply(fields, f"replies[{i}]")


def _grading(store: "OutcomeStore", grade: str | None) -> tuple[str | None, str | None]:
    """Returns name and kind of the grading to use; both None where nothing was graded."""
    known = store.gradings()
    if grade is None and len(known) > 1:
        raise StoreError(f"{store} holds the gradings {', '.join(known)}. Name one of them (--grade).")
    if grade is None and not known:
        return None, None
    name = grade or next(iter(known))
    if name not in known:
        raise StoreError(f"{store} holds no grading {name!r}. It holds: {', '.join(known) or 'none'}.")
    return name, known[name]


def _write_failures(file: Path, rows: Iterator[Mapping[str, Any]]) -> None:
    """Writes the file, unless there is no failure."""
    first = next(rows, None)
    if first is None:
        return
    with file.open("w", encoding="utf-8") as failures:
        for row in chain([first], rows):
            failures.write(json.dumps(row, ensure_ascii=False) + "\n")
