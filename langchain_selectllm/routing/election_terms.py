"""Members, weights and rules of one election."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.routing.answer_confidence import AnswerConfidence
from langchain_selectllm.routing.confidence_rule import ConfidenceRule
from langchain_selectllm.routing.reply_reader import ReplyReader
from langchain_selectllm.selection.operating_points import FurtherRounds
from langchain_selectllm.voting.votes import VoteStrategy


@dataclass(frozen=True, kw_only=True, eq=False)
class ElectionTerms:
    """Members, weights and rules of one election."""

    members: Sequence[str]
    """Names of the pool's K members."""
    probabilities: NDArray[np.float64]
    """P(correct) of each member that the vote and its tie rule use, (K,)."""
    vote: VoteStrategy
    reader: ReplyReader
    query: str | None = None
    latencies: NDArray[np.float64] | None = None
    """Recorded `latency_s` of each member, (K,); unknown when None."""
    confidence: AnswerConfidence | None = None
    """Estimates P(the answer is right); the tally has no confidence when None."""
    further: FurtherRounds | None = None
    """Follow-up rounds that the policy plans."""
    rule: ConfidenceRule | None = None
    """Least confidence that the answer needs; no bound when None."""

    patience: float | None = None
    """Lead from which the outstanding members are not waited for; they are when None."""

    @property
    def depends_on_confidence(self) -> bool:
        """Whether further calls follow from the confidence."""
        return self.further is not None or self.rule is not None
