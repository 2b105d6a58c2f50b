"""A store of ten million replies in PostgreSQL: sizes, query plans, resume, export.

Usage: PYTHONPATH=. python benchmarks/store_size.py [--rows 10000000] [--url URL] [--write docs/explanation/wide.md]

Without `--url` a server of its own is started and filled (`store_filling.py`), which takes about ten minutes and 10 GB.
Plans are those of the statements that the store itself sends, explained with the same values.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from markers import write_section
from performance import machine
from sqlalchemy import event, select, text
from store_filling import GRADING, SAMPLES, fill

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm.collection import tables
from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.collection.rows import parameters_digest
from langchain_selectllm.collection.store import OutcomeStore
from langchain_selectllm.integrations.answer_file import answer_file
from tests.support import postgres
from tests.support.worlds import reply_table

MEMBERS = [f"m{k}" for k in range(5)]
ENTRY: dict[str, Any] = {"model": "openai:m", "max_tokens": 50}
DIGEST = parameters_digest(ENTRY)
PROMPTS = 2_000
SMALL_ROWS = 100_000
TURNS = 3

Work = Callable[[], object]


def main() -> None:
    """Fill, measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--url", help="a store that an earlier run filled; it is not changed")
    parser.add_argument("--write", type=Path, help="page to write")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres.server())
        small = stack.enter_context(filled(postgres.new_database(server), SMALL_ROWS))
        if given.url:
            large = stack.enter_context(open_store(given.url))
        else:
            large = stack.enter_context(filled(postgres.new_database(server), given.rows))
        version = large.engine.connect().scalar(text("SHOW server_version"))
        parts = [f"{machine()} PostgreSQL {version}, `shared_buffers` 128 MB."]
        for work in (sizes, plans, partial(resumed, small)):
            parts.append(work(large))
            print(parts[-1], end="\n\n", flush=True)
    page = "\n\n".join(parts)
    if given.write:
        write_section(given.write, "store-size", page)


@contextlib.contextmanager
def filled(url: str, rows: int) -> Iterator[OutcomeStore]:
    """Yields a store with so many replies."""
    with open_store(url) as store:
        n_queries = max(rows // (len(MEMBERS) * SAMPLES), PROMPTS)
        fill(store, dict.fromkeys(MEMBERS, ENTRY), n_queries=n_queries)
        yield store


def sizes(store: OutcomeStore) -> str:
    """Rows and bytes of the tables and their indexes as Markdown."""
    lines = ["| table | rows | table, MB | index, MB | bytes per row |", "|---|---|---|---|---|"]
    with store.engine.connect() as connection:
        for table in (tables.queries, tables.replies, tables.grades):
            name = table.name
            rows = connection.scalar(text(f"SELECT count(*) FROM {name}")) or 1  # noqa: S608
            heap, index = (
                connection.scalar(text(f"SELECT {function}('{name}')"))
                for function in ("pg_table_size", "pg_indexes_size")
            )
            lines.append(
                f"| `{name}` | {rows:,} | {heap / 1e6:,.0f} | {index / 1e6:,.0f} | {(heap + index) / rows:.0f} |"
            )
    return "\n".join(lines)


def plans(store: OutcomeStore) -> str:
    """Time and plan of each query as Markdown, the earlier form of some of them beside it."""
    replies, n = tables.replies.c, count_queries(store)
    ids = [f"q{i:09d}" for i in range(n // 2, n // 2 + 200)]
    columns = (replies.member, replies.parameters)
    key = [MEMBERS[2], DIGEST, ids[0], 1]
    works: dict[str, Work] = {
        "resume: replies of a member to 200 queries": lambda: store.answered(MEMBERS[2], DIGEST, ids),
        "resume: recorded results of 200 prompts": lambda: store.results(MEMBERS[2], DIGEST, ids),
        "budget: recorded cost, once per run": store.cost_usd,
        "end of a collection: replies of unknown cost, once per run": store.count_unpriced,
        "export: members and parameters": store.sampled,
        "the same by `SELECT DISTINCT`, as before": lambda: run(
            store, select(*columns).distinct().order_by(*columns)
        ),
        "export: a page of 500 graded replies, in the middle": lambda: run(store, later_page(key)),
        "the same by `or` and `and`, as before": lambda: run(store, later_page(key, by_rows=False)),
        "export: first page of failures": lambda: next(iter(store.read_failures())),
        "progress of a grading: replies without a grade": lambda: store.count_ungraded(GRADING, redo=False),
    }
    lines = ["| query | seconds | scans |", "|---|---|---|"]
    for name, work in works.items():
        seconds, scans = explained(store, work)
        lines.append(f"| {name} | {seconds:.4f} | {scans} |")
    return "\n".join(lines)


def later_page(key: Sequence[Any], *, by_rows: bool = True) -> Any:
    """The statement of a page of an export behind a key."""
    from langchain_selectllm.collection.paging import PAGE, _behind
    from langchain_selectllm.collection.store import _KEY, _beside_grades

    columns = [tables.replies.c[name] for name in _KEY]
    condition = _behind(columns, key)
    if not by_rows:
        condition = columns[-1] > key[-1]
        for column, value in zip(reversed(columns[:-1]), reversed(key[:-1]), strict=True):
            condition = (column > value) | ((column == value) & condition)
    grades = tables.grades.c
    statement = select(*tables.replies.c, grades.answer, grades.score).select_from(_beside_grades(GRADING))
    return statement.where(tables.replies.c.text.is_not(None), condition).order_by(*columns).limit(PAGE)


def run(store: OutcomeStore, statement: Any) -> None:
    """Run a statement and read all rows."""
    with store.engine.connect() as connection:
        connection.execute(statement).all()


def count_queries(store: OutcomeStore) -> int:
    """Number of queries."""
    with store.engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM selectllm_queries")) or 0


def explained(store: OutcomeStore, work: Work) -> tuple[float, str]:
    """Median seconds of some work, and the scans in the plan of its slowest statement."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        sent.append((statement, values))

    event.listen(store.engine, "before_cursor_execute", note)
    seconds = []
    for _ in range(TURNS):
        sent.clear()
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    event.remove(store.engine, "before_cursor_execute", note)
    found: dict[str, float] = {}
    with store.engine.connect() as connection:
        for statement, values in sent:
            plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values).scalar()
            root = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
            for scan in scans_of(root):
                found[scan] = 1
    return statistics.median(seconds), ", ".join(found)


def scans_of(plan: dict[str, Any]) -> Iterator[str]:
    """The scans of a plan."""
    if "Scan" in plan["Node Type"] and "Relation Name" in plan:
        index = plan.get("Index Name")
        condition = " from a key" if "Index Cond" in plan else ""
        yield f"{plan['Node Type']}" + (
            f" of `{index}`{condition}" if index else f" of `{plan['Relation Name']}`"
        )
    elif "Scan" in plan["Node Type"]:
        yield f"{plan['Node Type']} of `{plan.get('Index Name')}` from a key"
    for child in plan.get("Plans", ()):
        yield from scans_of(child)


def resumed(small: OutcomeStore, large: OutcomeStore) -> str:
    """Work of a resume on a small and on a large store as Markdown, and the peak memory of this process."""
    lines = [
        "| work | small store, s | large store, s | ratio | peak memory after it, MiB |",
        "|---|---|---|---|---|",
    ]
    works: dict[str, Callable[[OutcomeStore], object]] = {
        f"find the replies of {len(MEMBERS)} members to {PROMPTS:,} queries": look_up,
        f"`selectllm answer` of {PROMPTS:,} prompts whose replies are all in the store": answer_again,
        "read 50,000 replies for an export": lambda store: sum(
            1 for _ in islice(store.read_replies(GRADING), 50_000)
        ),
    }
    for name, work in works.items():
        seconds = {}
        for size, store in (("small", small), ("large", large)):
            work(store)
            start = time.perf_counter()
            work(store)
            seconds[size] = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        lines.append(
            f"| {name} | {seconds['small']:.2f} | {seconds['large']:.2f} | "
            f"{seconds['large'] / seconds['small']:.2f} | {peak:.0f} |"
        )
    return "\n".join(lines)


def complete_queries(store: OutcomeStore) -> list[dict[str, Any]]:
    """Queries from the beginning of the store that every member has answered."""
    first = [dict(fields) for fields in islice(store.read_queries(), 2 * PROMPTS)]
    ids = [fields["query_id"] for fields in first]
    for member in MEMBERS:
        have = {query_id for query_id, sample in store.answered(member, DIGEST, ids) if not sample}
        ids = [query_id for query_id in ids if query_id in have]
    kept = set(ids[:PROMPTS])
    return [fields for fields in first if fields["query_id"] in kept]


def look_up(store: OutcomeStore) -> None:
    """What a collection does first when it is run again."""
    ids = [fields["query_id"] for fields in complete_queries(store)]
    for member in MEMBERS:
        for start in range(0, len(ids), 200):
            store.answered(member, DIGEST, ids[start : start + 200])


def answer_again(store: OutcomeStore) -> None:
    """Make an output again that was lost; no member is called."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        gold = [str(i % 10) for i in range(60)]
        table = reply_table(["12345"] * 60, gold, MEMBERS, answer_type="number")
        SelectLLMClassifier().fit(table, allow_unreadable=True).save_pretrained(work / "router")
        os.environ.setdefault("OPENAI_API_KEY", "none")
        # Port 9 discards: a call would fail.
        entry = {**ENTRY, "base_url": "http://127.0.0.1:9"}
        (work / "pool.yaml").write_text(json.dumps({"members": dict.fromkeys(MEMBERS, entry)}))
        with (work / "prompts.jsonl").open("w") as prompts:
            for fields in complete_queries(store):
                line = {"query_id": fields["query_id"], "query": fields["query"]}
                prompts.write(json.dumps(line) + "\n")
        url = store.engine.url.render_as_string(hide_password=False)
        paths = (work / "router", work / "pool.yaml", work / "prompts.jsonl", work / "answers.jsonl")
        done = asyncio.run(answer_file(*paths, url, policy="all_members"))
        if done.n_lines != PROMPTS or done.n_errors:
            raise SystemExit(f"{done.n_lines} lines, {done.n_errors} errors: a reply was missing.")


if __name__ == "__main__":
    main()
