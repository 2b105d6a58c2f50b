"""One linear head a member over the encoder's features, and the calibration across heads."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders import Features, row_dot
from langchain_selectllm.logistic import fit_logistic, sigmoid

_CALIBRATION_C = 0.1


@dataclass(frozen=True, eq=False)
class LinearHeads:
    """Logits of K members from features: features @ weights.T + bias."""

    weights: NDArray[np.float32]
    """(K, n_features)."""
    bias: NDArray[np.float32]
    """(K,)."""

    @classmethod
    def fit(cls, features: Features, scores: NDArray[np.float64], *, c: float, seed: int) -> "LinearHeads":
        """Heads fitted on success rates (n, K), each member on the queries where it was observed."""
        # One after the other: liblinear draws from one generator a process, and threads would mix the draws up.
        fitted = [fit_logistic(features, column, c=c, seed=seed) for column in scores.T]
        return cls(
            np.stack([weights for weights, _ in fitted]).astype(np.float32),
            np.array([bias for _, bias in fitted], dtype=np.float32),
        )

    @classmethod
    def identity(cls, n_members: int) -> "LinearHeads":
        """Heads for features that already are one logit a member."""
        return cls(np.eye(n_members, dtype=np.float32), np.zeros(n_members, dtype=np.float32))

    def logits(self, features: Features) -> NDArray[np.float64]:
        """Uncalibrated logits, (n, K)."""
        columns = [row_dot(features, weights) for weights in self.weights]
        return (np.stack(columns, axis=1) + self.bias).astype(np.float64)

    def with_member(self, head: "LinearHeads") -> "LinearHeads":
        """The heads with those of `head` behind them."""
        return LinearHeads(np.concatenate([self.weights, head.weights]), np.concatenate([self.bias, head.bias]))


@dataclass(frozen=True, eq=False)
class StackedCalibration:
    """Calibrated probabilities from the logits of all members: sigmoid(logits @ weights + bias).

    Platt scaling (Platt, 1999) with the other members' logits beside a member's own: that a query is hard for others
    says something about this member too. Fitted on logits of queries that the heads had not seen.
    """

    weights: NDArray[np.float64]
    """(K, K): column k maps all logits to member k."""
    bias: NDArray[np.float64]
    """(K,)."""

    @classmethod
    def fit(cls, logits: NDArray[np.float64], scores: NDArray[np.float64], *, seed: int) -> "StackedCalibration":
        """Calibration fitted on out-of-fold logits (n, K) and success rates (n, K), NaN = unobserved."""
        fitted = [fit_logistic(logits, column, c=_CALIBRATION_C, seed=seed) for column in scores.T]
        return cls(np.stack([weights for weights, _ in fitted], axis=1), np.array([bias for _, bias in fitted]))

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(correct), (n, K)."""
        total = np.tile(self.bias, (len(logits), 1))
        # One member's logit after the other: a member added later, with weight 0, leaves the bits of the sums alone.
        for member, weights in enumerate(self.weights):
            total = total + logits[:, member : member + 1] * weights
        return sigmoid(total)

    def with_member(self, logits: NDArray[np.float64], scores: NDArray[np.float64], *, seed: int) -> "StackedCalibration":
        """Calibration of one more member; that of the others stays as it is.

        Args:
            logits: Logits of all members, (n, K + 1), the new one's last and out of fold.
            scores: Success rates of the new member, (n,).
            seed: Seed of the solver.
        """
        weights, bias = fit_logistic(logits, scores, c=_CALIBRATION_C, seed=seed)
        grown = np.zeros((len(self.bias) + 1, len(self.bias) + 1))
        grown[:-1, :-1] = self.weights
        grown[:, -1] = weights
        return StackedCalibration(grown, np.append(self.bias, bias))
