"""The default encoder: words and word pairs of the outcomes' own texts, served by numpy alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders.base import Features
from langchain_selectllm.encoders.ngrams import MAX_CHARACTERS, MAX_TEXTS, ngram_hashes
from langchain_selectllm.encoders.novelty import beyond_usual
from langchain_selectllm.encoders.sparse import SparseRows
from langchain_selectllm.encoders.surface import N_SURFACE, surface_features
from langchain_selectllm.encoders.vocabulary import Vocabulary, count_distinct
from langchain_selectllm.encoders.weighting import Weighting
from langchain_selectllm.exceptions import EncoderError, NotFittedError

_SURFACE_WEIGHT = 0.05
_MIN_TEXTS = 2
"""Training texts that an n-gram must occur in."""
# Of 20 to 310 prompts of 80 words, 120 to 310 took the least time per prompt: with fewer the calls of numpy
# count, with more the arrays leave the cache.
_CHUNK_CHARACTERS = 1 << 17


@dataclass(frozen=True, eq=False)
class LexicalRows(SparseRows):
    """Features of n texts, and how unfamiliar their words are."""

    unseen_share: NDArray[np.float64]
    """Share of distinct words and word pairs that no two training texts had, (n,); 1 without words."""


class LexicalEncoder:
    """Hashed word frequencies, weighted by rarity, beside a few surface features.

    Words and their pairs weigh (1 + log count) * (log((1 + n) / (1 + n_texts_with_it)) + 1) (the usual
    smoothed TF-IDF), scaled to unit length. One of a single training text is left out. Nothing is downloaded.
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
        """Learn which words and pairs there are and how rare each is."""
        hashes = [ngram_hashes(chunk) for chunk in _chunks(texts)]
        self._keep(Vocabulary.fit(hashes, n_texts=len(texts), min_texts=_MIN_TEXTS))
        surface = surface_features(texts)
        spread = surface.std(axis=0)
        self._arrays["surface_mean"] = surface.mean(axis=0)
        self._arrays["surface_scale"] = np.where(spread > 1e-9, spread, 1.0)
        # A training text counts among the two texts itself, so that its novelty is what a new text's would
        # be.
        usual = np.quantile(self.encode(texts).unseen_share, 0.95)
        self._arrays["usual_novelty"] = np.array([usual])
        return self

    def encode(self, texts: Sequence[str]) -> LexicalRows:
        """Sparse features, (n, n_words + N_SURFACE).

        Raises:
            NotFittedError: If called before `fit`.
        """
        if not self._arrays:
            raise NotFittedError("The lexical encoder has not seen any text. Call fit first.")
        parts, unseen = [], [np.empty(0)]
        for chunk in _chunks(texts):
            rows, share = self._chunk_rows(chunk)
            parts.append(rows)
            unseen.append(share)
        n_columns = self._weighting.n_columns
        rows = SparseRows.below(parts, n_columns)
        return LexicalRows(rows.indptr, rows.columns, rows.values, n_columns, np.concatenate(unseen))

    def novelty(self, texts: Sequence[str], features: Features) -> NDArray[np.float64]:
        """Novelty of each text, (n,) in [0, 1].

        0 up to the share of unseen words that 95 % of the training texts stay below, then rising to 1 for a
        text of unseen words alone.
        """
        if not isinstance(features, LexicalRows):
            features = self.encode(texts)
        return beyond_usual(features.unseen_share, float(self._arrays["usual_novelty"][0]))

    def _chunk_rows(self, texts: Sequence[str]) -> tuple[SparseRows, NDArray[np.float64]]:
        """Features of texts that are hashed together, and the share of unseen words of each."""
        entries = ngram_hashes(texts)
        columns, known = self._vocabulary.find(entries)
        surface = (surface_features(texts) - self._arrays["surface_mean"]) / self._arrays["surface_scale"]
        # Bounded, so that one odd text cannot outweigh every word in it.
        surface = _SURFACE_WEIGHT * np.minimum(np.maximum(surface, -5.0), 5.0)
        # By place: about half of the entries are known, in no order, so that a mask takes twice as long.
        places = np.flatnonzero(known)
        rows, n_known = self._weighting.rows(
            entries.take(places), columns.take(places), surface.astype(np.float32)
        )
        n_unseen = count_distinct(entries.compress(~known), len(texts))
        n_distinct = n_known + n_unseen
        # A text without words is as unfamiliar as one of unseen words.
        return rows, np.where(n_distinct > 0, n_unseen / np.maximum(n_distinct, 1), 1.0)

    def _keep(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._weighting = Weighting(idf=vocabulary.idf, n_dense=N_SURFACE)
        self._arrays["words"], self._arrays["words_idf"] = vocabulary.hashes, vocabulary.idf

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
        names = {"usual_novelty", "words", "words_idf", "surface_mean", "surface_scale"}
        if set(arrays) != names or len(arrays["words"]) != len(arrays["words_idf"]):
            raise EncoderError(
                f"The lexical encoder needs the arrays {sorted(names)}; the artefact has {sorted(arrays)}."
            )
        if len(arrays["surface_mean"]) != N_SURFACE:
            raise EncoderError(
                f"The artefact has {len(arrays['surface_mean'])} surface features; this release uses "
                f"{N_SURFACE}."
            )
        encoder = cls()
        encoder._arrays = dict(arrays)
        encoder._keep(Vocabulary(arrays["words"], arrays["words_idf"]))
        return encoder


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Neighbouring texts that are hashed together, of about `_CHUNK_CHARACTERS` characters."""
    start, characters = 0, 0
    for number, text in enumerate(texts):
        length = min(len(text), MAX_CHARACTERS)
        full = characters + length > _CHUNK_CHARACTERS or number - start == MAX_TEXTS
        if full and number > start:
            yield texts[start:number]
            start, characters = number, 0
        characters += length
    if start < len(texts):
        yield texts[start:]
