"""The results table of the README, taken from the results page.

Usage: python benchmarks/summary.py docs/explanation/results.md README.md
"""

import argparse
from pathlib import Path

from markers import write_section
from result_tables import ResultTable, read_results

CONTROLS = ("single_best", "all_members", "fixed_best:3", "weighted_max_conf:3")
OURS = "selectllm:3"
HEAD = (
    "| pool | single best | all members | fixed best-3 | paper's policy | `selectllm:3` (calls) "
    "| oracle | `selectllm:3` less fixed best-3 [95 %] |"
)


def summarise(tables: list[ResultTable]) -> str:
    """One row per pool whose members can vote."""
    lines = [HEAD, "|---|---:|---:|---:|---:|---:|---:|---|"]
    lines += [_row(table) for table in tables if OURS in table.systems]
    return "\n".join(lines)


def _row(table: ResultTable) -> str:
    cells = [table.title, *(f"{table.systems[name].accuracy:.1f}" for name in CONTROLS)]
    ours = table.systems[OURS]
    cells.append(f"{ours.accuracy:.1f} ({ours.calls:.1f})")
    cells.append(f"{table.systems['oracle'].accuracy:.1f}")
    cells.append(ours.difference)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the results table of the README.")
    parser.add_argument("results", type=Path, help="the results page")
    parser.add_argument("readme", type=Path, help="file whose summary section is replaced")
    given = parser.parse_args()
    write_section(given.readme, "summary", summarise(read_results(given.results)))
