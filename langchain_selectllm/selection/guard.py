"""The guard: evidence on validation queries that a rule beats the single best member."""

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.operating_point_search import ReplayedPoint
from langchain_selectllm.voting.token_evidence import ONE_SIDED_95

_ONE_SIDED_90 = 1.282
"""Quantile of the standard normal distribution: one-sided 90 %."""


def evidence(rival: ReplayedPoint, single_best: ReplayedPoint) -> str:
    """Gain over the single best member in points, in words; empty without evidence that the rival is better.

    Expected accuracy has to be higher by a one-sided test at 95 %, and so has the share of right answers at
    90 %: confidence alone may favour rules that call more members. Chosen by eight random pools and five
    splits of RouterBench; see docs/explanation/research-log.md.
    """
    gain, error = _paired(rival.expected() - single_best.expected())
    more_right, its_error = _paired(rival.score() - single_best.score())
    if gain <= ONE_SIDED_95 * error or more_right <= _ONE_SIDED_90 * its_error:
        return ""
    gained = f"{100 * gain:.1f} +- {100 * ONE_SIDED_95 * error:.1f} points"
    return f"beats the single best member by {gained} on validation"


def _paired(difference: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(difference.mean()), float(difference.std() / np.sqrt(len(difference)))
