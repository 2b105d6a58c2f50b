"""Metrics of the probabilities, beside a control that ignores the query."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._optional import require

_BINS = 15
"""Bins of the expected calibration error, as in Guo et al., 2017."""


def classifier_metrics(
    probabilities: NDArray[np.float64], labels: NDArray[np.float64], base_rates: NDArray[np.float64]
) -> dict[str, Any]:
    """Metrics of multi-label probabilities.

    Args:
        probabilities: P(correct), (n, K).
        labels: 1 or 0, (n, K); NaN = unobserved, left out.
        base_rates: Training accuracy of each member, (K,): what the prior-only control predicts for every
            query.

    Returns:
        `f1_weighted` and `f1_macro` (mean over members of the F1 of label 1 at threshold 0.5, weighted by the
        number of right outcomes, or not) with `_prior` beside each; `auroc_macro` (mean over members with
        both labels; 0.5 for the control; None without such a member); `brier` (mean squared error) with
        `brier_prior`; `ece` (expected calibration error, mean over members of that in 15 bins of equal
        width); `n_queries`.
    """
    prior = np.tile(base_rates, (len(probabilities), 1))
    aurocs, eces = [], []
    for p, y in _observed_columns(probabilities, labels):
        eces.append(calibration_error(p, y))
        area = auroc(p, y)
        if area is not None:
            aurocs.append(area)
    return {
        "f1_weighted": _mean_f1(probabilities, labels, weighted=True),
        "f1_weighted_prior": _mean_f1(prior, labels, weighted=True),
        "f1_macro": _mean_f1(probabilities, labels, weighted=False),
        "f1_macro_prior": _mean_f1(prior, labels, weighted=False),
        "auroc_macro": _mean(aurocs),
        "brier": _mean((probabilities - labels) ** 2),
        "brier_prior": _mean((prior - labels) ** 2),
        "ece": _mean(eces),
        "n_queries": len(labels),
    }


def _observed_columns(
    probabilities: NDArray[np.float64], labels: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Probabilities and labels per member, on the queries where it was observed; others are left out."""
    for p, y in zip(probabilities.T, labels.T, strict=True):
        seen = ~np.isnan(y)
        if seen.any():
            yield p[seen], y[seen]


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float | None:
    """Mean of the observed values; None without any."""
    if not len(values):
        return None
    return float(np.nanmean(values))


def calibration_error(confidences: NDArray[np.float64], correct: NDArray[np.float64]) -> float:
    """Expected calibration error: mean |confidence - accuracy| in 15 equal bins (Guo et al., 2017).

    Args:
        confidences: (n,) in [0, 1].
        correct: Score of each prediction, (n,) in [0, 1].
    """
    bins = np.minimum((confidences * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=confidences - correct, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(confidences))


def selective_metrics(confidences: NDArray[np.float64], score: NDArray[np.float64]) -> dict[str, float]:
    """Metrics of how well confidences separate right answers from wrong ones.

    Args:
        confidences: Confidence in each final answer, (n,) in [0, 1].
        score: Score of each final answer, (n,) in [0, 1].

    Returns:
        `confidence_ece`; `aurc`, the area under the risk-coverage curve (Geifman and El-Yaniv, 2017);
        `accuracy_at_50` and `accuracy_at_80`, the accuracy on the surest 50 and 80 % of the queries.
    """
    n = len(score)
    by_confidence = score[np.argsort(-confidences, kind="stable")]
    accuracy = np.cumsum(by_confidence) / np.arange(1, n + 1)
    return {
        "confidence_ece": calibration_error(confidences, score),
        "aurc": float((1 - accuracy).mean()),
        "accuracy_at_50": float(accuracy[max(round(0.5 * n), 1) - 1]),
        "accuracy_at_80": float(accuracy[max(round(0.8 * n), 1) - 1]),
    }


def auroc(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> float | None:
    """Area under the ROC curve; None where only one label occurs."""
    if len(np.unique(labels)) < 2:
        return None
    metrics = require("sklearn.metrics", extra="train", needed_by="Evaluation")
    return float(metrics.roc_auc_score(labels, scores))


def _mean_f1(probabilities: NDArray[np.float64], labels: NDArray[np.float64], *, weighted: bool) -> float:
    predicted = (probabilities > 0.5) & ~np.isnan(labels)
    right = labels == 1
    hits = (predicted & right).sum(axis=0)
    # A member that is never right and never predicted right has no F1; it counts 0, as in scikit-learn.
    f1 = 2 * hits / np.maximum(predicted.sum(axis=0) + right.sum(axis=0), 1)
    weights = right.sum(axis=0) if weighted else np.ones(len(f1))
    return float((f1 * weights).sum() / max(weights.sum(), 1))
