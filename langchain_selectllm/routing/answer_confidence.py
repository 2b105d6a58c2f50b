"""Calibrated probability that a voted answer is right."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.ballots import Ballots
from langchain_selectllm.voting.learned_vote import LearnedVote, winning_lead
from langchain_selectllm.voting.tally import DecidedBy, Tally


@dataclass(frozen=True, kw_only=True, eq=False)
class AnswerConfidence:
    """Estimates P(right) of one prompt's voted answer."""

    learned: LearnedVote | None
    """Learned vote of the pool; without one only the reply of a single member has a confidence."""
    probabilities: NDArray[np.float64]
    """Calibrated P(correct) of each member, (K,)."""

    def of(self, tally: Tally, ballots: Ballots) -> float | None:
        """P(the answer is right); 0 without an answer, None where it is unknown.

        Args:
            tally: The counted vote.
            ballots: Its ballots, grouped, with grounds where there is a learned vote.
        """
        if tally.answer is None:
            return 0.0
        if tally.decided_by == DecidedBy.JUDGE:
            return None
        if self.learned is not None:
            return float(self._posterior(self.learned, ballots)[0, ballots.code_of(tally.answer)])
        if len(ballots.members) == 1:
            return float(self.probabilities[ballots.members[0]])
        return None

    def lead(self, tally: Tally, ballots: Ballots) -> float:
        """P(the answer is right, if it or the strongest other candidate is); 0 where that is unknown.

        Arguments as in `of`.
        """
        if self.learned is None or tally.answer is None or tally.confidence is None:
            return 0.0
        winners = np.array([ballots.code_of(tally.answer)])
        return float(winning_lead(self._posterior(self.learned, ballots), winners)[0])

    def _posterior(self, learned: LearnedVote, ballots: Ballots) -> NDArray[np.float64]:
        """P(right) of every candidate, (1, n_candidates)."""
        if not np.array_equal(ballots.probabilities[0], self.probabilities):
            ballots = replace(ballots, probabilities=self.probabilities[None, :])
        return learned.posterior(ballots)
