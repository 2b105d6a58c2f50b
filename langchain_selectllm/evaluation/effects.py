"""Effect sizes between two groups of queries, with intervals and a correction for many tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._optional import require

SMALL, MEDIUM, LARGE = 0.147, 0.33, 0.474
"""Bounds of |delta| for a small, medium and large effect (Romano et al., 2006, "Appropriate statistics")."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How one feature differs between two groups of queries."""

    feature: str
    mean_first: float
    mean_second: float
    delta: float
    """Cliff's delta (1993): P(first > second) - P(first < second) for a query of each group, in [-1, 1]."""
    ci95: tuple[float, float]
    """95 % interval by DeLong et al. (1988), normal approximation."""
    p: float
    """Two-sided p-value of the Mann-Whitney test, tie-corrected."""
    p_adjusted: float
    """The same after the correction by Benjamini and Hochberg (1995) over all tests of the analysis."""

    @property
    def size(self) -> str:
        """The effect's size in words: negligible, small, medium or large."""
        for bound, word in ((LARGE, "large"), (MEDIUM, "medium"), (SMALL, "small")):
            if abs(self.delta) >= bound:
                return word
        return "negligible"

    @property
    def is_shown(self) -> bool:
        """Whether the corrected p-value is below 0.05 and 0 is outside the interval.

        In small groups the normal approximations of the two may disagree; then nothing is shown.
        """
        low, high = self.ci95
        return self.p_adjusted < 0.05 and not low <= 0.0 <= high

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**vars(self), "ci95": list(self.ci95), "size": self.size, "is_shown": self.is_shown}


def cliffs_delta(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[float, tuple[float, float]]:
    """Cliff's delta of two samples, and its 95 % interval.

    The delta is 2 AUC - 1, whose variance DeLong et al. (1988) estimate from the placements of each
    observation among those of the other sample.

    Args:
        first: At least two values, (n,).
        second: At least two values, (m,).
    """
    rankdata = _statistics().rankdata

    n, m = len(first), len(second)
    ranks = rankdata(np.concatenate([first, second]))
    # Share of the other sample that is smaller, ties counted half.
    placed_first = (ranks[:n] - rankdata(first)) / m
    placed_second = 1.0 - (ranks[n:] - rankdata(second)) / n
    delta = 2.0 * float(placed_first.mean()) - 1.0
    variance = placed_first.var(ddof=1) / n + placed_second.var(ddof=1) / m
    half = 2.0 * 1.96 * float(np.sqrt(variance))
    return delta, (max(delta - half, -1.0), min(delta + half, 1.0))


def _statistics() -> Any:
    """The module scipy.stats.

    Raises:
        MissingDependencyError: If SciPy is not installed.
    """
    return require("scipy.stats", extra="train", needed_by="A comparison of effects")


def p_value(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Two-sided p-value of the Mann-Whitney test; 1 where all values are equal."""
    mannwhitneyu = _statistics().mannwhitneyu

    if np.ptp(np.concatenate([first, second])) == 0.0:
        return 1.0
    return float(mannwhitneyu(first, second, method="asymptotic").pvalue)


def adjusted(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for the false discovery rate (Benjamini and Hochberg, 1995)."""
    false_discovery_control = _statistics().false_discovery_control

    if not p_values:
        return []
    corrected: list[float] = false_discovery_control(p_values).tolist()
    return corrected
