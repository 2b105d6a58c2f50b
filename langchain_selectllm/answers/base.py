"""The protocol of answer extractors, and the canonical form of references."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.exceptions import AnswerError


@runtime_checkable
class AnswerExtractor(Protocol):
    """Reads one canonical answer out of a reply, so that equal answers are equal strings."""

    @property
    def name(self) -> str:
        """Name of the kind of answer, as reports and artefacts write it."""
        ...

    def extract(self, reply: str, query: str | None = None) -> str | None:
        """The canonical answer of `reply`; None = abstain.

        Args:
            reply: Full text of a member's reply.
            query: Text of the query, for extractors that read its options (multiple choice).
        """
        ...

    def canonical(self, reference: str) -> str | None:
        """The canonical form of a bare reference answer; None where it is no answer of this kind."""
        ...


@runtime_checkable
class ComparesAnswers(AnswerExtractor, Protocol):
    """An extractor whose answers may agree without being equal strings."""

    def agreement(self, answers: Sequence[str]) -> NDArray[np.float64]:
        """Agreement of each two answers, (n, n) in [0, 1], symmetric: 0 = different, 1 on the diagonal."""
        ...


@runtime_checkable
class ReadsCutOff(AnswerExtractor, Protocol):
    """An extractor that finds the answers which stand although their replies were cut off."""

    def extract_cut_off(self, reply: str, query: str | None = None) -> str | None:
        """The answer that `reply` had stated before it was cut off; None = abstain."""
        ...


def is_open_ended(extractor: AnswerExtractor) -> bool:
    """Whether several different answers can all be correct, as with free text and code."""
    return bool(getattr(extractor, "open_ended", False))


def gold_answer(reference: str, extractor: AnswerExtractor) -> str:
    """The canonical form of a reference answer; a reply is correct when its answer equals it.

    Raises:
        AnswerError: If `extractor` reads no answer from `reference`.
    """
    gold = extractor.canonical(reference)
    if gold is None:
        raise AnswerError(f"reference {reference!r} is no {extractor.name} answer.")
    return gold
