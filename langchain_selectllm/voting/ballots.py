"""Who answered what: the ballots of a vote."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.medoids import medoids

ABSTAIN = -1
NOT_CALLED = -2


@dataclass(frozen=True, eq=False)
class Ballots:
    """Ballots of n queries, as codes of candidate answers.

    Slots stand in pool order, whatever the order of arrival. With one ballot a member, slot and member are the same.
    """

    codes: NDArray[np.int64]
    """Candidate of each ballot, (n, n_slots): 0, 1, … in order of first appearance, `ABSTAIN` or `NOT_CALLED`."""
    members: NDArray[np.intp]
    """Pool index of each slot's member, (n_slots,), ascending."""
    probabilities: NDArray[np.float64]
    """P(correct) of each member, (n, K)."""
    latencies: NDArray[np.float64]
    """Recorded `latency_s` of each member, (K,); NaN when unknown."""
    lengths: NDArray[np.float64]
    """Characters of the reply behind each ballot, (n, n_slots); NaN when unknown."""
    candidates: Sequence[Sequence[str]]
    """The candidate answers that the codes stand for, of each query."""
    agreement: Sequence[NDArray[np.float64]] | None = None
    """How much each two candidates of a query say the same; None where only equal strings do. See `medoids`."""
    grounds: NDArray[np.float32] | None = None
    """How far reasoning arrives at each candidate, (n, n_slots, most candidates, 3); None when unknown. See `grounding`."""
    given: NDArray[np.int64] | None = None
    """The codes before answers that agree were counted for their medoid; None where that has not happened."""

    @cached_property
    def n_candidates(self) -> int:
        """Number of candidates of the query that has most, at least 1."""
        return max(int(self.codes.max(initial=ABSTAIN)) + 1, 1)

    @cached_property
    def exists(self) -> NDArray[np.bool_]:
        """Which candidates got a ballot, (n, n_candidates)."""
        return self._count(np.ones(self.codes.shape)) > 0

    def summed(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of member weights (n, K) over the ballots of each candidate, (n, n_candidates)."""
        return self._count(weights[:, self.members])

    def one_hot(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which slot voted for which candidate in the chosen rows, (n_chosen, n_slots, n_candidates)."""
        one_hot: NDArray[np.bool_] = self.codes[rows][:, :, None] == np.arange(self.n_candidates)
        return one_hot

    def _count(self, by_slot: NDArray[np.float64]) -> NDArray[np.float64]:
        n = len(self.codes)
        cast = self.codes >= 0
        cells = (self.codes + np.arange(n)[:, None] * self.n_candidates)[cast]
        counted = np.bincount(cells, weights=by_slot[cast], minlength=n * self.n_candidates)
        return counted.reshape(n, self.n_candidates).astype(np.float64)

    def take(self, rows: NDArray[np.intp]) -> "Ballots":
        """The ballots of some of the queries."""
        return replace(
            self,
            codes=self.codes[rows],
            probabilities=self.probabilities[rows],
            lengths=self.lengths[rows],
            candidates=[self.candidates[i] for i in rows],
            agreement=None if self.agreement is None else [self.agreement[i] for i in rows],
            grounds=None if self.grounds is None else self.grounds[rows],
            given=None if self.given is None else self.given[rows],
        )

    def masked(self, called: NDArray[np.bool_]) -> "Ballots":
        """The same ballots with the members outside `called` (n, K) not called."""
        given = self.codes if self.given is None else self.given
        return replace(self, codes=np.where(called[:, self.members], given, NOT_CALLED), given=None).grouped()

    def grouped(self) -> "Ballots":
        """The ballots counted for the medoids of answers that agree; groups depend on the ballots cast, and on no other."""
        if self.agreement is None:
            return self
        # By number, not by probability: the same replies are grouped alike whatever a vote weighs them with.
        counts = self._count(np.ones(self.codes.shape))
        codes = self.codes.copy()
        for row, agreement, count in zip(codes, self.agreement, counts, strict=True):
            n = min(len(agreement), len(count))
            if (row >= 0).any():
                row[row >= 0] = medoids(agreement[:n, :n], count[:n])[row[row >= 0]]
        return replace(self, codes=codes, given=self.codes)


def cast(
    *,
    slots: Sequence[int],
    answers: Sequence[str | None],
    probabilities: NDArray[np.float64],
    latencies: NDArray[np.float64] | None = None,
    lengths: Sequence[float] | None = None,
    agreement: Callable[[Sequence[str]], NDArray[np.float64]] | None = None,
    grounds: Callable[[Sequence[int], Sequence[str]], NDArray[np.float64]] | None = None,
) -> Ballots:
    """The ballots of one query, in pool order whatever the order of arrival.

    Args:
        slots: Pool index of each ballot's member.
        answers: Answer of each ballot; None = abstain.
        probabilities: P(correct) of each member, (K,).
        latencies: Recorded `latency_s` of each member, (K,); unknown when None.
        lengths: Characters of the reply behind each ballot; unknown when None.
        agreement: How much each two candidates say the same, as `ComparesAnswers.agreement`.
        grounds: How far the reasoning behind the ballots of given members arrives at given candidates, as `grounding`.
    """
    order = sorted(range(len(slots)), key=lambda i: slots[i])
    codes, candidates = encode_answers([answers[i] for i in order])
    return Ballots(
        codes=codes[None, :],
        members=np.array([slots[i] for i in order], dtype=np.intp),
        probabilities=np.asarray(probabilities, dtype=np.float64)[None, :],
        latencies=np.full(len(probabilities), np.nan) if latencies is None else latencies,
        lengths=np.array([[np.nan if lengths is None else lengths[i] for i in order]], dtype=np.float64),
        candidates=[candidates],
        agreement=None if agreement is None else [agreement(candidates)],
        grounds=None
        if grounds is None
        else grounds([slots[i] for i in order], candidates)[None].astype(np.float32),
    ).grouped()


def encode_answers(answers: Sequence[str | None]) -> tuple[NDArray[np.int64], list[str]]:
    """Codes of answers and the candidates they stand for, in order of first appearance.

    Args:
        answers: Answers in slot order; None = abstain.
    """
    candidates: dict[str, int] = {}
    codes = [ABSTAIN if a is None else candidates.setdefault(a, len(candidates)) for a in answers]
    return np.array(codes, dtype=np.int64), list(candidates)
