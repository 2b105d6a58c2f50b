"""Accuracy by category with intervals, and the causes of errors there."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.oracle_gap import ErrorSplit
from langchain_selectllm.evaluation.replay import Replay


def category_figures(
    categories: Sequence[str],
    systems: Mapping[str, Replay],
    headline: str,
    split: ErrorSplit | None,
    *,
    seed: int,
) -> list[dict[str, Any]]:
    """Per category: number of queries, accuracy per system, differences to the headline system, causes.

    Args:
        categories: Category of each query, (n,); queries without one ("") are left out.
        systems: Systems to compare, the headline system among them.
        headline: Name of the headline system.
        split: Errors of the headline system by cause; None where its calls were not traced.
        seed: Seed of the bootstrap, which resamples the queries of one category at a time.
    """
    names = np.array(categories)
    figures = []
    for category in sorted(set(categories) - {""}):
        chosen = names == category
        bootstrap = Bootstrap(int(chosen.sum()), seed=seed)
        ours = systems[headline].score[chosen]
        by_system, differences = {}, {}
        for name, replay in systems.items():
            scores = replay.score[chosen]
            by_system[name] = {"accuracy": float(scores.mean()), "ci95": list(bootstrap.interval(scores))}
            if name != headline:
                difference = ours - scores
                interval = list(bootstrap.interval(difference))
                differences[name] = {"difference": float(difference.mean()), "ci95": interval}
        entry = {"category": category, "n": int(chosen.sum()), "systems": by_system, "versus": differences}
        if split is not None:
            entry["errors"] = split.to_dict(chosen)
        figures.append(entry)
    return figures
