"""Recorded replies as ballots: the look-up that stands for fan-out when outcomes are replayed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.voting.ballots import ABSTAIN, NOT_CALLED, Ballots, CallMatrix, encode_answers
from langchain_selectllm.voting.grounding import N_GROUNDS, Reasoning, grounding, read_reasoning
from langchain_selectllm.voting.learned_vote import (
    LearnedReplay,
    LearnedVote,
    winning_confidence,
    winning_lead,
)
from langchain_selectllm.voting.token_signals import TokenSignals
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
    tokens: TokenSignals | None = None
    """Token log-probabilities of the replies; None where none were recorded."""

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
            grounded: Whether the replies' reasoning and token log-probabilities are read; only the learned
                vote uses them.
        """
        layout = _Slots.of(outcomes, pooled=pooled)
        codes, candidates = _encode(outcomes, layout)
        grounds = tokens = None
        if grounded:
            grounds = _grounds(outcomes, layout, candidates)
            tokens = _tokens(outcomes, layout, candidates)
        agreement = None
        if outcomes.comparer is not None:
            agreement = [outcomes.comparer.agreement(names) for names in candidates]
        return cls(
            codes=codes,
            slots=layout.members,
            lengths=_lengths(outcomes, layout),
            candidates=candidates,
            correct=_matches(outcomes, candidates),
            scores=outcomes.scores,
            agreement=agreement,
            grounds=grounds,
            tokens=tokens,
        )

    def take(self, rows: NDArray[np.intp]) -> "RecordedVotes":
        """The votes on some of the queries."""
        taken = replace(
            self,
            codes=self.codes[rows],
            lengths=self.lengths[rows],
            candidates=[self.candidates[i] for i in rows],
            correct=self.correct[rows],
            scores=self.scores[rows],
        )
        if self.agreement is not None:
            taken = replace(taken, agreement=[self.agreement[i] for i in rows])
        if self.grounds is not None:
            taken = replace(taken, grounds=self.grounds[rows])
        if self.tokens is not None:
            taken = replace(taken, tokens=self.tokens.take(rows))
        return taken

    def ballots(self, probabilities: NDArray[np.float64], latencies: NDArray[np.float64]) -> Ballots:
        """The ballots of all members, given P(correct) (n, K) and recorded latencies (K,)."""
        return Ballots(
            codes=self.codes,
            members=self.slots,
            probabilities=probabilities,
            latencies=latencies,
            lengths=self.lengths,
            candidates=self.candidates,
            agreement=self.agreement,
            grounds=self.grounds,
            tokens=self.tokens,
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
        mask: CallMatrix,
        probabilities: NDArray[np.float64],
        latencies: NDArray[np.float64],
    ) -> tuple[Verdict, NDArray[np.float64]]:
        """The vote of the called members and the score of its outcome.

        Args:
            vote: How ballots are scored.
            mask: Called members, or calls of each member, (n, K), as `Ballots.masked`; at least one a row.
            probabilities: P(correct) for vote and tie rule, (n, K).
            latencies: Recorded latencies, (K,), for the tie rule.

        Returns:
            The verdict, and the score of each final answer, (n,): that of the winning candidate; where all
            abstain, 0, or the score of the most probable called member where there is no reference.
        """
        ballots = self.ballots(probabilities, latencies).masked(mask)
        verdict = count_votes(vote, ballots)
        return verdict, self._scores_of(verdict, ballots, mask)

    def replay_learned(
        self,
        vote: LearnedVote,
        mask: CallMatrix,
        probabilities: NDArray[np.float64],
        latencies: NDArray[np.float64],
    ) -> LearnedReplay:
        """The final answers by a learned vote; see `replay`."""
        ballots = self.ballots(probabilities, latencies).masked(mask)
        verdict = count_votes(vote, ballots)
        # Kept with the ballots since the count.
        posterior = vote.posterior(ballots)
        return LearnedReplay(
            score=self._scores_of(verdict, ballots, mask),
            confidence=winning_confidence(posterior, verdict.winners),
            lead=winning_lead(posterior, verdict.winners),
        )

    def _scores_of(self, verdict: Verdict, ballots: Ballots, mask: CallMatrix) -> NDArray[np.float64]:
        """Score of each final answer, (n,), as `replay` returns it."""
        rows = np.arange(len(mask))
        score = self.candidate_scores(ballots)[rows, np.maximum(verdict.winners, 0)]
        most_probable = np.argmax(np.where(mask, ballots.probabilities, -np.inf), axis=1)
        has_reference = ~np.isnan(self.correct[:, 0])
        unread = np.where(has_reference, 0.0, self.scores[rows, most_probable])
        return np.where(verdict.winners == ABSTAIN, unread, score)


@dataclass(frozen=True, eq=False, kw_only=True)
class RecordedSamples:
    """The ballots of several samples of every member."""

    votes: RecordedVotes
    """One slot per sample."""
    n_samples: int
    """Samples that every member has for every query, at least 2."""

    @classmethod
    def from_outcomes(cls, outcomes: OutcomeTable) -> "RecordedSamples | None":
        """The ballots of all samples; None where some member was sampled only once for some query."""
        if outcomes.n_samples < 2:
            return None
        votes = RecordedVotes.from_outcomes(outcomes, pooled=True)
        return cls(votes=votes, n_samples=outcomes.n_samples)

    def take(self, rows: NDArray[np.intp]) -> "RecordedSamples":
        """The ballots on some of the queries."""
        return replace(self, votes=self.votes.take(rows))


@dataclass(frozen=True, kw_only=True)
class _Slots:
    """Layout of the recorded ballots: the slots of a member stand side by side, one per sample."""

    n_members: int
    depth: int
    """Slots per member."""

    @classmethod
    def of(cls, outcomes: OutcomeTable, *, pooled: bool) -> "_Slots":
        """As many slots per member as it has samples at most, or one each."""
        depth = 1
        if pooled:
            depth = max(1, max(map(len, outcomes.answers.ravel()), default=1))
        return cls(n_members=outcomes.answers.shape[1], depth=depth)

    @property
    def n_slots(self) -> int:
        """Slots of all members."""
        return self.n_members * self.depth

    @property
    def members(self) -> NDArray[np.intp]:
        """Pool index of each slot's member, (n_slots,)."""
        return np.repeat(np.arange(self.n_members), self.depth)

    def slot_of(self, member: int, sample: int) -> int:
        """Slot of one sample of a member."""
        return member * self.depth + sample


def _encode(outcomes: OutcomeTable, layout: _Slots) -> tuple[NDArray[np.int64], list[list[str]]]:
    """Codes of the recorded ballots, (n, n_slots), and the candidates of each query."""
    codes = np.full((len(outcomes), layout.n_slots), NOT_CALLED, dtype=np.int64)
    candidates = []
    for i, row in enumerate(outcomes.answers):
        slots: list[int] = []
        answers: list[str | None] = []
        for member, cell in enumerate(row):
            # A member without a recorded reply abstains.
            for sample, answer in enumerate(cell[: layout.depth] or (None,)):
                slots.append(layout.slot_of(member, sample))
                answers.append(answer)
        codes[i, slots], names = encode_answers(answers)
        candidates.append(names)
    return codes, candidates


def _lengths(outcomes: OutcomeTable, layout: _Slots) -> NDArray[np.float64]:
    """Characters of the reply behind each ballot, (n, n_slots); NaN without a reply."""
    lengths = np.full((len(outcomes), layout.n_slots), np.nan)
    for i, row in enumerate(outcomes.replies):
        for member, cell in enumerate(row):
            for sample, reply in enumerate(cell[: layout.depth]):
                lengths[i, layout.slot_of(member, sample)] = len(reply)
    return lengths


def _matches(outcomes: OutcomeTable, candidates: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Whether each candidate equals the reference, (n, n_candidates); NaN without a reference."""
    correct = np.full((len(outcomes), _most(candidates)), np.nan)
    for i, (names, gold) in enumerate(zip(candidates, outcomes.references, strict=True)):
        if gold is not None:
            correct[i, : len(names)] = outcomes.matches(names, gold)
    return correct


def _grounds(
    outcomes: OutcomeTable, layout: _Slots, candidates: Sequence[Sequence[str]]
) -> NDArray[np.float32]:
    """Grounding of each candidate in each reply, (n, n_slots, n_candidates, 3)."""
    grounds = np.zeros((len(outcomes), layout.n_slots, _most(candidates), N_GROUNDS), dtype=np.float32)
    for i, names in enumerate(candidates):
        reasons: list[Reasoning | None] = [None] * layout.n_slots
        for member, cell in enumerate(outcomes.replies[i]):
            for sample, reply in enumerate(cell[: layout.depth]):
                reasons[layout.slot_of(member, sample)] = read_reasoning(reply)
        grounds[i, :, : len(names)] = grounding(outcomes.texts[i], reasons, names)
    return grounds


def _tokens(
    outcomes: OutcomeTable, layout: _Slots, candidates: Sequence[Sequence[str]]
) -> TokenSignals | None:
    """Token log-probabilities of the replies; None where none were recorded."""
    signals = TokenSignals.empty(n=len(outcomes), n_slots=layout.n_slots, n_candidates=_most(candidates))
    for (i, member), cell in np.ndenumerate(outcomes.token_probabilities):
        answers = outcomes.answers[i, member][: layout.depth]
        # A table may keep fewer answers than were recorded.
        for sample, (answer, figures) in enumerate(zip(answers, cell, strict=False)):
            if figures is not None:
                signals.fill(i, layout.slot_of(member, sample), figures, answer, candidates[i])
    if not signals.known.any():
        return None
    return signals


def _most(candidates: Sequence[Sequence[str]]) -> int:
    """Candidates of the query that has most of them, at least 1."""
    return max(1, max(map(len, candidates), default=1))
