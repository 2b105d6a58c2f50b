"""Times of every part as ratios of one run: the table and the growth curves of docs/explanation/performance.md.

Usage: python benchmarks/performance.py [--quick] [--sentence-model FOLDER] [--write docs/explanation/performance.md]

Everything is synthetic: no recorded data are needed. `--quick` leaves out trainings of more than 4,000 queries. With
`--write`, the figures are added to the JSON file of the same name, which keeps the history.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from markers import write_section
from performance_cases import chains, concurrency, decisions, election, encoders, fan_out, imports, loading
from synthetic import write_outcomes
from timing import Row

from langchain_selectllm import SelectLLMClassifier

QUERIES = (1_000, 3_000, 10_000, 30_000, 100_000)
MEMBERS = (8, 16, 32, 64)
LARGE = (100_000, 16)
LARGE_S, LARGE_GIB = 600.0, 4.0
"""Targets of the largest training."""


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the long trainings")
    parser.add_argument("--sentence-model", help="folder or id of a sentence-transformers model")
    parser.add_argument("--write", type=Path, help="page to write; the history goes into the .json beside it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        growth = [train(work, n, k) for n, k in sizes(quick=given.quick)]
        eight, many = (
            SelectLLMClassifier.from_pretrained(work / f"router-1000x{k}") for k in (MEMBERS[0], MEMBERS[-1])
        )
        rows = [
            *imports(),
            *loading(work / "router-1000x8"),
            *decisions(eight, many),
            *encoders(eight, given.sentence_model),
            *election(eight),
            *fan_out(eight),
            *concurrency(eight),
            *chains(eight),
            *large_training(growth),
        ]
    text = f"{machine()}\n\n{table(rows)}\n\n{growth_table(growth)}"
    print(text)
    if given.write:
        history = remember(given.write.with_suffix(".json"), rows, growth)
        write_section(given.write, "performance", text)
        draw(growth, given.write.with_name("performance-growth.svg"))
        print(f"Written to {given.write}; {len(history)} runs in its history.")


def sizes(*, quick: bool) -> list[tuple[int, int]]:
    """Queries and members of every training."""
    queries = QUERIES[:2] if quick else QUERIES
    members = [(1_000, k) for k in MEMBERS]
    return [*members, *((n, 8) for n in queries[1:]), *([] if quick else [LARGE])]


def train(work: Path, n_queries: int, n_members: int) -> dict[str, float]:
    """Seconds and peak memory of one training, in a process of its own on one core."""
    name = f"{n_queries}x{n_members}"
    outcomes = work / f"outcomes-{name}"
    write_outcomes(outcomes, n_queries=n_queries, n_members=n_members)
    script = Path(__file__).with_name("training_run.py")
    command = [sys.executable, str(script), str(outcomes), "--save", str(work / f"router-{name}")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return {"queries": n_queries, "members": n_members, **json.loads(printed)}


def large_training(growth: list[dict[str, float]]) -> list[Row]:
    """Time and memory of the largest training against their targets; nothing in a quick run."""
    rows = []
    for run in growth:
        if (run["queries"], run["members"]) == LARGE:
            name = f"train {LARGE[0]:,} queries x {LARGE[1]} members"
            seconds = run["read_s"] + run["fit_s"]
            limit = f"{LARGE_S:.0f} s"
            rows.append(
                Row(
                    name=f"{name}: time",
                    figure=f"{seconds:.0f} s",
                    ratio=seconds / LARGE_S,
                    compared_with=limit,
                    target=1,
                )
            )
            ratio = run["peak_gib"] / LARGE_GIB
            peak = f"{run['peak_gib']:.2f} GiB"
            rows.append(
                Row(
                    name=f"{name}: peak memory",
                    figure=peak,
                    ratio=ratio,
                    compared_with=f"{LARGE_GIB:.0f} GiB",
                    target=1,
                )
            )
    return rows


def machine() -> str:
    """The machine in one line."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{datetime.now(UTC).date()}, {model}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"numpy {np.__version__}. Medians of one run; a ratio is the median of the ratios of its turns."
    )


def table(rows: list[Row]) -> str:
    """All rows as Markdown."""
    lines = ["| part | time | ratio | compared with | target | |", "|---|---|---|---|---|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        target = "" if row.target is None else f"<= {row.target:g}"
        lines.append(
            f"| {row.name} | {row.figure} | {ratio} | {row.compared_with} | {target} | {row.verdict} |"
        )
    return "\n".join(lines)


def growth_table(growth: list[dict[str, float]]) -> str:
    """Trainings by size as Markdown."""
    lines = ["| queries | members | reading, s | training, s | peak memory, GiB |", "|---|---|---|---|---|"]
    lines += [
        f"| {run['queries']:,} | {run['members']} | {run['read_s']:.1f} | {run['fit_s']:.1f} | {run['peak_gib']:.2f} |"
        for run in growth
    ]
    return "\n".join(lines)


def remember(path: Path, rows: list[Row], growth: list[dict[str, float]]) -> list[object]:
    """The history with this run behind the earlier ones."""
    history: list[object] = json.loads(path.read_text()) if path.exists() else []
    figures = [
        {"name": row.name, "figure": row.figure, "ratio": row.ratio, "target": row.target} for row in rows
    ]
    history.append({"machine": machine(), "rows": figures, "training": growth})
    path.write_text(json.dumps(history, indent=1) + "\n")
    return history


def draw(growth: list[dict[str, float]], target: Path) -> None:
    """Plot training time and peak memory over queries and over members."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "performance", "font.size": 10, "svg.fonttype": "path"})
    figure, grid = plt.subplots(2, 2, figsize=(8, 5.6), facecolor="white")
    over_queries = sorted((run for run in growth if run["members"] == 8), key=lambda run: run["queries"])
    over_members = sorted((run for run in growth if run["queries"] == 1_000), key=lambda run: run["members"])
    columns = (
        ("queries (8 members)", "queries", over_queries),
        ("members (1,000 queries)", "members", over_members),
    )
    for column, (label, key, runs) in enumerate(columns):
        at = [run[key] for run in runs]
        for row, (unit, figure_name) in enumerate(
            (("training, s", "fit_s"), ("peak memory, GiB", "peak_gib"))
        ):
            axes = grid[row][column]
            values = [run[figure_name] for run in runs]
            axes.plot(at, values, marker="o", color="#0b6e4f", label="measured")
            # In proportion, through the largest run.
            straight = [values[-1] * size / at[-1] for size in at]
            axes.plot(at, straight, linestyle="--", color="#6b7280", label="in proportion")
            axes.set(xlabel=label, ylabel=unit, xscale="log", yscale="log")
            axes.set_xticks(at, [f"{value:,}" for value in at])
            axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
            axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
            axes.yaxis.set_minor_locator(mpl.ticker.NullLocator())
            axes.legend(frameon=False)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main()
