"""Two saved reports side by side: how much better or worse each system became."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_COMPARABLE = (
    ("n_queries", "numbers of queries"),
    ("members", "members"),
    ("labels_from", "sources of labels"),
)


@dataclass(frozen=True, kw_only=True)
class SystemChange:
    """One system in both reports; differences are the second minus the first."""

    name: str
    first: float
    """Accuracy in the first report."""
    second: float
    """Accuracy in the second report."""
    ci95: tuple[float, float]
    """95 % interval of the difference, as if the reports were of independent queries; too wide if they share
    them."""
    calls: float
    cost_usd: float | None
    """Difference in mean cost per query; None where either is unknown."""
    latency_parallel_s: float | None
    """Difference in mean parallel latency; None where either is unknown."""

    @property
    def difference(self) -> float:
        """Accuracy in the second report minus that in the first."""
        return self.second - self.first

    @property
    def verdict(self) -> str:
        """Whether 0 is outside the interval: "better" or "worse", otherwise "no difference shown"."""
        if self.ci95[0] > 0:
            return "better"
        if self.ci95[1] < 0:
            return "worse"
        return "no difference shown"

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            **vars(self),
            "ci95": list(self.ci95),
            "difference": self.difference,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Systems that both reports hold, and what keeps the reports from being comparable."""

    systems: tuple[SystemChange, ...]
    only_first: tuple[str, ...]
    """Systems of the first report alone."""
    only_second: tuple[str, ...]
    cautions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "systems": [system.to_dict() for system in self.systems],
            "only_first": list(self.only_first),
            "only_second": list(self.only_second),
            "cautions": list(self.cautions),
        }


def compare_reports(first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    """The systems of two reports, as saved by `Report.save`, in the order of the first one."""
    before, after = _systems(first), _systems(second)
    changes, only_first = [], []
    for name, system in before.items():
        if name in after:
            changes.append(_change(system, after[name]))
        else:
            only_first.append(name)
    cautions = []
    for key, words in _COMPARABLE:
        if first[key] != second[key]:
            cautions.append(f"The reports have different {words}.")
    return Comparison(
        systems=tuple(changes),
        only_first=tuple(only_first),
        only_second=tuple(name for name in after if name not in before),
        cautions=tuple(cautions),
    )


def _systems(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {system["name"]: system for system in report["systems"]}


def _change(first: Mapping[str, Any], second: Mapping[str, Any]) -> SystemChange:
    difference = second["accuracy"] - first["accuracy"]
    # Half widths of independent intervals add in quadrature.
    half = float(np.hypot(_half_width(first), _half_width(second)))
    return SystemChange(
        name=first["name"],
        first=first["accuracy"],
        second=second["accuracy"],
        ci95=(difference - half, difference + half),
        calls=second["calls"] - first["calls"],
        cost_usd=_difference(first, second, "cost_usd"),
        latency_parallel_s=_difference(first, second, "latency_parallel_s"),
    )


def _half_width(system: Mapping[str, Any]) -> float:
    low, high = system["accuracy_ci95"]
    return float(high - low) / 2


def _difference(first: Mapping[str, Any], second: Mapping[str, Any], key: str) -> float | None:
    if first[key] is None or second[key] is None:
        return None
    return float(second[key] - first[key])
