"""Distance of a dense embedding from the training texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders.base import Features
from langchain_selectllm.exceptions import NotFittedError

# Enough to cover what a training set is about, few enough for an artefact.
_MOST = 500
_USUAL = 0.95


@dataclass(frozen=True, eq=False)
class Familiarity:
    """Training texts that stand for all of them; a text is as novel as it is unlike the nearest one.

    Distances are cosine distances about the mean of these texts, since embeddings of one model tend to share
    a direction.
    """

    centre: NDArray[np.float32]
    """(dimension,)."""
    references: NDArray[np.float32]
    """Centred embeddings of unit length, (n_references, dimension)."""
    usual: NDArray[np.float64]
    """The distance that 95 % of the references keep from the nearest other one, (1,)."""

    @staticmethod
    def sample(texts: Sequence[str]) -> list[str]:
        """The texts that are to stand for all of them: at most 500, evenly spaced."""
        places = np.unique(np.linspace(0, len(texts) - 1, min(len(texts), _MOST)).astype(int))
        return [texts[i] for i in places]

    @classmethod
    def fit(cls, embeddings: NDArray[np.float32]) -> Self:
        """Familiarity with the texts of these embeddings, (n_references, dimension)."""
        centre = embeddings.mean(axis=0)
        references = _unit(embeddings - centre)
        closeness = references @ references.T
        np.fill_diagonal(closeness, -1.0)
        distances = np.clip(1.0 - closeness.max(axis=1), 0.0, 1.0)
        return cls(centre, references, np.array([np.quantile(distances, _USUAL)]))

    def novelty(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """Novelty of each text, (n,): 0 up to the usual distance, 1 for a text unlike all references."""
        closeness = _unit(embeddings - self.centre) @ self.references.T
        distances = 1.0 - closeness.max(axis=1).astype(np.float64)
        usual = float(self.usual[0])
        return beyond_usual(distances, usual)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays to save."""
        return {
            "familiar_centre": self.centre,
            "familiar_references": self.references,
            "familiar_usual": self.usual,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The familiarity of saved arrays."""
        return cls(arrays["familiar_centre"], arrays["familiar_references"], arrays["familiar_usual"])


class KnowsTexts:
    """Mixin of dense encoders: `novelty` by the familiarity that fitting or loading has set."""

    _familiarity: Familiarity | None = None

    @property
    def familiarity(self) -> Familiarity:
        """Familiarity with the training texts.

        Raises:
            NotFittedError: If no text has been seen.
        """
        if self._familiarity is None:
            raise NotFittedError(f"{type(self).__name__} has not seen any text. Call fit first.")
        return self._familiarity

    @familiarity.setter
    def familiarity(self, familiarity: Familiarity) -> None:
        self._familiarity = familiarity

    def novelty(self, texts: Sequence[str], features: Features) -> NDArray[np.float64]:  # noqa: ARG002
        """Novelty of each text, (n,) in [0, 1]; see `Familiarity`.

        Raises:
            NotFittedError: If called before `fit`.
        """
        return self.familiarity.novelty(np.asarray(features, dtype=np.float32))


def beyond_usual(distances: NDArray[np.float64], usual: float) -> NDArray[np.float64]:
    """Novelty of distances in [0, 1], (n,): 0 up to the usual distance, then rising to 1."""
    novelty: NDArray[np.float64] = np.clip((distances - usual) / max(1.0 - usual, 1e-9), 0.0, 1.0)
    return novelty


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return scaled
