"""Distributions of calls, cost and latency per query, and calls by round."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.evaluation.replay import Replay

QUANTILES = (5, 25, 50, 75, 95)
"""Percentiles of each distribution."""


def quantiles(values: NDArray[np.float64]) -> dict[str, float] | None:
    """Mean and percentiles, by name ("p50"); None where any value is unknown.

    Args:
        values: One value per query, (n,); NaN where not recorded.
    """
    if np.isnan(values).any():
        return None
    figures = {"mean": float(values.mean())}
    for q, value in zip(QUANTILES, np.percentile(values, QUANTILES), strict=True):
        figures[f"p{q}"] = float(value)
    return figures


def distributions(replay: Replay) -> dict[str, Any]:
    """Quantiles of cost and latencies, and the number of queries by number of calls, as JSON types."""
    counts = np.bincount(np.round(replay.calls).astype(np.int64))
    shares = counts / counts.sum()
    histogram = [
        {"calls": calls, "n": int(counts[calls]), "share": float(shares[calls])}
        for calls in np.flatnonzero(counts).tolist()
    ]
    return {
        "system": replay.name,
        "calls": histogram,
        "cost_usd": quantiles(replay.cost_usd),
        "latency_parallel_s": quantiles(replay.latency_parallel_s),
        "latency_total_s": quantiles(replay.latency_total_s),
    }


def calls_by_round(replay: Replay) -> list[dict[str, Any]]:
    """Per round: queries that reach it, and calls that it makes; empty where calls were not traced."""
    rounds: list[dict[str, Any]] = []
    if replay.trace is None:
        return rounds
    for number, mask in enumerate(replay.trace.rounds, 1):
        reached = mask.any(axis=1)
        rounds.append(
            {
                "round": number,
                "n": int(reached.sum()),
                "share": float(reached.mean()),
                "calls": float(mask.sum(axis=1).mean()),
            }
        )
    return rounds
