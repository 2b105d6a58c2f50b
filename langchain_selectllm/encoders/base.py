"""The protocol of encoders: texts in, features out, and a state of JSON and arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders.sparse import SparseRows

Features = NDArray[np.float32] | SparseRows
"""Features of n texts, (n, n_features), dense or sparse."""


class Encoder(Protocol):
    """Turns texts into features; never calls a member."""

    kind: ClassVar[str]
    """Name under which the encoder is saved."""
    supervised: ClassVar[bool]
    """Whether fitting uses the labels: features are then one logit per member, and folds are not rotated."""
    head_c: ClassVar[float]
    """Inverse regularisation strength of logistic heads over these features."""
    is_slow: ClassVar[bool]
    """Whether encoding a text takes longer than a hop to a worker thread, as it does with any neural model.

    Routing decides inline with a fast encoder and in a worker thread with a slow one. An encoder without this
    attribute counts as slow; read it through the function `is_slow`.
    """

    @property
    def name(self) -> str:
        """Name as the user gave it, such as "lexical" or a model id."""
        ...

    def fit(self, texts: Sequence[str], scores: NDArray[np.float64], validation: NDArray[np.bool_]) -> Self:
        """Learn from the outcomes' own texts.

        Args:
            texts: Query texts, n of them.
            scores: Success rates, (n, K), NaN = unobserved; used by supervised encoders only.
            validation: Queries kept for choosing a checkpoint, (n,); never trained on by supervised encoders.
        """
        ...

    def encode(self, texts: Sequence[str]) -> Features:
        """Features of the texts, (n, n_features)."""
        ...

    def novelty(self, texts: Sequence[str], features: Features) -> NDArray[np.float64]:
        """Novelty of each text, (n,): 0 = like the training texts, 1 = unlike all of them; 0 if not measured.

        Args:
            texts: The texts.
            features: What `encode` made of them.
        """
        ...

    def save(self, folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Configuration as JSON and arrays; other files go into `folder`, which exists and is empty."""
        ...

    @classmethod
    def load(
        cls,
        config: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        folder: Path,
        *,
        model: str | None = None,
    ) -> Self:
        """The encoder that `save` wrote.

        Args:
            config: Configuration that `save` returned.
            arrays: Arrays that `save` returned.
            folder: Folder that `save` wrote files into.
            model: Id or folder of the model under the encoder, where the caller names it.

        Raises:
            EncoderError: If the model it stands on is not there, has to be named, or is another one than it
                was fitted with.
        """
        ...


def is_slow(encoder: Encoder) -> bool:
    """Whether a decision with `encoder` belongs in a worker thread; true without the attribute."""
    return bool(getattr(encoder, "is_slow", True))
