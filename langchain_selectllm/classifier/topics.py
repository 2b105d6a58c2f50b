"""Topics of queries: the categories of the training outcomes, predicted from the text."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.classifier.heads import LinearHeads
from langchain_selectllm.encoders import Features

_MIN_QUERIES = 20
"""Queries that a category needs to be a topic. Set by hand with RouterDC and MMLU-Pro in view, whose
categories all have more; not searched."""
_MAX_TOPICS = 64
"""Topics at most; more categories are labels of single sources. Bounds training time, not searched: the
57 subjects of MMLU are within it."""


@dataclass(frozen=True, eq=False)
class Topics:
    """P(topic) of a text from linear heads over the encoder's features."""

    names: tuple[str, ...]
    heads: LinearHeads

    def probabilities(self, features: Features) -> NDArray[np.float64]:
        """P(topic), (n, T)."""
        if not self.names:
            return np.zeros((features.shape[0], 0))
        return topic_softmax(self.heads.logits(features))


def topic_indicators(categories: tuple[str, ...]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The categories worth telling apart, and which query belongs to which, (n, T).

    Categories of fewer than 20 queries are none, and more than 64 are no kinds of queries; T is 0 without at
    least two.
    """
    counts = Counter(categories)
    names = sorted(name for name, count in counts.items() if name and count >= _MIN_QUERIES)
    if not 2 <= len(names) <= _MAX_TOPICS:
        names = []
    return tuple(names), (np.array(categories)[:, None] == np.array(names, dtype=object)).astype(np.float64)


def topic_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(topic), (n, T), from logits of one topic against the rest."""
    if not logits.shape[1]:
        return logits
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    share: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return share
