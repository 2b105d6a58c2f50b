"""One linear head a member over the encoder's features, and the calibration across heads."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.classifier.logistic import fit_logistic, sigmoid
from langchain_selectllm.encoders import Features, row_dot

_CALIBRATION_C = 0.1
_TOPIC_SCALE = 3.0


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
        if not len(self.bias):
            return np.zeros((features.shape[0], 0))
        columns = [row_dot(features, weights) for weights in self.weights]
        return (np.stack(columns, axis=1) + self.bias).astype(np.float64)

    def take(self, members: slice) -> "LinearHeads":
        """The heads of some of the members."""
        return LinearHeads(self.weights[members], self.bias[members])

    def with_member(self, head: "LinearHeads") -> "LinearHeads":
        """The heads with those of `head` behind them."""
        return LinearHeads(
            np.concatenate([self.weights, head.weights]), np.concatenate([self.bias, head.bias])
        )


@dataclass(frozen=True, eq=False)
class StackedCalibration:
    """Calibrated probabilities from what the heads say of a query: its topic and the logits of all members.

    P(correct) of member k = sigmoid(bias_k + topics @ topic_weights[:, k] + logits @ weights[:, k]): Platt scaling (Platt,
    1999) with the other members' logits beside a member's own, since what is hard for others says something about this
    member too, and with an intercept for every topic, which shrinks a member's strength on a query towards its strength on
    that kind of query. Fitted on queries that the heads had not seen.
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
        fitted = [_fit_member(logits, topics, column, seed) for column in scores.T]
        weights, topic_weights, bias = (np.stack(part, axis=-1) for part in zip(*fitted, strict=True))
        return cls(weights, topic_weights, bias)

    def probabilities(self, logits: NDArray[np.float64], topics: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(correct), (n, K), of logits (n, K) and P(topic) (n, T)."""
        total = np.tile(self.bias, (len(logits), 1))
        # One addend after the other: a member added later, with weight 0, leaves the bits of the sums alone.
        for values, weights in ((topics, self.topic_weights), (logits, self.weights)):
            for column, row in zip(values.T, weights, strict=True):
                total = total + column[:, None] * row
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
        weights, topic_weights, bias = _fit_member(logits, topics, scores, seed)
        grown = np.zeros((len(self.bias) + 1, len(self.bias) + 1))
        grown[:-1, :-1] = self.weights
        grown[:, -1] = weights
        return StackedCalibration(
            grown, np.column_stack([self.topic_weights, topic_weights]), np.append(self.bias, bias)
        )


def _fit_member(
    logits: NDArray[np.float64], topics: NDArray[np.float64], scores: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Weights of the logits (K,) and of the topics (T,), and bias, of one member."""
    # Scaled up, so that the penalty spares the intercepts of topics: there are few of them.
    features = np.hstack([logits, _TOPIC_SCALE * topics])
    weights, bias = fit_logistic(features, scores, c=_CALIBRATION_C, seed=seed)
    return weights[: logits.shape[1]], _TOPIC_SCALE * weights[logits.shape[1] :], bias
