"""Reliability diagram and risk-coverage curve of the confidence in final answers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.classifier.metrics import calibration_error
from langchain_selectllm.evaluation.bootstrap import Bootstrap

BINS = 10
"""Bins of equal width of the reliability diagram, wide enough for tens of queries each in a few hundred."""
POINTS = 100
"""Points of the risk-coverage curve at most."""
_CHANCE_DRAWS = 200


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Queries whose confidence lies in [low, high), the last bin including 1."""

    low: float
    high: float
    n: int
    confidence: float
    """Mean confidence."""
    accuracy: float
    ci95: tuple[float, float]
    """95 % interval of the accuracy (Wilson, 1927)."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**vars(self), "ci95": list(self.ci95)}


@dataclass(frozen=True, kw_only=True)
class CoveragePoint:
    """Answers given at one threshold of the confidence."""

    threshold: float
    """Smallest confidence that is answered."""
    n: int
    """Queries answered."""
    coverage: float
    """Share of the queries answered."""
    accuracy: float
    """Accuracy on those."""
    ci95: tuple[float, float]
    """95 % interval of the accuracy (Wilson, 1927)."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**vars(self), "ci95": list(self.ci95)}


def reliability_bins(
    confidence: NDArray[np.float64], scores: NDArray[np.float64]
) -> tuple[ReliabilityBin, ...]:
    """Non-empty bins of equal width, in ascending order.

    Args:
        confidence: Confidence in each final answer, (n,) in [0, 1].
        scores: Score of each final answer, (n,) in [0, 1].
    """
    index = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    bins = []
    for i in np.unique(index).tolist():
        chosen = index == i
        accuracy, n = float(scores[chosen].mean()), int(chosen.sum())
        bins.append(
            ReliabilityBin(
                low=i / BINS,
                high=(i + 1) / BINS,
                n=n,
                confidence=float(confidence[chosen].mean()),
                accuracy=accuracy,
                ci95=wilson_interval(accuracy, n),
            )
        )
    return tuple(bins)


def coverage_curve(confidence: NDArray[np.float64], scores: NDArray[np.float64]) -> tuple[CoveragePoint, ...]:
    """Coverage and accuracy at up to 100 thresholds, from all queries to the few most confident ones.

    Queries of equal confidence are answered together, so that each point is one threshold.

    Args:
        confidence: Confidence in each final answer, (n,) in [0, 1].
        scores: Score of each final answer, (n,) in [0, 1].
    """
    thresholds = np.unique(confidence)
    if len(thresholds) > POINTS:
        thresholds = np.unique(np.quantile(confidence, np.linspace(0.0, 1.0, POINTS), method="lower"))
    points = []
    for threshold in thresholds.tolist():
        answered = confidence >= threshold
        accuracy, n = float(scores[answered].mean()), int(answered.sum())
        points.append(
            CoveragePoint(
                threshold=threshold,
                n=n,
                coverage=n / len(scores),
                accuracy=accuracy,
                ci95=wilson_interval(accuracy, n),
            )
        )
    return tuple(points)


def calibration_error_by_chance(confidence: NDArray[np.float64], *, seed: int) -> float:
    """Mean calibration error that perfectly calibrated confidences of this sample would show.

    Right and wrong are drawn from the confidences themselves, 200 times; the error of finite samples is
    never 0.

    Args:
        confidence: Confidence in each final answer, (n,) in [0, 1].
        seed: Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    errors = []
    for _ in range(_CHANCE_DRAWS):
        drawn = (rng.random(len(confidence)) < confidence).astype(np.float64)
        errors.append(calibration_error(confidence, drawn))
    return float(np.mean(errors))


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of n queries (Wilson, 1927, "Probable inference"), always inside [0, 1].

    Args:
        share: Mean of n values in [0, 1].
        n: At least 1.
    """
    z = 1.96
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(float(centre - half), 0.0), min(float(centre + half), 1.0)


def confidence_figures(
    confidence: NDArray[np.float64] | None, scores: NDArray[np.float64], bootstrap: Bootstrap, *, seed: int
) -> dict[str, Any] | None:
    """Bins, curve and calibration errors as JSON types; None without confidences.

    Args:
        confidence: Confidence in each final answer, (n,) in [0, 1]; None where no vote was learned.
        scores: Score of each final answer, (n,) in [0, 1].
        bootstrap: Resamples of the n queries.
        seed: Seed of the error by chance.
    """
    if confidence is None:
        return None
    return {
        "ece": calibration_error(confidence, scores),
        "ece_by_chance": calibration_error_by_chance(confidence, seed=seed),
        "mean_confidence": float(confidence.mean()),
        "overconfidence": float((confidence - scores).mean()),
        "overconfidence_ci95": list(bootstrap.interval(confidence - scores)),
        "bins": [one.to_dict() for one in reliability_bins(confidence, scores)],
        "curve": [one.to_dict() for one in coverage_curve(confidence, scores)],
    }
