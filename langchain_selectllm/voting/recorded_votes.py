"""Recorded replies as ballots: the look-up that stands for fan-out when outcomes are replayed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.voting.ballots import ABSTAIN, NOT_CALLED, Ballots, encode_answers
from langchain_selectllm.voting.grounding import N_GROUNDS, grounding, read_reasoning
from langchain_selectllm.voting.votes import Verdict, VoteStrategy, count_votes


@dataclass(frozen=True, eq=False)
class RecordedVotes:
    """The ballots that every member cast on n recorded queries, and the score of each answer."""

    codes: NDArray[np.int64]
    """Candidate of each recorded ballot, (n, n_slots)."""
    slots: NDArray[np.intp]
    """Pool index of each slot's member, (n_slots,)."""
    lengths: NDArray[np.float64]
    """Characters of the reply behind each ballot, (n, n_slots); NaN without a reply."""
    candidates: Sequence[Sequence[str]]
    """The candidate answers of each query."""
    correct: NDArray[np.float64]
    """Whether each candidate equals the reference, (n, n_candidates); NaN where there is no reference."""
    scores: NDArray[np.float64]
    """Recorded score of each member, (n, K)."""
    agreement: Sequence[NDArray[np.float64]] | None = None
    """How much each two candidates of a query say the same; None where only equal strings do."""
    grounds: NDArray[np.float32] | None = None
    """Grounding of each candidate in each reply, (n, n_slots, n_candidates, 3); see `grounding`."""

    @classmethod
    def from_outcomes(
        cls,
        outcomes: OutcomeTable,
        *,
        pooled: bool = False,
        grounded: bool = True,
    ) -> "RecordedVotes":
        """The recorded ballots of all members.

        Args:
            outcomes: The recorded outcomes.
            pooled: One ballot for each of a member's samples instead of one for its first.
            grounded: Whether the replies' reasoning is read; only the learned vote uses it.
        """
        n, n_members = outcomes.answers.shape
        depth = max(max((len(cell) for cell in outcomes.answers.ravel()), default=1), 1) if pooled else 1
        codes = np.full((n, n_members * depth), NOT_CALLED, dtype=np.int64)
        lengths = np.full(codes.shape, np.nan)
        candidates = []
        for i, row in enumerate(outcomes.answers):
            cells = [cell[:depth] or (None,) for cell in row]
            at = [k * depth + j for k, cell in enumerate(cells) for j in range(len(cell))]
            codes[i, at], names = encode_answers([answer for cell in cells for answer in cell])
            candidates.append(names)
            for k, cell in enumerate(outcomes.replies[i]):
                lengths[i, k * depth : k * depth + len(cell[:depth])] = [len(reply) for reply in cell[:depth]]
        grounds = _grounds(outcomes, depth, candidates) if grounded else None
        correct = np.full((n, max((len(names) for names in candidates), default=1) or 1), np.nan)
        for i, (names, gold) in enumerate(zip(candidates, outcomes.references, strict=True)):
            if gold is not None:
                correct[i, : len(names)] = outcomes.matches(names, gold)
        slots = np.repeat(np.arange(n_members), depth)
        agreement = (
            None
            if outcomes.comparer is None
            else [outcomes.comparer.agreement(names) for names in candidates]
        )
        return cls(codes, slots, lengths, candidates, correct, outcomes.scores, agreement, grounds)

    def take(self, rows: NDArray[np.intp]) -> "RecordedVotes":
        """The votes on some of the queries."""
        return replace(
            self,
            codes=self.codes[rows],
            lengths=self.lengths[rows],
            candidates=[self.candidates[i] for i in rows],
            correct=self.correct[rows],
            scores=self.scores[rows],
            agreement=None if self.agreement is None else [self.agreement[i] for i in rows],
            grounds=None if self.grounds is None else self.grounds[rows],
        )

    def ballots(self, probabilities: NDArray[np.float64], latencies: NDArray[np.float64]) -> Ballots:
        """The ballots of all members, given P(correct) (n, K) and recorded latencies (K,)."""
        return Ballots(
            self.codes,
            self.slots,
            probabilities,
            latencies,
            self.lengths,
            self.candidates,
            agreement=self.agreement,
            grounds=self.grounds,
        )

    def candidate_scores(self, ballots: Ballots) -> NDArray[np.float64]:
        """Score of each candidate as a final answer, (n, n_candidates).

        1 or 0 against the reference; without one the mean recorded score of the called members that gave it.

        Args:
            ballots: The ballots of these queries by the called members.
        """
        given = ballots.summed(np.ones_like(self.scores))
        mean = ballots.summed(self.scores) / np.maximum(given, 1.0)
        graded = self.correct[:, : ballots.n_candidates]
        return np.where(np.isnan(graded), mean, graded)

    def replay(
        self,
        vote: VoteStrategy,
        mask: NDArray[np.bool_],
        probabilities: NDArray[np.float64],
        latencies: NDArray[np.float64],
    ) -> tuple[Verdict, NDArray[np.float64]]:
        """The vote of the called members and the score of its outcome.

        Args:
            vote: How ballots are scored.
            mask: Called members, (n, K); at least one a row.
            probabilities: P(correct) for vote and tie rule, (n, K).
            latencies: Recorded latencies, (K,), for the tie rule.

        Returns:
            The verdict, and the score of each final answer, (n,): that of the winning candidate; where all
            abstain, the score of the most probable called member.
        """
        ballots = self.ballots(probabilities, latencies).masked(mask)
        verdict = count_votes(vote, ballots)
        rows = np.arange(len(mask))
        score = self.candidate_scores(ballots)[rows, np.maximum(verdict.winners, 0)]
        most_probable = np.argmax(np.where(mask, probabilities, -np.inf), axis=1)
        return verdict, np.where(verdict.winners == ABSTAIN, self.scores[rows, most_probable], score)


def _grounds(outcomes: OutcomeTable, depth: int, candidates: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    n, n_members = outcomes.answers.shape
    most = max((len(names) for names in candidates), default=1) or 1
    grounds = np.zeros((n, n_members * depth, most, N_GROUNDS), dtype=np.float32)
    for i, names in enumerate(candidates):
        replies = [(*cell[:depth], *(None,) * (depth - len(cell[:depth]))) for cell in outcomes.replies[i]]
        reasons = [None if reply is None else read_reasoning(reply) for cell in replies for reply in cell]
        grounds[i, :, : len(names)] = grounding(outcomes.texts[i], reasons, names)
    return grounds
