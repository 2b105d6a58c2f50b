"""Files of many prompts, in one process and on Ray: rates per core, memory by length, answers by scripted members.

Usage: PYTHONPATH=. python benchmarks/wide.py [--lines 100000] [--memory 10000,100000,1000000] [--prompts 2000]
           [--write docs/explanation/wide.md]

Every run is a process of its own (`wide_run.py`). Prompts are synthetic, with 80 words each; members are a server on
this machine that replies at once. A rate is taken from the first block that is written to the last one, so that the
start of Python, Ray and its workers is a figure of its own.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markers import write_section
from performance import machine
from synthetic import texts, write_outcomes

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from tests.support import postgres

MEMBERS = [f"m{k:02d}" for k in range(8)]
_DISTINCT = 2_000
"""Different prompts; each is numbered, so that no line is that of another."""
SERVER = """
import sys
from tests.support.chat_server import ChatServer
with ChatServer() as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--lines", type=int, default=100_000, help="lines of the files that rates are taken from"
    )
    parser.add_argument("--memory", default="10000,100000,1000000", help="lines of the files for memory")
    parser.add_argument("--prompts", type=int, default=2_000, help="prompts that are answered")
    parser.add_argument("--write", type=Path, help="page to write")
    given = parser.parse_args()
    lengths = [int(length) for length in given.memory.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        train(work)
        rates = [measure(work, "route", given.lines, cores=cores) for cores in (None, 1, 2)]
        memory = [measure(work, "route", length) for length in lengths]
        answers = answered(work, given.prompts)
    sections = {
        "wide": f"{machine()}\n\n{rate_table(rates, 'decisions')}",
        "wide-memory": memory_table(memory),
        "wide-answers": rate_table(answers, "answers"),
    }
    for name, text in sections.items():
        print(text, end="\n\n")
        if given.write:
            write_section(given.write, name, text)


def train(work: Path) -> None:
    """A router of eight members."""
    write_outcomes(work / "outcomes", n_queries=1_000, n_members=len(MEMBERS))
    SelectLLMClassifier().fit(OutcomeTable.from_folders(work / "outcomes")).save_pretrained(work / "router")


def prompts(work: Path, n: int) -> Path:
    """A file of prompts; made once for each length."""
    path = work / f"prompts-{n}.jsonl"
    if not path.exists():
        words = texts(_DISTINCT, seed=1)
        with path.open("w") as file:
            for i in range(n):
                file.write(json.dumps({"query_id": f"q{i}", "query": f"{i} {words[i % _DISTINCT]}"}) + "\n")
    return path


def measure(work: Path, kind: str, n: int, *, cores: int | None = None, **options: str) -> dict[str, Any]:
    """Figures of one run in a process of its own."""
    target = work / "output.jsonl"
    target.unlink(missing_ok=True)
    script = Path(__file__).with_name("wide_run.py")
    command = [sys.executable, str(script), kind, str(work / "router"), str(prompts(work, n)), str(target)]
    for name, value in options.items():
        command += [f"--{name}", value]
    if cores:
        command += ["--cores", str(cores)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENAI_API_KEY": "none"}
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    where = f"Ray, {cores} core{'s' * (cores > 1)}" if cores else "one process"
    found = {"where": where, "cores": cores or 1, "store": options.get("store", "").partition(":")[0]}
    return found | json.loads(printed.splitlines()[-1])


def answered(work: Path, n: int) -> list[dict[str, Any]]:
    """Answers by members on this machine, into SQLite and PostgreSQL."""
    with members(work) as pool, postgres.server() as url:
        runs = [measure(work, "answer", n, pool=str(pool), store=f"sqlite:///{work}/answers.db")]
        for cores in (None, 1, 2):
            store = postgres.new_database(url)
            runs.append(measure(work, "answer", n, cores=cores, pool=str(pool), store=store))
    return runs


@contextlib.contextmanager
def members(work: Path) -> Iterator[Path]:
    """Yields a pool file of members behind a server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    entry = {"base_url": process.stdout.readline().strip(), "max_concurrency": 16, "max_tokens": 50}
    pool = work / "pool.yaml"
    # JSON is YAML.
    pool.write_text(json.dumps({"members": {name: {"model": f"openai:{name}", **entry} for name in MEMBERS}}))
    try:
        yield pool
    finally:
        process.communicate("")


def rate_table(runs: list[dict[str, Any]], what: str) -> str:
    """Rates as Markdown; ratios are to the first run."""
    has_store = any(run["store"] for run in runs)
    lines = [
        f"| where |{' store |' * has_store} lines | first block after, s | {what} per second | per core | per core, ratio |",
        f"|---|{'---|' * has_store}---|---|---|---|---|",
    ]
    first = runs[0]["rate"] / runs[0]["cores"]
    for run in runs:
        per_core = run["rate"] / run["cores"]
        store = f" {run['store']} |" if has_store else ""
        lines.append(
            f"| {run['where']} |{store} {run['lines']:,} | {run['first_s']:.1f} | {run['rate']:,.0f} | "
            f"{per_core:,.0f} | {per_core / first:.2f} |"
        )
    return "\n".join(lines)


def memory_table(runs: list[dict[str, Any]]) -> str:
    """Memory by length as Markdown, and a projection."""
    lines = ["| lines | seconds | peak memory, MiB | ratio |", "|---|---|---|---|"]
    for run in runs:
        ratio = run["peak_mib"] / runs[0]["peak_mib"]
        lines.append(f"| {run['lines']:,} | {run['seconds']:.1f} | {run['peak_mib']:.0f} | {ratio:.2f} |")
    hours = 10_000_000 / runs[-1]["rate"] / 3600
    lines.append(
        f"\nTen million lines were not run. At the rate of the longest file they take {hours:.1f} hours on one core."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
