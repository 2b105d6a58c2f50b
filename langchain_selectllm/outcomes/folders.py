"""Folders in the interchange format: `queries.jsonl[.gz]` and `responses/MEMBER.jsonl[.gz]`."""

import gzip
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from langchain_selectllm.exceptions import OutcomeError, reason
from langchain_selectllm.outcomes.records import (
    QueryRecord,
    ReplyRecord,
    parse_queries,
    parse_query,
    parse_replies,
    parse_reply,
)


def read_queries(folder: Path) -> list[QueryRecord]:
    """The queries of one folder, in file order.

    Raises:
        OutcomeError: If the file is missing or malformed, or an id stands twice in it.
    """
    if not folder.is_dir():
        raise OutcomeError(f"{folder} is not a folder. Give a folder with queries.jsonl[.gz] and responses/.")
    plain, packed = folder / "queries.jsonl", folder / "queries.jsonl.gz"
    if plain.is_file() and packed.is_file():
        raise OutcomeError(
            f"{folder} has both {plain.name} and {packed.name}. Exactly one of them is needed."
        )
    if plain.is_file():
        return read_query_file(plain)
    if packed.is_file():
        return read_query_file(packed)
    raise OutcomeError(f"{folder} has neither {plain.name} nor {packed.name}. Exactly one of them is needed.")


def read_query_file(file: Path) -> list[QueryRecord]:
    """The queries of one file, in file order.

    Raises:
        OutcomeError: If the file cannot be read or is malformed, or an id stands twice in it.
    """
    queries = [parse_query(fields, where) for where, fields in read_lines(file)]
    seen: dict[tuple[str, str], QueryRecord] = {}
    for query in queries:
        first = seen.setdefault((query.query_id, query.text), query)
        if first is not query:
            raise OutcomeError(
                f"{query.where}: query_id {query.query_id!r} already stands at {first.where}. Keep one of "
                "them."
            )
    return queries


def read_replies(folder: Path, members: Collection[str] | None = None) -> Iterator[ReplyRecord]:
    """The replies of one folder, file by file in order of name; of `members` only, when given.

    Raises:
        OutcomeError: If there are no reply files, or a line is malformed.
    """
    responses = folder / "responses"
    files = sorted([*responses.glob("*.jsonl"), *responses.glob("*.jsonl.gz")])
    if not files:
        raise OutcomeError(
            f"{folder / 'responses'} has no .jsonl or .jsonl.gz file. One per member is needed."
        )
    for file in files:
        for where, fields in read_lines(file):
            if members is None or fields.get("model") in members or not isinstance(fields.get("model"), str):
                yield parse_reply(fields, where)


def write_folder(folder: Path, queries: Iterable[QueryRecord], replies: Iterable[ReplyRecord]) -> None:
    """Write records as read, unknown fields included, one gzipped file per member; none is kept in memory.

    Raises:
        OutcomeError: If the folder already holds recorded outcomes.
    """
    check_new_folder(folder)
    (folder / "responses").mkdir(parents=True)
    _write_lines(folder / "queries.jsonl.gz", (query.fields for query in queries))
    names: dict[str, str] = {}
    with ExitStack() as opened:
        files: dict[str, gzip.GzipFile] = {}
        for reply in replies:
            if reply.member not in files:
                file = folder / "responses" / f"{_stem(reply.member, names)}.jsonl.gz"
                files[reply.member] = opened.enter_context(_packed(file))
            files[reply.member].write(_line(reply.fields))


def _stem(member: str, names: dict[str, str]) -> str:
    """A file name for the member that no other has, which is remembered."""
    stem = re.sub(r"[^\w.+-]", "_", member)
    while stem in names:
        stem += "_"
    names[stem] = member
    return stem


def write_records(
    folder: Path, queries: Iterable[Mapping[str, Any]], replies: Iterable[Mapping[str, Any]]
) -> None:
    """Write records with the fields of the interchange format as a folder, after checking each of them.

    Raises:
        OutcomeError: If a record is malformed, or the folder exists and is not empty.
    """
    write_folder(
        folder,
        parse_queries(queries),
        parse_replies(replies),
    )


def check_new_folder(folder: Path) -> None:
    """Whether recorded outcomes may be written there.

    Raises:
        OutcomeError: If it exists and is not an empty folder.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutcomeError(
            f"{folder} exists and is not an empty folder. Give a new one; nothing was written."
        )


def read_lines(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Place ("FILE:LINE") and fields of each record of a JSON Lines file.

    Raises:
        OutcomeError: If the file cannot be read, or a line is no JSON object.
    """
    opener = gzip.open if file.name.endswith(".gz") else open
    try:
        with opener(file, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{file}:{number}", _parse_line(line, f"{file}:{number}")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise OutcomeError(
            f"{file} cannot be read: {reason(error)}. Is it complete, UTF-8, and gzip if it ends in .gz?"
        ) from error


def _parse_line(line: str, where: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise OutcomeError(f"{where}: not valid JSON ({error}). Each line is one JSON object.") from error
    if not isinstance(fields, dict):
        raise OutcomeError(
            f"{where}: a JSON {type(fields).__name__} instead of an object. Each line is one JSON object."
        )
    return fields


def _write_lines(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with _packed(file) as packed:
        for row in rows:
            packed.write(_line(row))


@contextmanager
def _packed(file: Path) -> Iterator[gzip.GzipFile]:
    # mtime=0 keeps equal content equal byte for byte.
    with file.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as packed:
        yield packed


def _line(row: Mapping[str, Any]) -> bytes:
    return (json.dumps(row, ensure_ascii=False) + "\n").encode()
