"""What training leaves behind, and how it is trained."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.classifier.calibration import StackedCalibration
from langchain_selectllm.classifier.heads import LinearHeads
from langchain_selectllm.classifier.topics import Topics, topic_softmax
from langchain_selectllm.encoders import Encoder, is_slow
from langchain_selectllm.selection.pool_statistics import PoolStatistics

_TEXTS_AT_ONCE = 256
"""Texts whose features are held in memory at once; a model gets all texts, which it sorts into batches."""


@dataclass(frozen=True)
class TrainingSummary:
    """What a classifier was fitted on, and how well it did on queries its heads had not seen."""

    n_queries: int
    outcomes: Mapping[str, int]
    """Observed outcomes of each member."""
    oracle: float
    """Share of the fully observed training queries that some member answers; NaN without such queries."""
    metrics: Mapping[str, Any]
    """Metrics of out-of-fold probabilities on the training queries; see `classifier_metrics`."""
    fixed_set_search: str
    """ "exhaustive", "beam", or "none" where there are no replies to vote on."""
    vote: str
    """Either "learned", or "log_odds" and why nothing could be learned."""
    answer: str | None
    """What all replies were read as, or None for each query's own `answer_type`."""
    answer_type: str
    """What most replies were read as: the default of a router over this classifier."""
    labels_from: str = "references"
    """Where the labels came from: "references" (or recorded scores), or agreement with the pool's own
    vote."""


@dataclass(frozen=True, eq=False)
class Learned:
    """Everything that is learned from outcomes; arrays follow `pool.members`."""

    encoder: Encoder
    heads: LinearHeads
    topics: Topics
    calibration: StackedCalibration
    pool: PoolStatistics
    summary: TrainingSummary
    trained_on: frozenset[int]
    """Digests of the training query ids."""

    @cached_property
    def digest(self) -> str:
        """Hexadecimal digest of the learned state; different classifiers have different digests."""
        pool, topics, calibration = self.pool, self.topics.heads, self.calibration
        words: list[Any] = [self.encoder.kind, self.encoder.name, pool.members, pool.fixed_sets]
        words += [
            pool.operating_points,
            pool.patience,
            () if pool.vote is None else pool.vote.known_answers,
        ]
        digest = hashlib.sha256(repr(words).encode())
        parts = [
            self.heads.weights,
            self.heads.bias,
            topics.weights,
            topics.bias,
            calibration.weights,
            calibration.topic_weights,
        ]
        parts += [calibration.bias, pool.base_rates, pool.costs, pool.latencies]
        parts += [] if pool.vote is None else list(pool.vote.arrays().values())
        for array in parts:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @cached_property
    def _all_heads(self) -> LinearHeads:
        """Heads of members and topics, which read the features of a text at once."""
        return self.heads.with_member(self.topics.heads)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated P(correct), (n, K), shrunk to base rates as a text is unfamiliar."""
        if not texts:
            return np.empty((0, len(self.pool.members)))
        at_once = len(texts)
        if not is_slow(self.encoder):
            at_once = _TEXTS_AT_ONCE
        parts = [self._probabilities(texts[i : i + at_once]) for i in range(0, len(texts), at_once)]
        return np.concatenate(parts)

    def _probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        features = self.encoder.encode(texts)
        logits, n_members = self._all_heads.logits(features), len(self.pool.members)
        topics = topic_softmax(logits[:, n_members:])
        probabilities = self.calibration.probabilities(logits[:, :n_members], topics)
        novelty = self.encoder.novelty(texts, features)[:, None]
        probabilities = (1.0 - novelty) * probabilities + novelty * self.pool.base_rates
        probabilities[[not text.strip() for text in texts]] = self.pool.base_rates
        return probabilities
