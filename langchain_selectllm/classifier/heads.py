"""Linear heads over the encoder's features, one per member."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders import Features, row_dots


@dataclass(frozen=True, eq=False)
class LinearHeads:
    """Logits of K members from features: features @ weights.T + bias."""

    weights: NDArray[np.float32]
    """(K, n_features)."""
    bias: NDArray[np.float32]
    """(K,)."""

    def __post_init__(self) -> None:
        """Keep the members' weights of one feature beside each other, as sparse rows read them."""
        object.__setattr__(self, "weights", np.asfortranarray(self.weights))

    @classmethod
    def fit(cls, features: Features, scores: NDArray[np.float64], *, c: float, seed: int) -> "LinearHeads":
        """Heads fitted on success rates (n, K), each member on the queries where it was observed."""
        # Serving does without the modules of fitting.
        from langchain_selectllm.classifier.logistic import fit_logistic

        models = fit_logistic(features, scores, c=c, seed=seed)
        return cls(
            np.array([model.weights for model in models], dtype=np.float32).reshape(-1, features.shape[1]),
            np.array([model.bias for model in models], dtype=np.float32),
        )

    @classmethod
    def identity(cls, n_members: int) -> "LinearHeads":
        """Heads for features that already are one logit a member."""
        return cls(np.eye(n_members, dtype=np.float32), np.zeros(n_members, dtype=np.float32))

    @classmethod
    def none(cls, n_features: int) -> "LinearHeads":
        """No heads, over that many features."""
        return cls(np.zeros((0, n_features), dtype=np.float32), np.zeros(0, dtype=np.float32))

    def logits(self, features: Features) -> NDArray[np.float64]:
        """Uncalibrated logits, (n, K)."""
        return (row_dots(features, self.weights) + self.bias).astype(np.float64)

    def with_member(self, head: "LinearHeads") -> "LinearHeads":
        """The heads with those of `head` behind them."""
        return LinearHeads(
            np.concatenate([self.weights, head.weights]), np.concatenate([self.bias, head.bias])
        )
