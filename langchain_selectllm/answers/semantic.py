"""Free text as an answer, compared by meaning."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.encoders.sentence import SentenceEncoder
from langchain_selectllm.exceptions import AnswerError

_REMEMBERED = 4096

Embed = Callable[[Sequence[str]], Any]
"""From texts to embeddings, (n, dimension)."""


@dataclass(frozen=True, eq=False)
class SemanticAnswers:
    """The whole reply is the answer; replies with similar embeddings agree.

    Use it as `VotingOutputParser(answer=SemanticAnswers(...))`: every vote then counts by meaning, and the
    answer is the medoid of the winning group. Embeddings measure topic better than truth: "It is safe." and
    "It is not safe." are close, so check the threshold on replies of your own.
    """

    open_ended: ClassVar[bool] = True

    model: str | Embed
    """Id or folder of a sentence-transformers model, or a callable from texts to embeddings."""
    threshold: float = 0.8
    """Cosine similarity from which two replies agree, in (0, 1]."""
    _known: "OrderedDict[str, NDArray[np.float64]]" = field(
        default_factory=OrderedDict, init=False, repr=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _embed: Embed = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise AnswerError(
                f"SemanticAnswers(threshold={self.threshold!r}) is out of range. Use a cosine in (0, 1]."
            )
        embed = SentenceEncoder(self.model).encode if isinstance(self.model, str) else self.model
        object.__setattr__(self, "_embed", embed)

    @property
    def name(self) -> str:
        """Always "semantic"."""
        return "semantic"

    def extract(self, reply: str, query: str | None = None) -> str | None:  # noqa: ARG002
        """The reply, stripped; None when it is blank."""
        return self.canonical(reply)

    def extract_cut_off(self, reply: str, query: str | None = None) -> str | None:  # noqa: ARG002
        """None: part of a text does not mean the same as the whole."""
        return None

    def canonical(self, reference: str) -> str | None:
        """`reference`, stripped; None when it is blank."""
        return reference.strip() or None

    def agreement(self, answers: Sequence[str]) -> NDArray[np.float64]:
        """Cosine similarity of each two answers where it reaches the threshold, else 0, (n, n).

        Raises:
            EncoderError: If the model cannot be loaded.
            MissingDependencyError: If sentence-transformers is not installed.
        """
        if not answers:
            return np.zeros((0, 0))
        embeddings = self._embeddings(answers)
        cosine = np.clip(embeddings @ embeddings.T, 0.0, 1.0)
        # The same text is the same answer even where rounding leaves its cosine below 1.
        np.fill_diagonal(cosine, 1.0)
        return np.where(np.round(cosine, 6) >= self.threshold, cosine, 0.0)

    def _embeddings(self, answers: Sequence[str]) -> NDArray[np.float64]:
        """Embeddings of unit length, (n, dimension); those of recent texts are remembered."""
        with self._lock:
            new = [text for text in dict.fromkeys(answers) if text not in self._known]
            if new:
                found = np.asarray(self._embed(new), dtype=np.float64)
                if found.ndim != 2 or len(found) != len(new):
                    raise AnswerError(
                        f"The embedding callable returned an array of shape {found.shape} for {len(new)} "
                        "texts. Return one row per text."
                    )
                found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
                self._known.update(zip(new, found, strict=True))
            rows = np.stack([self._known[text] for text in answers])
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return rows
