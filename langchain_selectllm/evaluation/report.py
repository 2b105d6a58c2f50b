"""The result of an evaluation: as JSON, and as a verdict in words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_selectllm._optional import require
from langchain_selectllm.outcomes.table import AGREEMENT
from langchain_selectllm.selection.policy_names import in_runs, size_of


@dataclass(frozen=True)
class Versus:
    """Paired difference to a control."""

    control: str
    difference: float
    """Accuracy minus that of the control."""
    ci95: tuple[float, float]

    @property
    def verdict(self) -> str:
        """Whether 0 is outside the interval: "better" or "worse", otherwise "no difference shown"."""
        if self.ci95[0] > 0:
            return "better"
        return "worse" if self.ci95[1] < 0 else "no difference shown"

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**vars(self), "ci95": list(self.ci95), "verdict": self.verdict}


@dataclass(frozen=True)
class SystemReport:
    """Figures of one system; means over queries."""

    name: str
    accuracy: float
    accuracy_ci95: tuple[float, float]
    calls: float
    cost_usd: float | None
    latency_parallel_s: float | None
    """Mean over queries of the slowest called member, with the decision where the system reads the query."""
    latency_total_s: float | None
    """Mean over queries of the sum over called members, the decision included likewise."""
    confidence: Mapping[str, float] | None = None
    """How far the confidence in the final answer can be trusted: `confidence_ece`, `aurc`, `accuracy_at_50`,
    `accuracy_at_80`; None where there is none."""
    versus: Mapping[str, Versus] = field(default_factory=dict)
    """Paired differences to `single_best`, `all_members` and `fixed_best` (at equal calls)."""


@dataclass(frozen=True)
class Report:
    """The result of `evaluate`."""

    members: tuple[str, ...]
    n_queries: int
    n_not_replayed: int
    """Queries left out because some member was not observed on them."""
    n_training_queries: int
    """Queries that the classifier was trained on; figures are no evidence unless it is 0."""
    seed: int
    systems: tuple[SystemReport, ...]
    member_accuracy: Mapping[str, float]
    classifier: Mapping[str, Any]
    """Metrics of the probabilities, and `upper_bound`: right when some member with predicted label 1 is
    right."""
    per_category: Mapping[str, Mapping[str, float]]
    fixed_set_search: str
    decision_s: float
    """Median seconds from text to probabilities, measured here."""
    labels_from: str = "references"
    """What systems were measured against: "references" (or recorded scores), or agreement with the pool's own
    vote."""
    not_evaluated: str = ""
    """Why the systems that call one member several times are missing; empty where they are not."""
    figures: Mapping[str, Any] | None = None
    """Members, errors, categories, confidence and prices of the headline system; see
    docs/reference/report.md."""

    def __getitem__(self, name: str) -> SystemReport:
        """The figures of one system.

        Raises:
            KeyError: If the system was not evaluated.
        """
        for system in self.systems:
            if system.name == name:
                return system
        raise KeyError(
            f"{name!r} was not evaluated. Evaluated: {', '.join(system.name for system in self.systems)}."
        )

    @property
    def headline(self) -> SystemReport | None:
        """The system of the verdict: the recommended one at three calls, or the nearest to it evaluated."""
        for family in ("selectllm", "weighted_max_conf", "max_conf", "labelled_max_conf"):
            found = [system for system in self.systems if system.name.partition(":")[0] == family]
            if found:
                return min(found, key=lambda system: abs((size_of(system.name) or 100) - 3))
        return None

    @property
    def verdict(self) -> str:
        """Whether the headline system beats each control, in words; a loss is called a loss."""
        system = self.headline
        if system is None:
            return "No query-aware system was evaluated."
        caution = [] if self.labels_from != AGREEMENT else [f"Measured as {AGREEMENT}, not as correctness."]
        sentences = [_sentence(system.name, label, versus) for label, versus in system.versus.items()]
        ladder = self._ladder(system.name.partition(":")[0])
        return " ".join([*caution, *sentences, *ladder]) or f"{system.name} was compared with no control."

    def _ladder(self, family: str) -> list[str]:
        """How the family fares against the fixed set at each size."""
        by_verdict: dict[str, list[int]] = {}
        for system in self.systems:
            name, _, size = system.name.partition(":")
            if name == family and size.isdecimal() and "fixed_best" in system.versus:
                by_verdict.setdefault(system.versus["fixed_best"].verdict, []).append(int(size))
        if sum(map(len, by_verdict.values())) < 2:
            return []
        parts = [f"{verdict} for S = {in_runs(sizes)}" for verdict, sizes in sorted(by_verdict.items())]
        return [f"{family}:S against fixed_best at equal calls: {'; '.join(parts)}."]

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; what was not recorded is None."""
        headline = None if self.headline is None else self.headline.name
        return {
            "members": list(self.members),
            "n_queries": self.n_queries,
            "n_not_replayed": self.n_not_replayed,
            "n_training_queries": self.n_training_queries,
            "seed": self.seed,
            "systems": [_system_dict(system) for system in self.systems],
            "member_accuracy": dict(self.member_accuracy),
            "classifier": dict(self.classifier),
            "per_category": {category: dict(values) for category, values in self.per_category.items()},
            "fixed_set_search": self.fixed_set_search,
            "decision_s": self.decision_s,
            "labels_from": self.labels_from,
            "not_evaluated": self.not_evaluated,
            "headline": headline,
            "figures": self.figures,
            "verdict": self.verdict,
            "definitions": _DEFINITIONS,
        }

    def save(self, path: str | Path) -> None:
        """Write the report as JSON."""
        Path(path).write_text(
            json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    def save_html(self, path: str | Path, *, title: str = "Router report") -> None:
        """Write the report as one self-contained HTML page.

        Raises:
            MissingDependencyError: If the extra `report` is not installed.
        """
        require("markupsafe", extra="report", needed_by="The report page")
        from langchain_selectllm.evaluation.page.render import render_page

        Path(path).write_text(render_page(self.to_dict(), title=title), encoding="utf-8")


_DEFINITIONS = {
    "accuracy_ci95": "95 % percentile bootstrap over queries, 2000 resamples",
    "versus": "paired difference in accuracy; fixed_best is the set that calls as many members, rounded up",
    "calls": "mean number of members called",
    "cost_usd": "mean recorded cost per query; a member's training mean where a cost was not recorded",
    "latency_parallel_s": "mean latency of the slowest called member, the decision's own time included",
    "confidence_ece": "expected calibration error of the confidence in the final answer, 15 equal bins",
    "aurc": "area under the risk-coverage curve: mean error rate of the surest queries, over all shares",
    "accuracy_at_50": "accuracy on the half of the queries with the surest answers; at_80 likewise",
    "latency_total_s": "mean sum of the latencies of the called members, the decision's own time included",
}


_CONFIDENCE_METRICS = ("confidence_ece", "aurc", "accuracy_at_50", "accuracy_at_80")


def _system_dict(system: SystemReport) -> dict[str, Any]:
    return {
        "name": system.name,
        "accuracy": system.accuracy,
        "accuracy_ci95": list(system.accuracy_ci95),
        "calls": system.calls,
        "cost_usd": system.cost_usd,
        "latency_parallel_s": system.latency_parallel_s,
        "latency_total_s": system.latency_total_s,
        **(system.confidence or dict.fromkeys(_CONFIDENCE_METRICS)),
        "versus": {label: versus.to_dict() for label, versus in system.versus.items()},
    }


_WORDS = {
    "better": "beats",
    "worse": "LOSES to",
    "no difference shown": "shows no difference to",
}


def _sentence(name: str, label: str, versus: Versus) -> str:
    low, high = (100 * bound for bound in versus.ci95)
    at_equal_calls = " at equal calls" if label == "fixed_best" else ""
    return (
        f"{name} {_WORDS[versus.verdict]} {versus.control}{at_equal_calls} "
        f"({100 * versus.difference:+z.1f} points, 95 % interval {low:+z.1f} to {high:+z.1f})."
    )
