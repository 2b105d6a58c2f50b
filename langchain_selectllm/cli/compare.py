"""`selectllm compare`: two saved reports side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from langchain_selectllm.cli.console import out, print_json
from langchain_selectllm.cli.reading import Json
from langchain_selectllm.evaluation.comparison import Comparison, compare_reports
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.selection.policy_names import in_runs

Report = Annotated[Path, typer.Argument(help="Report that `selectllm evaluate --report` wrote.")]


def compare(first: Report, second: Report, as_json: Json = False) -> None:
    """Show how much better or worse each system is in the second of two reports."""
    comparison = compare_reports(_read(first), _read(second))
    if as_json:
        print_json(comparison.to_dict())
    else:
        _print_comparison(comparison)


def _read(path: Path) -> dict[str, Any]:
    try:
        report: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        report = None
    if not isinstance(report, dict) or "systems" not in report:
        raise OutcomeError(f"{path} is no report. Give a file that `selectllm evaluate --report` wrote.")
    return report


def _print_comparison(comparison: Comparison) -> None:
    table = Table(title="accuracy and calls of the second report against the first")
    table.add_column("system", no_wrap=True)
    for title in ("first (%)", "second (%)", "points [95 %]", "verdict", "calls"):
        table.add_column(title, justify="right", no_wrap=True)
    for system in comparison.systems:
        low, high = system.ci95
        table.add_row(
            system.name,
            f"{100 * system.first:.1f}",
            f"{100 * system.second:.1f}",
            f"{100 * system.difference:+z.1f} [{100 * low:+z.1f}, {100 * high:+z.1f}]",
            system.verdict,
            f"{system.calls:+z.2f}",
        )
    out.print(table)
    out.print(
        "Points: second minus first; likewise the calls per query. Intervals are for independent queries; "
        "they are too wide if the reports share queries.",
        highlight=False,
    )
    for words, names in (("first", comparison.only_first), ("second", comparison.only_second)):
        if names:
            out.print(f"Only in the {words}: {', '.join(in_families(names))}.", highlight=False)
    for caution in comparison.cautions:
        out.print(caution, style="bold", highlight=False)


def in_families(names: Sequence[str]) -> list[str]:
    """Returns the names with all sizes of a family together: "random:9 to 17"."""
    sizes: dict[str, list[int]] = {}
    others = []
    for name in names:
        family, _, size = name.partition(":")
        if size.isdecimal():
            sizes.setdefault(family, []).append(int(size))
        else:
            others.append(name)
    return [*others, *(f"{family}:{in_runs(found)}" for family, found in sizes.items())]
