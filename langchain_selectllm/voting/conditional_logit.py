"""Weights of a conditional logit (McFadden, 1974) with the further alternative "none of them"."""

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._optional import require

_SOLVER = {"maxiter": 300, "ftol": 1e-6}
"""Stop of the solver: a relative change of the loss. With scipy's 2e-9 it takes about three times as many
steps for the same accuracy on MMLU-Pro and ZeroEval (one split each)."""


def fit_weights(
    features: NDArray[np.float64],
    queries: NDArray[np.intp],
    right: NDArray[np.float64],
    none: NDArray[np.float64],
    penalties: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of the largest penalised likelihood: those of the alternatives, and those of "none".

    Args:
        features: Features of each alternative of n queries, (n_rows, n_features).
        queries: Query of each row, (n_rows,).
        right: Score of each row, (n_rows,).
        none: Features of "none of them is right", (n, n_none).
        penalties: Penalty of the square of each weight of scaled features, (n_features + n_none,).
    """
    minimize = require("scipy.optimize", extra="train", needed_by="Training").minimize
    threadpool_limits = require("threadpoolctl", extra="train", needed_by="Training").threadpool_limits
    n, split = len(none), features.shape[1]
    penalty = penalties / n
    scale, none_scale = features.std(axis=0) + 1e-6, np.abs(none).mean(axis=0) + 1e-6
    x, x_none = features / scale, none / none_scale
    # Several candidates can be right when score is a recorded score; they share the query's weight.
    total_right = np.bincount(queries, weights=right, minlength=n)
    right = right / np.maximum(total_right, 1.0)[queries]
    none_right = 1.0 - np.minimum(total_right, 1.0)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits, none_logits = x @ weights[:split], x_none @ weights[split:]
        highest = none_logits.copy()
        np.maximum.at(highest, queries, logits)
        exp, none_exp = np.exp(logits - highest[queries]), np.exp(none_logits - highest)
        total = np.bincount(queries, weights=exp, minlength=n) + none_exp
        p, p_none = exp / total[queries], none_exp / total
        likelihood = right @ np.log(p + 1e-12) + none_right @ np.log(p_none + 1e-12)
        gradient = np.concatenate([(p - right) @ x, (p_none - none_right) @ x_none])
        return -likelihood / n + float(penalty @ weights**2) / 2, gradient / n + penalty * weights

    start = np.zeros(split + none.shape[1])
    # The solver's many small products are slower in several threads than in one.
    with threadpool_limits(1, user_api="blas"):
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=_SOLVER).x
    return found[:split] / scale, found[split:] / none_scale
