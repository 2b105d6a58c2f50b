"""Ballots of recorded or live queries, as arrays of candidate codes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from langchain_selectllm.voting.token_signals import TokenSignals

ABSTAIN = -1
NOT_CALLED = -2

CallMatrix = NDArray[np.bool_] | NDArray[np.int64]
"""Whether each member is called for each query, or how many times, (n, K)."""


@dataclass(frozen=True, eq=False)
class Ballots:
    """Ballots of n queries, as codes of candidate answers.

    Slots stand in pool order, whatever the order of arrival. With one ballot per member, slot and member are
    the same.
    """

    codes: NDArray[np.int64]
    """Candidate of each ballot, (n, n_slots): 0, 1, … by first appearance, `ABSTAIN` or `NOT_CALLED`."""
    members: NDArray[np.intp]
    """Pool index of each slot's member, (n_slots,), ascending."""
    probabilities: NDArray[np.float64]
    """P(correct) of each member, (n, K)."""
    latencies: NDArray[np.float64]
    """Recorded `latency_s` of each member, (K,); NaN when unknown."""
    lengths: NDArray[np.float64]
    """Characters of the reply behind each ballot, (n, n_slots); NaN when unknown."""
    candidates: Sequence[Sequence[str]]
    """Candidate answers that the codes stand for, per query."""
    agreement: Sequence[NDArray[np.float64]] | None = None
    """Pairwise agreement of the candidates per query, see `medoids`; None where only equal strings agree."""
    grounds: NDArray[np.float32] | None = None
    """Grounding of each candidate in each reply, (n, n_slots, most candidates, 3); see `grounding`."""
    tokens: "TokenSignals | None" = None
    """Token log-probabilities of the replies; None where none are known."""
    ungrouped: NDArray[np.int64] | None = None
    """Codes before answers that agree were counted for their medoid; None where nothing was grouped."""

    @property
    def own_codes(self) -> NDArray[np.int64]:
        """Candidate that each ballot names itself, (n, n_slots), before answers that agree are grouped."""
        if self.ungrouped is None:
            return self.codes
        return self.ungrouped

    def code_of(self, answer: str) -> int:
        """Candidate that an answer to the first query is counted for."""
        own = list(self.candidates[0]).index(answer)
        return int(self.codes[0, self.own_codes[0] == own][0])

    @cached_property
    def n_candidates(self) -> int:
        """Candidates of the query that has most of them, at least 1."""
        return max(int(self.codes.max(initial=ABSTAIN)) + 1, 1)

    @cached_property
    def posteriors(self) -> dict[object, NDArray[np.float64]]:
        """What learned votes computed from these ballots, by vote: winner, confidence and lead need it."""
        return {}

    @cached_property
    def exists(self) -> NDArray[np.bool_]:
        """Candidates with at least one ballot, (n, n_candidates)."""
        return self._sum_by_candidate(np.ones(self.codes.shape)) > 0

    def summed(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of member weights (n, K) over the ballots of each candidate, (n, n_candidates)."""
        return self._sum_by_candidate(weights[:, self.members])

    def one_hot(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Candidate of each slot in the chosen rows, (n_chosen, n_slots, n_candidates)."""
        one_hot: NDArray[np.bool_] = self.codes[rows][:, :, None] == np.arange(self.n_candidates)
        return one_hot

    def _sum_by_candidate(self, by_slot: NDArray[np.float64]) -> NDArray[np.float64]:
        n = len(self.codes)
        has_answer = self.codes >= 0
        # Flat index of (query, candidate), so that one bincount sums all queries.
        cells = (self.codes + np.arange(n)[:, None] * self.n_candidates)[has_answer]
        sums = np.bincount(cells, weights=by_slot[has_answer], minlength=n * self.n_candidates)
        return sums.reshape(n, self.n_candidates).astype(np.float64)

    def take(self, rows: NDArray[np.intp]) -> "Ballots":
        """Ballots of some of the queries."""
        taken = replace(
            self,
            codes=self.codes[rows],
            probabilities=self.probabilities[rows],
            lengths=self.lengths[rows],
            candidates=[self.candidates[i] for i in rows],
        )
        if self.agreement is not None:
            taken = replace(taken, agreement=[self.agreement[i] for i in rows])
        if self.grounds is not None:
            taken = replace(taken, grounds=self.grounds[rows])
        if self.tokens is not None:
            taken = replace(taken, tokens=self.tokens.take(rows))
        if self.ungrouped is not None:
            taken = replace(taken, ungrouped=self.ungrouped[rows])
        return taken

    @cached_property
    def samples(self) -> NDArray[np.intp]:
        """Number of each slot among those of its member, from 0, (n_slots,)."""
        return np.arange(len(self.members)) - np.searchsorted(self.members, self.members)

    def masked(self, called: CallMatrix) -> "Ballots":
        """The same ballots without those that were not called for.

        Args:
            called: Whether each member is called, with all of its ballots, (n, K); or how many of its
                ballots are cast, the first ones first.
        """
        cast = called[:, self.members]
        if called.dtype != np.bool_:
            cast = cast > self.samples
        codes = np.where(cast, self.own_codes, NOT_CALLED)
        return replace(self, codes=codes, ungrouped=None).grouped()

    def grouped(self) -> "Ballots":
        """The ballots counted for the medoids of answers that agree; only the ballots cast form groups."""
        if self.agreement is None:
            return self
        # By number, not by probability: the same replies form the same groups under every vote.
        counts = self._sum_by_candidate(np.ones(self.codes.shape))
        codes = self.codes.copy()
        for row, agreement, count in zip(codes, self.agreement, counts, strict=True):
            n = min(len(agreement), len(count))
            has_answer = row >= 0
            if has_answer.any():
                row[has_answer] = medoids(agreement[:n, :n], count[:n])[row[has_answer]]
        return replace(self, codes=codes, ungrouped=self.codes)


def make_ballots(
    *,
    slots: Sequence[int],
    answers: Sequence[str | None],
    probabilities: NDArray[np.float64],
    latencies: NDArray[np.float64] | None = None,
    lengths: Sequence[float] | None = None,
    agreement: Callable[[Sequence[str]], NDArray[np.float64]] | None = None,
    grounds: Callable[[Sequence[str]], NDArray[np.float64]] | None = None,
    tokens: "Callable[[Sequence[str]], TokenSignals | None] | None" = None,
) -> Ballots:
    """Builds the ballots of one query, in pool order whatever the order of arrival.

    Args:
        slots: Pool index of each ballot's member.
        answers: Answer of each ballot; None = abstain.
        probabilities: P(correct) of each member, (K,).
        latencies: Recorded `latency_s` of each member, (K,); unknown when None.
        lengths: Characters of the reply behind each ballot; unknown when None.
        agreement: Pairwise agreement of candidates, as `ComparesAnswers.agreement`.
        grounds: Grounding of candidates in the replies, in pool order, as `grounding`.
        tokens: Token log-probabilities of the replies, in pool order, given the candidates.
    """
    order = sorted(range(len(slots)), key=slots.__getitem__)
    ordered_slots = [slots[i] for i in order]
    codes, candidates = encode_answers([answers[i] for i in order])
    ordered_lengths = np.full((1, len(order)), np.nan)
    if lengths is not None:
        ordered_lengths[0] = np.asarray(lengths, dtype=np.float64)[order]
    if latencies is None:
        latencies = np.full(len(probabilities), np.nan)
    ballots = Ballots(
        codes=codes[None, :],
        members=np.array(ordered_slots, dtype=np.intp),
        probabilities=np.asarray(probabilities, dtype=np.float64)[None, :],
        latencies=latencies,
        lengths=ordered_lengths,
        candidates=[candidates],
        agreement=None if agreement is None else [agreement(candidates)],
        grounds=None if grounds is None else grounds(candidates)[None].astype(np.float32),
        tokens=None if tokens is None else tokens(candidates),
    )
    return ballots.grouped()


def encode_answers(answers: Sequence[str | None]) -> tuple[NDArray[np.int64], list[str]]:
    """Codes of answers, and the candidates they stand for in order of first appearance.

    Args:
        answers: Answers in slot order; None = abstain.
    """
    candidates: dict[str, int] = {}
    codes = [ABSTAIN] * len(answers)
    for slot, answer in enumerate(answers):
        if answer is not None:
            codes[slot] = candidates.setdefault(answer, len(candidates))
    return np.array(codes, dtype=np.int64), list(candidates)


def medoids(agreement: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Candidate that stands for each candidate, (n,).

    The candidate with most agreement (the sum of its agreement with every candidate times that one's ballots;
    the first of several) becomes a medoid and takes all that agree with it; the rest is grouped the same way.
    An answer is never drawn into a group by way of a third one.

    Args:
        agreement: Pairwise agreement of candidates, (n, n) in [0, 1]; 0 = different answers.
        counts: Ballots of each candidate, (n,); candidates without one are left out.
    """
    stands_for = np.arange(len(counts))
    left = counts > 0
    while left.any():
        mass = np.where(left, agreement @ np.where(left, counts, 0.0), -np.inf)
        # Equal sums in another order differ in their last bits.
        medoid = int(np.argmax(np.round(mass, 12)))
        group = left & ((agreement[medoid] > 0) | (np.arange(len(counts)) == medoid))
        stands_for[group] = medoid
        left &= ~group
    return stands_for
