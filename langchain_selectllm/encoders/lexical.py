"""The default encoder: word and character n-grams of the outcomes' own texts, served by numpy alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders.base import Features
from langchain_selectllm.encoders.ngrams import ngram_hashes
from langchain_selectllm.encoders.novelty import beyond_usual
from langchain_selectllm.encoders.sparse import SparseRows
from langchain_selectllm.encoders.surface import N_SURFACE, surface_features
from langchain_selectllm.exceptions import EncoderError, NotFittedError

_CHARACTER_WEIGHT = 0.3
_SURFACE_WEIGHT = 0.05
_MIN_TEXTS = {"words": 2, "characters": 4}


class LexicalEncoder:
    """Hashed n-gram frequencies, weighted by rarity, beside a few surface features.

    Words and their pairs weigh (1 + log count) * log((1 + n) / (1 + n_texts_with_it)) + 1 (the usual
    smoothed TF-IDF), scaled to unit length; character 4-grams alike, scaled to 0.3, which reads spelling and
    code that words miss. An n-gram of fewer than two (four) training texts is left out. Nothing is
    downloaded.
    """

    kind: ClassVar[str] = "lexical"
    supervised: ClassVar[bool] = False
    head_c: ClassVar[float] = 1.0
    is_slow: ClassVar[bool] = False

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}

    @property
    def name(self) -> str:
        """Always "lexical"."""
        return self.kind

    def fit(
        self,
        texts: Sequence[str],
        scores: NDArray[np.float64],  # noqa: ARG002
        validation: NDArray[np.bool_],  # noqa: ARG002
    ) -> Self:
        """Learn which n-grams there are and how rare each is."""
        hashed = [ngram_hashes(text) for text in texts]
        for block, name in enumerate(_MIN_TEXTS):
            keys, counts = np.unique(
                np.concatenate([np.unique(h[block]) for h in hashed]), return_counts=True
            )
            kept = counts >= min(_MIN_TEXTS[name], len(texts))
            self._arrays[name] = keys[kept]
            self._arrays[f"{name}_idf"] = (np.log((1 + len(texts)) / (1 + counts[kept])) + 1).astype(
                np.float32
            )
        # A training text counts among the two texts itself, so that its novelty is what a new text's would
        # be.
        self._arrays["usual_novelty"] = np.array([np.quantile(self._unseen_share(texts), 0.95)])
        surface = np.stack([surface_features(text) for text in texts])
        self._arrays["surface_mean"] = surface.mean(axis=0)
        self._arrays["surface_scale"] = np.where(surface.std(axis=0) > 1e-9, surface.std(axis=0), 1.0)
        return self

    def encode(self, texts: Sequence[str]) -> SparseRows:
        """Sparse features, (n, n_words + n_characters + N_SURFACE).

        Raises:
            NotFittedError: If called before `fit`.
        """
        if not self._arrays:
            raise NotFittedError("The lexical encoder has not seen any text. Call fit first.")
        n_columns = len(self._arrays["words"]) + len(self._arrays["characters"]) + N_SURFACE
        return SparseRows.from_rows([self._row(text) for text in texts], n_columns)

    def novelty(self, texts: Sequence[str], features: Features) -> NDArray[np.float64]:  # noqa: ARG002
        """Novelty of each text, (n,) in [0, 1].

        0 up to the share of unseen words that 95 % of the training texts stay below, then rising to 1 for a
        text of unseen words alone.
        """
        usual = float(self._arrays["usual_novelty"][0])
        return beyond_usual(self._unseen_share(texts), usual)

    def _unseen_share(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Share of words and word pairs that no two training texts had, (n,); 1 for a text without words."""
        shares = []
        for text in texts:
            keys = np.unique(ngram_hashes(text)[0])
            shares.append(1.0 - _found(self._arrays["words"], keys)[1].mean() if len(keys) else 1.0)
        return np.array(shares)

    def _row(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        words, characters = ngram_hashes(text)
        offset = len(self._arrays["words"])
        word_columns, word_values = self._block("words", words)
        character_columns, character_values = self._block("characters", characters)
        surface = (surface_features(text) - self._arrays["surface_mean"]) / self._arrays["surface_scale"]
        surface_columns = np.arange(N_SURFACE) + offset + len(self._arrays["characters"])
        return (
            np.concatenate([word_columns, character_columns + offset, surface_columns]),
            np.concatenate(
                [
                    word_values,
                    _CHARACTER_WEIGHT * character_values,
                    # Bounded, so that one odd text cannot outshout every word in it.
                    (_SURFACE_WEIGHT * np.clip(surface, -5.0, 5.0)).astype(np.float32),
                ]
            ),
        )

    def _block(self, name: str, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        keys, counts = np.unique(hashes, return_counts=True)
        columns, found = _found(self._arrays[name], keys)
        columns = columns[found]
        values = ((1 + np.log(counts[found])) * self._arrays[f"{name}_idf"][columns]).astype(np.float32)
        norm = float(np.sqrt((values**2).sum()))
        return columns.astype(np.int64), values / np.float32(norm or 1.0)

    def save(self, folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:  # noqa: ARG002
        """An empty configuration and the arrays."""
        return {}, dict(self._arrays)

    @classmethod
    def load(
        cls,
        config: Mapping[str, Any],  # noqa: ARG003
        arrays: Mapping[str, NDArray[Any]],
        folder: Path,  # noqa: ARG003
        *,
        model: str | None = None,  # noqa: ARG003
    ) -> Self:
        """The encoder of saved arrays.

        Raises:
            EncoderError: If arrays are missing or do not fit each other.
        """
        encoder = cls()
        encoder._arrays = dict(arrays)
        names = {
            "usual_novelty",
            "words",
            "words_idf",
            "characters",
            "characters_idf",
            "surface_mean",
            "surface_scale",
        }
        if set(arrays) != names or any(len(arrays[n]) != len(arrays[f"{n}_idf"]) for n in _MIN_TEXTS):
            raise EncoderError(
                f"The lexical encoder needs the arrays {sorted(names)}; the artefact has {sorted(arrays)}."
            )
        if len(arrays["surface_mean"]) != N_SURFACE:
            raise EncoderError(
                f"The artefact has {len(arrays['surface_mean'])} surface features; this release uses "
                f"{N_SURFACE}."
            )
        return encoder


def _found(known: NDArray[np.uint64], keys: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Index of each key in the sorted known ones, and whether it is one of them; (n_keys,) each."""
    if not len(known):
        return np.zeros(len(keys), dtype=np.intp), np.zeros(len(keys), dtype=np.bool_)
    columns = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return columns, known[columns] == keys
