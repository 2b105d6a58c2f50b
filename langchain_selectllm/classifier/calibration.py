"""Calibration across heads: P(correct) per member from the topic and the logits of all members."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CALIBRATION_C = 0.1
"""Inverse strength of the L2 penalty. This and `_TOPIC_SCALE` were set by hand together with the topics, on
RouterDC and MMLU-Pro (see docs/explanation/research-log.md); no search over them is recorded."""
_TOPIC_SCALE = 3.0
"""Scale of P(topic) beside the logits: the penalty shrinks the few intercepts of topics less."""
_MOST_ADDENDS = 1 << 16
"""Addends that are held in memory at once, 512 KiB, which fits the cache."""


@dataclass(frozen=True, eq=False)
class StackedCalibration:
    """Calibrated probabilities from what the heads say of a query: its topic and the logits of all members.

    P(correct) of member k = sigmoid(bias_k + topics @ topic_weights[:, k] + logits @ weights[:, k]): Platt
    scaling (Platt, 1999) with the other members' logits beside a member's own, since a query that is hard for
    others is often hard for this member too, and with an intercept for every topic, which shrinks a member's
    strength on a query towards its strength on that kind of query. Fitted on queries that the heads had not
    seen.
    """

    weights: NDArray[np.float64]
    """(K, K): column k maps all members' logits to member k."""
    topic_weights: NDArray[np.float64]
    """(T, K): column k holds member k's intercepts by topic."""
    bias: NDArray[np.float64]
    """(K,)."""

    @classmethod
    def fit(
        cls,
        logits: NDArray[np.float64],
        topics: NDArray[np.float64],
        scores: NDArray[np.float64],
        *,
        seed: int,
    ) -> "StackedCalibration":
        """Calibration fitted on out-of-fold predictions.

        Args:
            logits: Logits of all members, (n, K).
            topics: P(topic), (n, T); T may be 0.
            scores: Success rates, (n, K); NaN = unobserved.
            seed: Seed of the solver.
        """
        return _fit_columns(logits, topics, scores, seed)

    def probabilities(self, logits: NDArray[np.float64], topics: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(correct), (n, K), of logits (n, K) and P(topic) (n, T)."""
        values = np.concatenate([np.ones((len(logits), 1)), topics, logits], axis=1)
        weights = np.concatenate([self.bias[None, :], self.topic_weights, self.weights])
        total = np.empty((len(values), len(self.bias)))
        at_once = max(_MOST_ADDENDS // max(weights.size, 1), 1)
        for start in range(0, len(values), at_once):
            some = slice(start, start + at_once)
            # One addend after the other: a member added later, with weight 0, changes no bit of the sums.
            total[some] = np.add.accumulate(values[some, :, None] * weights, axis=1)[:, -1]
        return sigmoid(total)

    def with_member(
        self,
        logits: NDArray[np.float64],
        topics: NDArray[np.float64],
        scores: NDArray[np.float64],
        *,
        seed: int,
    ) -> "StackedCalibration":
        """Calibration of one more member; that of the others stays as it is.

        Args:
            logits: Logits of all members, (n, K + 1), the new one's last and out of fold.
            topics: P(topic), (n, T).
            scores: Success rates of the new member, (n,).
            seed: Seed of the solver.
        """
        new = _fit_columns(logits, topics, scores[:, None], seed)
        # The other members' calibration gives the new member's logit the weight 0.
        others = np.vstack([self.weights, np.zeros(len(self.bias))])
        return StackedCalibration(
            weights=np.hstack([others, new.weights]),
            topic_weights=np.hstack([self.topic_weights, new.topic_weights]),
            bias=np.append(self.bias, new.bias),
        )


def _fit_columns(
    logits: NDArray[np.float64], topics: NDArray[np.float64], scores: NDArray[np.float64], seed: int
) -> StackedCalibration:
    """Calibration of the members that the columns of `scores` belong to."""
    from langchain_selectllm.classifier.logistic import fit_logistic

    features = np.hstack([logits, _TOPIC_SCALE * topics])
    models = fit_logistic(features, scores, c=_CALIBRATION_C, seed=seed)
    weights = np.stack([model.weights for model in models], axis=1)
    n_logits = logits.shape[1]
    return StackedCalibration(
        weights=weights[:n_logits],
        topic_weights=_TOPIC_SCALE * weights[n_logits:],
        bias=np.array([model.bias for model in models]),
    )


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-logits)), without overflow."""
    return np.exp(-np.logaddexp(0.0, -logits))
