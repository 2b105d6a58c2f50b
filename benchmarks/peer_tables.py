"""The page's section on packages: accuracy at equal cost, times, memory and sizes, and where ours is not ahead."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from peer_comparison import Difference, Outcome, at_equal_cost, read_outcomes
from peer_exchange import Gold

from langchain_selectllm.evaluation.bootstrap import Bootstrap

OURS, OURS_MINILM, NO_DECISION = "ours", "ours_minilm", "langchain"
"""Names of packages; the last one calls everybody without a decision."""
ANSWER = "lexical selectllm:8"
"""Our system beside that one."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One process: the systems that it ran on each split and what it measured on the first, or why it failed."""

    title: str
    package: str
    systems: tuple[str, ...]
    folders: Sequence[Path]
    """What it left, one folder per split."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    failure: str = ""

    @classmethod
    def read(cls, title: str, package: str, systems: tuple[str, ...], folders: Sequence[Path]) -> "Measured":
        """What a script left in its folders; a failure on one split is one of all."""
        shared = {"title": title, "package": package, "systems": systems, "folders": folders}
        for folder in folders:
            if not (folder / "figures.json").is_file():
                return cls(**shared, failure=(folder / "failed.txt").read_text(encoding="utf-8"))
        figures = (folders[0] / "figures.json").read_text(encoding="utf-8")
        return cls(**shared, figures=json.loads(figures))

    @property
    def ours(self) -> bool:
        """Whether it is this package."""
        return self.package in {OURS, OURS_MINILM}

    def outcomes(self, golds: Sequence[Gold]) -> list[Outcome]:
        """Outcomes of its systems on all splits, named with the package."""
        if self.failure:
            return []
        found = read_outcomes(self.folders, golds)
        return [Outcome(name=f"{self.title}: {one.name}", score=one.score, cost=one.cost) for one in found]


@dataclass(frozen=True, kw_only=True)
class Times:
    """Times and sizes of one system."""

    name: str
    ours: bool
    training_s: float
    p50_ms: float
    p99_ms: float
    without_encoder_ms: float
    """Median of a decision less what the encoder took in it."""
    import_s: float
    peak_mib: float
    installed_mib: float


CRITERIA = {
    "decision latency, p50": ("p50_ms", "{:.2f} ms"),
    "decision latency, p99": ("p99_ms", "{:.2f} ms"),
    "training time": ("training_s", "{:.1f} s"),
    "import time": ("import_s", "{:.2f} s"),
    "peak memory": ("peak_mib", "{:.0f} MiB"),
    "installed size": ("installed_mib", "{:.0f} MiB"),
}


def times_of(measured: Sequence[Measured], sizes: Mapping[str, float]) -> list[Times]:
    """Times of every system that decides; of ours the smallest setting of each encoder."""
    found = []
    for one in measured:
        if one.failure or one.package == NO_DECISION:
            continue
        systems = list(one.figures["systems"].items())
        for name, system in systems[:1] if one.ours else systems:
            seconds = np.array(system["decision_s"])
            encoder = np.array(system.get("encoder_s") or np.zeros(len(seconds)))
            p50, p99 = np.percentile(1000 * seconds, [50, 99]).tolist()
            found.append(
                Times(
                    name=f"{one.title}: {name}",
                    ours=one.ours,
                    training_s=system["training_s"],
                    p50_ms=p50,
                    p99_ms=p99,
                    without_encoder_ms=float(np.median(1000 * (seconds - encoder))),
                    import_s=one.figures["import_s"],
                    peak_mib=one.figures["peak_mib"],
                    installed_mib=sizes[one.package],
                )
            )
    return found


def times_table(times: Sequence[Times]) -> str:
    """The Markdown table of times and sizes."""
    lines = [
        "| system | training | decision p50 | p99 | p50 without the encoder | import | peak memory | installed |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in sorted(times, key=lambda one: (not one.ours, one.p50_ms)):
        cells = [f"{one.training_s:.1f} s", f"{one.p50_ms:.2f} ms", f"{one.p99_ms:.2f} ms"]
        cells += [f"{one.without_encoder_ms:.2f} ms", f"{one.import_s:.2f} s"]
        cells += [f"{one.peak_mib:,.0f} MiB", f"{one.installed_mib:,.0f} MiB"]
        lines.append(f"| {one.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Our settings by encoder, and every peer beside them, on one set of test queries."""

    ours: Mapping[str, Sequence[Outcome]]
    peers: Sequence[Outcome]

    @classmethod
    def of(cls, measured: Sequence[Measured], golds: Sequence[Gold]) -> "Comparison":
        """The comparison of all processes on one data set."""
        ours: dict[str, list[Outcome]] = {}
        peers: list[Outcome] = []
        for one in measured:
            if one.ours:
                ours.setdefault(one.package, []).extend(one.outcomes(golds))
            else:
                peers += one.outcomes(golds)
        return cls(
            ours={name: settings for name, settings in ours.items() if settings},
            peers=sorted(peers, key=lambda peer: -peer.score.mean()),
        )

    def size(self, golds: Sequence[Gold]) -> str:
        """Numbers of test queries and splits, in words."""
        queries = f"{len(self.peers[0].score):,} test queries"
        if len(golds) == 1:
            return queries
        return f"{queries} of {len(golds)} splits"

    def beside(self, peer: Outcome, package: str, bootstrap: Bootstrap) -> tuple[Outcome, Difference]:
        """Ours at the peer's mean cost, and the paired difference."""
        equal = at_equal_cost(self.ours[package], peer.mean_cost)
        return equal, Difference.between(equal, peer, bootstrap)

    def table(self, *, cost: str, scale: float) -> str:
        """The Markdown table; a cost is multiplied by `scale`."""
        titles = {OURS: "ours less it, points [95 %]", OURS_MINILM: "ours with MiniLM less it"}
        heads = ["system", cost, "accuracy", "ours at that cost", *(titles[name] for name in self.ours)]
        lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
        if scale == 1.0:
            for one in (setting for settings in self.ours.values() for setting in settings):
                row = [f"**{one.name}**", f"{one.mean_cost:.2f}", f"{100 * one.score.mean():.1f}"]
                lines.append(f"| {' | '.join([*row, *[''] * (len(heads) - 3)])} |")
        bootstrap = Bootstrap(len(self.peers[0].score), seed=0)
        for peer in self.peers:
            row = [peer.name, f"{scale * peer.mean_cost:.3g}", f"{100 * peer.score.mean():.1f}"]
            found = [self.beside(peer, name, bootstrap) for name in self.ours]
            row.append(f"{100 * found[0][0].score.mean():.1f}")
            row += [f"{difference} {difference.verdict}" for _, difference in found]
            lines.append(f"| {' | '.join(row)} |")
        return "\n".join(lines)

    def verdict(self, title: str) -> str:
        """One line: whether ours is ahead of every peer in accuracy at equal cost."""
        bootstrap = Bootstrap(len(self.peers[0].score), seed=0)
        found = [(peer, self.beside(peer, OURS, bootstrap)[1]) for peer in self.peers]
        others = [f"{peer.name} ({one}, {one.verdict})" for peer, one in found if one.verdict != "ahead"]
        return _line(f"accuracy at equal cost, {title}", len(found), others)


def verdicts(times: Sequence[Times]) -> Iterator[str]:
    """One line per criterion: how many peers ours is ahead of, and those that it is not."""
    ours, peers = times[0], [one for one in times if not one.ours]
    for criterion, (name, form) in CRITERIA.items():
        own = getattr(ours, name)
        better = [one for one in peers if getattr(one, name) <= own]
        others = [
            f"{one.name} ({form.format(getattr(one, name))}, ours {form.format(own)})" for one in better
        ]
        yield _line(criterion, len(peers), others)


def _line(criterion: str, n_peers: int, others: Sequence[str]) -> str:
    if not others:
        return f"- {criterion}: ahead of all {n_peers}"
    return (
        f"- {criterion}: ahead of {n_peers - len(others)} of {n_peers}; **not ahead of** {'; '.join(others)}"
    )


def answer_line(measured: Sequence[Measured]) -> str:
    """Milliseconds of a whole answer with members that reply at once: ours beside calling everybody."""
    systems = {
        name: system for one in measured if not one.failure for name, system in one.figures["systems"].items()
    }
    everybody = [name for one in measured if one.package == NO_DECISION for name in one.systems]
    if ANSWER not in systems or not set(everybody) <= systems.keys():
        return "- time of a whole answer: not measured"
    ours = np.percentile(1000 * np.array(systems[ANSWER]["choice_s"]), [50, 99])
    parts = []
    for name in everybody:
        theirs = np.percentile(1000 * np.array(systems[name]["choice_s"]), [50, 99])
        word = "ahead of" if (ours < theirs).all() else "**not ahead of**"
        parts.append(
            f"{word} {name} (p50 {theirs[0]:.1f} ms, p99 {theirs[1]:.1f} ms; ours p50 {ours[0]:.1f}, p99 {ours[1]:.1f})"
        )
    return (
        f"- time of a whole answer with members that reply at once, `{ANSWER.split()[1]}`: {'; '.join(parts)}"
    )


def page(
    with_calls: tuple[Sequence[Measured], Sequence[Gold]],
    with_prices: tuple[Sequence[Measured], Sequence[Gold]],
    *,
    sizes: Mapping[str, float],
    versions: Mapping[str, str],
    skipped: Mapping[str, str],
    busy: bool,
) -> str:
    """The section as Markdown."""
    calls, prices = Comparison.of(*with_calls), Comparison.of(*with_prices)
    by_calls, by_price = with_calls[0], with_prices[0]
    times = times_of(by_calls, sizes)
    lines = ["Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "."]
    if busy:
        lines += [
            "",
            "*Times were taken on a busy machine: compare them within the table only, and p99 not at all.*",
        ]
    lines += ["", "**Where ours (lexical encoder) is ahead, and where it is not**", ""]
    lines += [
        calls.verdict("MMLU-Pro"),
        prices.verdict("RouterBench"),
        *verdicts(times),
        answer_line(by_calls),
    ]
    lines += [
        "",
        f"**MMLU-Pro: a cost is a number of calls** ({calls.size(with_calls[1])})",
        "",
    ]
    lines += [
        calls.table(cost="calls", scale=1.0),
        "",
        "**Times, memory and size, MMLU-Pro**",
        "",
        times_table(times),
    ]
    lines += ["", f"**RouterBench: real prices** ({prices.size(with_prices[1])})", ""]
    lines.append(prices.table(cost="cost, 1e-3 USD", scale=1000.0))
    failed = {
        f"{one.title}: {', '.join(one.systems)}": one.failure for one in [*by_calls, *by_price] if one.failure
    }
    for name, reason in {**skipped, **failed}.items():
        lines += ["", f"Skipped: {name}. Reason: `{reason}`"]
    return "\n".join(lines)
