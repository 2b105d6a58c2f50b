"""The card of an artefact: what it is, in words and figures, for whoever finds the folder."""

import math
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from langchain_selectllm.learned import Learned
from langchain_selectllm.outcomes.table import AGREEMENT


def write_card(learned: Learned) -> str:
    """Markdown with the members, their training outcomes, and how good the probabilities are."""
    pool, summary, metrics = learned.pool, learned.summary, learned.summary.metrics
    rows = [
        f"| {name} | {summary.outcomes[name]:,} | {rate:.3f} | {_optional(cost, '.6f')} | {_optional(latency, '.2f')} |"
        for name, rate, cost, latency in zip(pool.members, pool.base_rates, pool.costs, pool.latencies, strict=True)
    ]
    fixed = [f"| {size} | {', '.join(names)} |" for size, names in sorted(pool.fixed_sets.items())]
    return f"""---
library_name: langchain-selectllm
tags: [llm-routing, selectllm]
---

# SelectLLM router for {len(pool.members)} members

{_warning(summary.labels_from)}Predicts for each prompt which of these models answer it correctly. Load it with
`SelectLLMClassifier.from_pretrained("this folder")`, or ask it with `selectllm route this-folder "prompt"`.

| member | outcomes | training accuracy | mean cost_usd | mean latency_s |
|---|---|---|---|---|
{chr(10).join(rows)}

- Training queries: {summary.n_queries:,}
- Labels: {summary.labels_from}
- Oracle on the fully observed training queries (some member is right): {_optional(summary.oracle, ".3f")}
- Single best by training accuracy: {pool.members[pool.single_best]} ({pool.base_rates[pool.single_best]:.3f})
- Encoder: `{learned.encoder.name}`

## Probabilities on {metrics["n_queries"]:,} training queries that the heads had not seen

| metric | classifier | prior only |
|---|---|---|
| weighted F1 | {metrics["f1_weighted"]:.3f} | {metrics["f1_weighted_prior"]:.3f} |
| macro AUROC | {_optional(metrics["auroc_macro"], ".3f")} | 0.500 |
| Brier score | {metrics["brier"]:.4f} | {metrics["brier_prior"]:.4f} |
| expected calibration error | {metrics["ece"]:.4f} | |

Calibration was fitted on these same queries; measure on queries of your own with `selectllm evaluate`.

## Best fixed sets (search: {summary.fixed_set_search})

| size | members |
|---|---|
{chr(10).join(fixed)}

## Limits

Trained on the outcomes of one pool on one kind of query. Other queries, other versions of the models or other prompts
around the query make the probabilities unreliable. Written by langchain-selectllm {package_version()}.
"""


def _warning(labels_from: str) -> str:
    if labels_from != AGREEMENT:
        return ""
    return (
        "> **Trained without references.** A member counts as right here when it agrees with the vote of the whole pool. "
        "Where the pool\n> is wrong together, so are these labels; every accuracy below is agreement, not correctness.\n\n"
    )


def package_version() -> str:
    """Installed version of this distribution."""
    try:
        return version("langchain-selectllm")
    except PackageNotFoundError:
        return "(not installed)"


def _optional(value: Any, spec: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, spec)
