"""Results as people read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.cli.console import out
from langchain_selectllm.evaluation.report import Report, SystemReport, Versus
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.routing.decision import Decision


def print_trained(classifier: SelectLLMClassifier, folder: Path | None) -> None:
    """The members' training accuracy, how good the probabilities are on queries the heads had not seen, where it is kept."""
    summary, pool = classifier.summary, classifier.pool
    table = Table(title=f"{len(pool.members)} members, {summary.n_queries:,} training queries")
    table.add_column("member")
    table.add_column("outcomes", justify="right")
    table.add_column("accuracy", justify="right")
    for name, rate in zip(pool.members, pool.base_rates, strict=True):
        table.add_row(name, f"{summary.outcomes[name]:,}", f"{rate:.3f}")
    out.print(table)
    metrics = summary.metrics
    out.print(
        f"Out of fold: macro AUROC {_figure(metrics['auroc_macro'])}, Brier {_figure(metrics['brier'])} "
        f"(prior only {_figure(metrics['brier_prior'])}), weighted F1 {_figure(metrics['f1_weighted'])} "
        f"(prior only {_figure(metrics['f1_weighted_prior'])}).",
        highlight=False,
    )
    if folder is not None:
        out.print(
            f"Saved in {folder}. Next: selectllm evaluate {folder} OUTCOMES", highlight=False, soft_wrap=True
        )


def print_categories(outcomes: OutcomeTable) -> None:
    """How often each member is right, category by category."""
    table = Table(title="share of right samples")
    table.add_column("category")
    for name in (*outcomes.members, "some member"):
        table.add_column(name, justify="right")
    categories = np.array(outcomes.categories)
    for label in (*dict.fromkeys(outcomes.categories), "all"):
        scores = outcomes.scores[(categories == label) | (label == "all")]
        table.add_row(
            label, *(f"{rate:.2f}" for rate in scores.mean(axis=0)), f"{scores.max(axis=1).mean():.2f}"
        )
    out.print(table)


def print_report(report: Report) -> None:
    """The table of systems, the classifier's metrics, and the verdict in words."""
    out.print(_systems_table(report))
    metrics = report.classifier
    out.print(
        f"Classifier: macro AUROC {_figure(metrics['auroc_macro'])}, weighted F1 {_figure(metrics['f1_weighted'])} (prior "
        f"only {_figure(metrics['f1_weighted_prior'])}), Brier {_figure(metrics['brier'])} (prior only "
        f"{_figure(metrics['brier_prior'])}), ECE {_figure(metrics['ece'])}, upper bound of predicted labels "
        f"{_figure(metrics['upper_bound'])}, {1000 * report.decision_s:.2f} ms a decision.",
        highlight=False,
    )
    out.print(
        f"Fixed sets: {report.fixed_set_search} search on training outcomes. Intervals: 95 % bootstrap over queries, seed "
        f"{report.seed}; differences are paired. {_left_out(report)}",
        highlight=False,
    )
    out.print(f"Verdict: {report.verdict}", style="bold", highlight=False)


def print_decision(decision: Decision, policy: str) -> None:
    """Probabilities of every member, the chosen ones marked, and the reason."""
    table = Table(title=f"{policy}: {decision.reason}")
    table.add_column("member")
    table.add_column("P(correct)", justify="right")
    table.add_column("called")
    order = sorted(range(len(decision.members)), key=lambda k: -decision.probabilities[k])
    for k in order:
        table.add_row(
            decision.members[k], f"{decision.probabilities[k]:.3f}", "yes" if k in decision.selected else ""
        )
    out.print(table)


def print_reply(message: AIMessage) -> None:
    """Who was asked, what each of them answered, and which answer won; from the metadata of a router's message."""
    told: dict[str, Any] = message.response_metadata["selectllm"]
    called = (
        {name.partition("#")[0] for name in told["answers"]} | set(told["failures"]) | set(told["cancelled"])
    )
    table = Table(title=f"{told['selection']['policy']}: {told['selection']['reason']}")
    table.add_column("member")
    table.add_column("P(correct)", justify="right")
    table.add_column("answer")
    for name, probability in sorted(told["probabilities"].items(), key=lambda item: -item[1]):
        table.add_row(
            name, f"{probability:.3f}", _answer_cell(name, told) if name in called else "(not asked)"
        )
    out.print(table)
    out.print(f"Reply of {told['winner']}: {message.text}", style="bold", highlight=False, markup=False)
    if told["answer"] is None:
        out.print("No reply had a readable answer; this is the most probable member's.", highlight=False)
    else:
        sure = "" if told["confidence"] is None else f", confidence {told['confidence']:.2f}"
        out.print(
            f"Voted answer: {told['answer']} (decided by {told['vote']['decided_by']}{sure})",
            highlight=False,
            markup=False,
        )


def print_card(folder: Path, card: str) -> None:
    """The card, or where it should be."""
    body = card.partition("\n---\n")[2] or card
    out.print(Markdown(body) if body.strip() else f"{folder} has no card (README.md was removed).")


def _answer_cell(name: str, told: Mapping[str, Any]) -> str:
    if name in told["failures"]:
        return f"failed: {told['failures'][name]['error']}"
    if name in told["cancelled"]:
        return "given up: could not change the winner"
    answer = told["answers"].get(name)
    return "abstains" if answer is None else escape(answer) + (" *" if answer == told["answer"] else "")


def _systems_table(report: Report) -> Table:
    table = Table(title=f"{report.n_queries:,} queries, {len(report.members)} members")
    with_cost = any(system.cost_usd is not None for system in report.systems)
    with_latency = any(system.latency_total_s is not None for system in report.systems)
    table.add_column("system", no_wrap=True)
    for title in ("accuracy [95 %]", "calls", *(["cost_usd"] if with_cost else [])):
        table.add_column(title, justify="right", no_wrap=True)
    if with_latency:
        table.add_column("parallel s", justify="right")
        table.add_column("total s", justify="right")
    for title in ("vs single best", "vs all members", "vs fixed best"):
        table.add_column(title, justify="right", no_wrap=True)
    for system in report.systems:
        table.add_row(*_cells(system, with_cost=with_cost, with_latency=with_latency))
    return table


def _cells(system: SystemReport, *, with_cost: bool, with_latency: bool) -> list[str]:
    low, high = system.accuracy_ci95
    cells = [system.name, f"{system.accuracy:.3f} [{low:.3f}, {high:.3f}]", f"{system.calls:.2f}"]
    if with_cost:
        cells.append(_figure(system.cost_usd, ".6f"))
    if with_latency:
        cells += [_figure(system.latency_parallel_s, ".2f"), _figure(system.latency_total_s, ".2f")]
    controls = ("single_best", "all_members", "fixed_best")
    return cells + [_difference(system.versus.get(control)) for control in controls]


def _difference(versus: Versus | None) -> str:
    if versus is None:
        return ""
    words = {"better": "beats", "worse": "LOSES", "no difference shown": "~"}
    return f"{words[versus.verdict]} {100 * versus.difference:+.1f}"


def _left_out(report: Report) -> str:
    parts = []
    if report.n_not_replayed:
        parts.append(
            f"{report.n_not_replayed:,} queries were left out: some member was not observed on them."
        )
    if report.n_training_queries:
        parts.append(f"{report.n_training_queries:,} queries are TRAINING queries: no evidence.")
    return " ".join(parts)


def _figure(value: float | None, spec: str = ".3f") -> str:
    return "-" if value is None else format(value, spec)
