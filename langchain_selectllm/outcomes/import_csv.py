"""A table of questions as queries in the interchange format."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_selectllm.exceptions import OutcomeError, reason
from langchain_selectllm.outcomes.folders import check_new_folder
from langchain_selectllm.outcomes.records import ANSWER_TYPES, parse_query

USUAL_HEADINGS: Mapping[str, tuple[str, ...]] = {
    "query_id": ("query_id", "question_id", "prompt_id", "id"),
    "query": ("query", "question", "prompt", "input", "text", "problem", "instruction"),
    "reference": (
        "reference",
        "answer",
        "gold",
        "target",
        "label",
        "solution",
        "expected",
        "expected_answer",
    ),
    "answer_type": ("answer_type",),
    "category": ("category", "subject", "topic", "task"),
}
"""Headings that are recognised, by field, in order of preference; case and spaces do not matter."""

_DELIMITERS = ",;\t|"


@dataclass(frozen=True, kw_only=True)
class ImportedQuestions:
    """Result of an import."""

    file: Path
    n_queries: int
    columns: Mapping[str, str]
    """Heading of the column that each field was read from."""


def import_questions(
    csv_path: str | Path,
    out_folder: str | Path,
    *,
    question: str | None = None,
    reference: str | None = None,
    answer_type: str | None = None,
    category: str | None = None,
) -> ImportedQuestions:
    """Write the questions of a CSV file as `queries.jsonl` into a new folder; nothing is written on an error.

    The file has a header line; commas, semicolons, tabs or bars separate its columns. A column for ids is
    used where there is one; otherwise the questions are numbered.

    Args:
        csv_path: CSV file in UTF-8.
        out_folder: A new folder.
        question: Heading of the questions; a usual one such as "question" or "prompt" when None.
        reference: Heading of the right answers; a usual one such as "answer" when None, no references
            without it.
        answer_type: Heading of the kinds of answers, or one kind for all questions; inferred by readers when
            None.
        category: Heading of the categories; a usual one such as "subject" when None, no categories without
            it.

    Raises:
        OutcomeError: If the file cannot be read, a heading is missing, a row is malformed (with its line
            number), or the folder exists and is not empty.
    """
    source, folder = Path(csv_path), Path(out_folder)
    check_new_folder(folder)
    rows = list(_read_rows(source))
    if len(rows) < 2:
        raise OutcomeError(f"{source} has no question. A header line and one line per question are needed.")
    headings = rows[0][1]
    constants: dict[str, str] = {}
    if answer_type in ANSWER_TYPES and answer_type not in headings:
        constants["answer_type"], answer_type = answer_type, None
    named = {"query": question, "reference": reference, "answer_type": answer_type, "category": category}
    columns = _columns(source, headings, named)
    records: list[dict[str, Any]] = []
    seen: dict[str, str] = {}
    for where, row in rows[1:]:
        record = _record(where, row, headings, columns) | constants
        record.setdefault("query_id", f"q{len(records) + 1:05d}")
        _check_new_id(record["query_id"], where, seen)
        parse_query(record, where)
        records.append(record)
    used = dict(zip(columns, map(headings.__getitem__, columns.values()), strict=True))
    return _write(folder, records, used)


def _read_rows(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Place ("FILE:LINE") and fields of each row that is not blank, the header first."""
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OutcomeError(f"{source} cannot be read: {reason(error)}. Give a CSV file in UTF-8.") from error
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield f"{source}:{line}", [field.strip() for field in row]
            line = reader.line_num + 1
    except csv.Error as error:
        raise OutcomeError(
            f"{source}:{line}: {error}. Close every quote, and double quotes within one."
        ) from error


def _columns(source: Path, headings: Sequence[str], named: Mapping[str, str | None]) -> dict[str, int]:
    """Index of the column of each field that has one."""
    columns: dict[str, int] = {}
    for field, usual in USUAL_HEADINGS.items():
        heading = named.get(field)
        if heading is not None:
            columns[field] = _named_column(source, headings, heading)
            continue
        guess = _usual_column(headings, usual, taken=columns.values())
        if guess is not None:
            columns[field] = guess
    if "query" not in columns:
        raise OutcomeError(
            f"{source} has no column of questions that can be recognised. Headings: {', '.join(headings)}. "
            "Name the one that holds the questions."
        )
    return columns


def _named_column(source: Path, headings: Sequence[str], heading: str) -> int:
    if heading not in headings:
        raise OutcomeError(f"{source} has no column {heading!r}. Headings: {', '.join(headings)}.")
    return headings.index(heading)


def _usual_column(headings: Sequence[str], usual: Sequence[str], *, taken: Any) -> int | None:
    folded = [heading.lower().replace(" ", "_").replace("-", "_") for heading in headings]
    for name in usual:
        if name in folded and folded.index(name) not in taken:
            return folded.index(name)
    return None


def _record(
    where: str, row: Sequence[str], headings: Sequence[str], columns: Mapping[str, int]
) -> dict[str, Any]:
    if len(row) != len(headings):
        raise OutcomeError(
            f"{where}: {len(row)} fields, but the header has {len(headings)}. Quote fields that hold the "
            "separator."
        )
    record: dict[str, Any] = {}
    for field, at in columns.items():
        if row[at]:
            record[field] = row[at]
    if "query" not in record:
        raise OutcomeError(f"{where}: the question is empty. Fill it in, or remove the line.")
    return record


def _check_new_id(query_id: str, where: str, seen: dict[str, str]) -> None:
    first = seen.setdefault(query_id, where)
    if first != where:
        raise OutcomeError(
            f"{where}: the id {query_id!r} already stands at {first}. Give each question its own id."
        )


def _write(
    folder: Path, records: Sequence[Mapping[str, Any]], columns: Mapping[str, str]
) -> ImportedQuestions:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "queries.jsonl"
    with file.open("w", encoding="utf-8") as lines:
        for record in records:
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
    return ImportedQuestions(file=file, n_queries=len(records), columns=columns)
