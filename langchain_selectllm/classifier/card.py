"""The card of an artefact: what it is, in words and figures, for readers of the folder."""

import math
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from langchain_selectllm.classifier.fitted import Learned
from langchain_selectllm.outcomes.table import AGREEMENT
from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.operating_points import SINGLE_BEST, OperatingPoint
from langchain_selectllm.selection.policy_names import in_runs
from langchain_selectllm.selection.pool_statistics import PoolStatistics


def write_card(learned: Learned) -> str:
    """Markdown with the members, how they vote, what the guard found, and how good the probabilities are."""
    return f"""---
library_name: langchain-selectllm
tags: [llm-routing, selectllm]
---

# SelectLLM router for {len(learned.pool.members)} members

{_warning(learned.summary.labels_from)}Predicts for each prompt which of these models answer it
correctly. Load it with
`SelectLLMClassifier.from_pretrained("this folder")`, or ask it with `selectllm route this-folder "prompt"`.

{_members(learned)}

## Vote

{_vote(learned)}

## Guard

{_guard(learned.pool)}

## Operating points, as tuned on training queries that heads and vote had not seen

{_operating_points(learned.pool)}

#  Probabilities on {learned.summary.metrics["n_queries"]:,} training queries that heads and calibration had
# not seen

{_probabilities(learned)}

## Best fixed sets (search: {learned.summary.fixed_set_search})

{_fixed_sets(learned.pool)}

## Limits

Trained on the outcomes of one pool on one kind of query. Other queries, other versions of the models or other
prompts around the query make the probabilities unreliable.

Written by langchain-selectllm {package_version()}.
"""


def _warning(labels_from: str) -> str:
    if labels_from != AGREEMENT:
        return ""
    return (
        "> **Trained without references.** A member counts as right here when it agrees with the vote of "
        "the whole pool. Where the pool\n> is wrong together, so are these labels; every accuracy below is "
        "agreement, not correctness.\n\n"
    )


def _members(learned: Learned) -> str:
    pool, summary = learned.pool, learned.summary
    rows = [
        (
            name,
            f"{summary.outcomes[name]:,}",
            f"{rate:.3f}",
            _optional(cost, ".6f"),
            _optional(latency, ".2f"),
        )
        for name, rate, cost, latency in zip(
            pool.members, pool.base_rates, pool.costs, pool.latencies, strict=True
        )
    ]
    return f"""{_table(("member", "outcomes", "training accuracy", "mean cost_usd", "mean latency_s"), rows)}

- Training queries: {summary.n_queries:,}
- Labels: {summary.labels_from}
- Oracle on the fully observed training queries (some member is right): {_optional(summary.oracle, ".3f")}
- Single best by training accuracy: {pool.members[pool.single_best]} ({pool.base_rates[pool.single_best]:.3f})
- Encoder: `{learned.encoder.name}`"""


def _vote(learned: Learned) -> str:
    vote, said = learned.pool.vote, learned.summary.vote
    if vote is None:
        why = said
        if said == "learned":
            why = "a member was added after training"
        return f"No learned vote: {why}. Ballots are weighted by log-odds, and answers get no confidence."
    known = (
        f" Answers with a weight of their own: {', '.join(vote.known_answers)}." if vote.known_answers else ""
    )
    tokens = ""
    if vote.tokens is not None:
        names = np.array(learned.pool.members)[vote.tokens.members].tolist()
        tokens = f" It uses the token probabilities of {', '.join(names)}."
    return f"A learned vote, which gives each answer a calibrated confidence.{known}{tokens}"


def _guard(pool: PoolStatistics) -> str:
    """Sizes S at which `selectllm:S` selects by query, and the evidence for it."""
    found = _by_calls(pool, guarded=True)
    if not found:
        return "No operating points were learned, so that `selectllm:S` and `adaptive:S` cannot be used."
    by_query: list[int] = []
    fixed: list[int] = []
    single: list[int] = []
    lines = []
    for point, sizes in found.items():
        evidence = point.evidence
        if point.rule == SINGLE_BEST:
            single += sizes
            evidence = "no rule within its budget beats it on validation"
            calls = "calls the single best member"
        elif point.rule.ranking == "fixed":
            fixed += sizes
            calls = f"calls the fixed set of {point.rule.size}"
        else:
            by_query += sizes
            calls = "selects by query"
        lines.append(f"- S = {in_runs(sizes)}: {calls} ({evidence})")
    words = []
    if by_query:
        words.append(f"By paired evidence on validation, selecting by query pays at S = {in_runs(by_query)}.")
    if fixed:
        words.append(
            f"At S = {in_runs(fixed)} a fixed set of members is as good on validation as any selection by "
            "query: there `selectllm:S` calls it, whatever the query."
        )
    if single:
        words.append(
            f"Validation gave **no** paired evidence that another rule beats the single best member at "
            f"S = {in_runs(single)}: there `selectllm:S` calls that member."
        )
    return "\n".join([" ".join(words), "", *lines])


def _operating_points(pool: PoolStatistics) -> str:
    users: dict[tuple[str, ...], list[str]] = {}
    for system, guarded in (("selectllm", True), ("adaptive", False)):
        for point, sizes in _by_calls(pool, guarded=guarded).items():
            users.setdefault(_point_cells(point), []).append(f"{system}, S = {in_runs(sizes)}")
    if not users:
        return "None."
    head = ("used by", "members", "first", "up to", "below confidence", "cost weight")
    rows = [("; ".join(names), *cells) for cells, names in users.items()]
    table = _table((*head, "accuracy", "calls", "cost_usd", "latency_s"), rows)
    notes = "Calls, cost and latency are upper bounds of the means, one-sided 99 %."
    others = len(pool.operating_points) - len(users)
    if others:
        notes += (
            f" {others} more points, for other budgets of cost, latency and rounds, are in `config.json`."
        )
    return f"{table}\n\n{notes}"


def _point_cells(point: OperatingPoint) -> tuple[str, ...]:
    rule = point.rule
    ranking = {"query": "by query", "fixed": "fixed set", "samples": "samples of the most probable"}[
        rule.ranking
    ]
    second = ("-", "-")
    if rule.rounds > 1:
        second = (str(rule.size), f"{rule.threshold:.2f}")
    return (
        ranking,
        str(rule.first),
        *second,
        f"{rule.cost_weight:.2g}",
        f"{point.accuracy:.3f}",
        f"{point.calls:.2f}",
        _optional(point.cost_usd, ".6f"),
        _optional(point.latency_s, ".2f"),
    )


def _by_calls(pool: PoolStatistics, *, guarded: bool) -> dict[OperatingPoint, list[int]]:
    """The operating points that budgets of S calls choose, each with its S from 1 to K."""
    found: dict[OperatingPoint, list[int]] = {}
    for size in range(1, len(pool.members) + 1):
        point = Adaptive(calls=size, guarded=guarded).find(pool)
        if point is not None:
            found.setdefault(point, []).append(size)
    return found


def _fixed_sets(pool: PoolStatistics) -> str:
    rows = [(str(size), ", ".join(names)) for size, names in sorted(pool.fixed_sets.items())]
    return _table(("size", "members"), rows)


def _probabilities(learned: Learned) -> str:
    metrics = learned.summary.metrics
    rows = [
        ("weighted F1", f"{metrics['f1_weighted']:.3f}", f"{metrics['f1_weighted_prior']:.3f}"),
        ("macro AUROC", _optional(metrics["auroc_macro"], ".3f"), "0.500"),
        ("Brier score", f"{metrics['brier']:.4f}", f"{metrics['brier_prior']:.4f}"),
        ("expected calibration error", f"{metrics['ece']:.4f}", ""),
    ]
    return f"""{_table(("metric", "classifier", "prior only"), rows)}

Everything else was fitted on these same queries; measure on others with `selectllm evaluate`."""


def package_version() -> str:
    """Installed version of this distribution."""
    try:
        return version("langchain-selectllm")
    except PackageNotFoundError:
        return "(not installed)"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _optional(value: Any, spec: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, spec)
