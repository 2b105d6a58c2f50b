"""Vote strategies and the count of a vote, shared by serving and evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.voting.ballots import ABSTAIN, Ballots

PROBABILITY_MARGIN = 1e-4
"""Distance of a probability from 0 and 1 at least, so that its log-odds are within 9.2. A numerical bound
that calibrated probabilities hardly reach; not searched."""
_DECIMALS = 12
"""Decimals of a score that decide. Sums of the same weights in another order differ in their last bits; a tie
must not be decided by them."""


@runtime_checkable
class VoteStrategy(Protocol):
    """A score for every candidate answer; the highest wins."""

    name: ClassVar[str]

    def score(self, ballots: Ballots) -> NDArray[np.float64]:
        """Score of every candidate, (n, n_candidates); entries without a ballot are ignored."""
        ...


class AdditiveVote(VoteStrategy, Protocol):
    """A vote whose scores are sums of non-negative member weights, so that it can be settled early."""

    def weights(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weight of each member's ballot, (n, K), from P(correct), (n, K)."""
        ...


@dataclass(frozen=True)
class MajorityVote:
    """One ballot, one vote: score(a) = number of ballots for a (MaxConf and LabelledMaxConf in SelectLLM)."""

    name: ClassVar[str] = "majority"

    def weights(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ones, (n, K)."""
        return np.ones_like(probabilities)

    def score(self, ballots: Ballots) -> NDArray[np.float64]:
        """Number of ballots of every candidate, (n, n_candidates)."""
        return ballots.summed(self.weights(ballots.probabilities))


@dataclass(frozen=True)
class WeightedVote:
    """A ballot weighs its member's probability: score(a) = sum of c_m over its ballots (WeightedMaxConf)."""

    name: ClassVar[str] = "weighted"

    def weights(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probabilities themselves, (n, K)."""
        return probabilities

    def score(self, ballots: Ballots) -> NDArray[np.float64]:
        """Summed probability of every candidate, (n, n_candidates)."""
        return ballots.summed(ballots.probabilities)


@dataclass(frozen=True)
class LogOddsVote:
    """A ballot weighs log(c (A - 1) / (1 - c)), never less than 0.

    The optimal weights of Nitzan and Paroush (1982) when members err independently and a wrong answer is one
    of A - 1 equally likely ones. A member no better than a guess weighs nothing.
    """

    name: ClassVar[str] = "log_odds"
    n_options: int = 10
    """A, the number of possible answers; larger for open questions than for questions with few options."""

    def weights(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-odds of each member against a guess, (n, K)."""
        p = np.clip(probabilities, PROBABILITY_MARGIN, 1 - PROBABILITY_MARGIN)
        return np.maximum(np.log(p * (self.n_options - 1) / (1 - p)), 0.0)

    def score(self, ballots: Ballots) -> NDArray[np.float64]:
        """Summed log-odds of every candidate, (n, n_candidates)."""
        return ballots.summed(self.weights(ballots.probabilities))


_VOTES: dict[str, Callable[[], VoteStrategy]] = {
    "majority": MajorityVote,
    "weighted": WeightedVote,
    "log_odds": LogOddsVote,
}


def get_vote(vote: str | VoteStrategy) -> VoteStrategy:
    """Vote of a name; a strategy is returned as it is.

    Raises:
        PolicyError: If the name is unknown.
    """
    if not isinstance(vote, str):
        return vote
    if vote not in _VOTES:
        raise PolicyError(f"Vote {vote!r} is unknown. Use one of {', '.join(_VOTES)}, or a VoteStrategy.")
    return _VOTES[vote]()


@dataclass(frozen=True, eq=False)
class Verdict:
    """Result of a vote over n queries."""

    winners: NDArray[np.int64]
    """Code of the winning candidate, (n,); `ABSTAIN` where every ballot abstains."""
    scores: NDArray[np.float64]
    """Score of every candidate, (n, n_candidates); -inf where it got no ballot."""
    tied: NDArray[np.bool_]
    """Queries whose best score is shared, so that the tie rule decides, (n,)."""


def count_votes(vote: VoteStrategy, ballots: Ballots) -> Verdict:
    """Winner of each query.

    Ties go to the larger summed probability, then the lower recorded latency of the fastest member, then pool
    order: never to the order of arrival, never to chance.
    """
    exists = ballots.exists
    scores = np.where(exists, np.round(vote.score(ballots), _DECIMALS), -np.inf)
    best = exists & (scores == scores.max(axis=1, keepdims=True))
    tied = best.sum(axis=1) > 1
    if tied.any():
        best[tied] = _break_ties(best[tied], ballots, tied)
    winners = np.where(exists.any(axis=1), np.argmax(best, axis=1), ABSTAIN)
    return Verdict(winners, scores, tied)


def _break_ties(best: NDArray[np.bool_], ballots: Ballots, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One of the best candidates of each tied row, (n_tied, n_candidates)."""
    one_hot = ballots.one_hot(rows)
    best = _keep_max(best, np.round(ballots.summed(ballots.probabilities), _DECIMALS)[rows])
    latency = np.nan_to_num(ballots.latencies[ballots.members], nan=np.inf)
    best = _keep_max(best, -np.where(one_hot, latency[None, :, None], np.inf).min(axis=1))
    # The first slot of each candidate, since argmax takes the first of equal values.
    return _keep_max(best, -np.argmax(one_hot, axis=1).astype(np.float64))


def _keep_max(best: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.bool_]:
    kept = np.where(best, values, -np.inf)
    is_max: NDArray[np.bool_] = kept == kept.max(axis=1, keepdims=True)
    return best & is_max


class RunningScores:
    """Scores of one query under an additive vote, updated per ballot, so that it can end before all replies.

    The weights are those that `count_votes` sums. No other vote is settled while ballots are outstanding.
    """

    def __init__(self, vote: VoteStrategy, probabilities: NDArray[np.float64]) -> None:
        """Start without ballots.

        Args:
            vote: The vote; only one with `weights` can be settled early.
            probabilities: P(correct) of each member, (K,).
        """
        self._weights: list[float] | None = None
        weights = getattr(vote, "weights", None)
        if weights is not None:
            self._weights = weights(np.asarray(probabilities)[None, :])[0].tolist()
        self._scores: dict[str, float] = {}

    def add(self, member: int, answer: str | None) -> None:
        """Count a member's ballot; None = abstain."""
        if self._weights is not None and answer is not None:
            self._scores[answer] = self._scores.get(answer, 0.0) + self._weights[member]

    def is_settled(self, outstanding: Sequence[int]) -> bool:
        """Whether no reply of the outstanding members can change the winner.

        Args:
            outstanding: Pool indices of the members yet to reply, one entry per ballot.
        """
        if self._weights is None or not outstanding:
            return not outstanding
        if not self._scores:
            return False
        swing = 0.0
        for member in outstanding:
            swing += self._weights[member]
        # An answer that no member gave yet starts from 0; strict, because a tie would go to the tie rule.
        *_, runner_up, leader = sorted([0.0, 0.0, *self._scores.values()])
        return round(leader, _DECIMALS) - round(runner_up, _DECIMALS) > swing + 10.0**-_DECIMALS
