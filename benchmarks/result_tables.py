"""Tables of the results page, read back from its Markdown."""

import re
from dataclasses import dataclass
from pathlib import Path

from markers import read_section

_ROW = re.compile(r"^\| `([\w:]+)` \| ([\d.]+) \| ([\d.]+) \|(.*)\|$")


@dataclass(frozen=True, kw_only=True)
class SystemRow:
    """Accuracy in per cent, mean calls, and the difference to its control as the page words it."""

    accuracy: float
    calls: float
    difference: str


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """Systems of one pool, by name."""

    title: str
    systems: dict[str, SystemRow]


def read_results(page: Path) -> list[ResultTable]:
    """One table per bold title of the page's results section, in their order."""
    tables: list[ResultTable] = []
    for line in read_section(page, "results").splitlines():
        if line.startswith("**"):
            title = line.split("**")[1]
            tables.append(ResultTable(title=title, systems={}))
        row = _ROW.match(line)
        if row is not None:
            name, accuracy, calls, rest = row.groups()
            tables[-1].systems[name] = SystemRow(
                accuracy=float(accuracy), calls=float(calls), difference=rest.split("|")[-1].strip()
            )
    return tables
