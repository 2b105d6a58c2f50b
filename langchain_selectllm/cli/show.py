"""Trained routers, decisions, replies and cards as people read them."""

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
from langchain_selectllm.cli.report_table import figure
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.routing.decision import Decision


def print_trained(classifier: SelectLLMClassifier, folder: Path | None) -> None:
    """Prints the members' training accuracy, the out-of-fold metrics, and where the router is saved."""
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
        f"Out of fold: macro AUROC {figure(metrics['auroc_macro'])}, Brier {figure(metrics['brier'])} "
        f"(prior only {figure(metrics['brier_prior'])}), weighted F1 {figure(metrics['f1_weighted'])} "
        f"(prior only {figure(metrics['f1_weighted_prior'])}).",
        highlight=False,
    )
    if folder is not None:
        out.print(
            f"Saved in {folder}. Next: selectllm evaluate {folder} OUTCOMES", highlight=False, soft_wrap=True
        )


def print_categories(outcomes: OutcomeTable) -> None:
    """Prints the share of correct samples per member and category."""
    table = Table(title="share of correct samples")
    table.add_column("category")
    for name in (*outcomes.members, "some member"):
        table.add_column(name, justify="right")
    categories = np.array(outcomes.categories)
    for label in (*dict.fromkeys(outcomes.categories), "all"):
        scores = outcomes.scores[(categories == label) | (label == "all")]
        rates = [*scores.mean(axis=0), scores.max(axis=1).mean()]
        table.add_row(label, *(f"{rate:.2f}" for rate in rates))
    out.print(table)


def print_decision(decision: Decision, policy: str) -> None:
    """Prints the probability of every member, the selected ones marked, and the reason."""
    out.print(f"{policy}: {decision.reason}", highlight=False, markup=False)
    table = Table()
    table.add_column("member")
    table.add_column("P(correct)", justify="right")
    table.add_column("called")
    order = sorted(range(len(decision.members)), key=lambda k: -decision.probabilities[k])
    for k in order:
        called = ""
        if k in decision.selected:
            called = "yes"
        table.add_row(decision.members[k], f"{decision.probabilities[k]:.3f}", called)
    out.print(table)


def print_reply(message: AIMessage) -> None:
    """Prints the called members with their answers, the winner and the vote, from a router's message."""
    metadata: dict[str, Any] = message.response_metadata["selectllm"]
    called = {*metadata["failures"], *metadata["cancelled"]}
    # Several samples of a member are "name#0", "name#1".
    called.update(name.partition("#")[0] for name in metadata["answers"])
    selection = metadata["selection"]
    out.print(f"{selection['policy']}: {selection['reason']}", highlight=False, markup=False)
    table = Table()
    table.add_column("member")
    table.add_column("P(correct)", justify="right")
    table.add_column("answer")
    for name, probability in sorted(metadata["probabilities"].items(), key=lambda item: -item[1]):
        cell = "(not called)"
        if name in called:
            cell = _answer_cell(name, metadata)
        table.add_row(name, f"{probability:.3f}", cell)
    out.print(table)
    out.print(f"Reply of {metadata['winner']}: {message.text}", style="bold", highlight=False, markup=False)
    out.print(_vote_sentence(metadata), highlight=False, markup=False)


def print_card(folder: Path, card: str) -> None:
    """Prints the card of a router, or that it was removed."""
    body = card.partition("\n---\n")[2] or card
    if body.strip():
        out.print(Markdown(body))
    else:
        out.print(f"{folder} has no card (README.md was removed).")


def _vote_sentence(metadata: Mapping[str, Any]) -> str:
    if metadata["answer"] is None:
        return "No reply had a readable answer; this is the most probable member's."
    confidence = ""
    if metadata["confidence"] is not None:
        confidence = f", confidence {metadata['confidence']:.2f}"
    return f"Voted answer: {metadata['answer']} (decided by {metadata['vote']['decided_by']}{confidence})"


def _answer_cell(name: str, metadata: Mapping[str, Any]) -> str:
    if name in metadata["failures"]:
        return f"failed: {metadata['failures'][name]['error']}"
    if name in metadata["cancelled"]:
        return "cancelled: it could not change the winner"
    answer = metadata["answers"].get(name)
    if answer is None:
        return "abstains"
    if answer == metadata["answer"]:
        return f"{escape(answer)} *"
    return escape(answer)
