"""A vote learned from training outcomes: a posterior over the candidate answers and "none is right"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.ballots import ABSTAIN, Ballots
from langchain_selectllm.voting.candidate_features import CandidateFeatures, candidate_features
from langchain_selectllm.voting.token_calibration import TokenCalibration, TokenShifts
from langchain_selectllm.voting.token_signals import TokenSignals

_TOKENS, _WITHOUT_TOKENS = "tokens.", "without_tokens."
"""Prefixes of the names of saved arrays."""
_MAX_LENGTH = 2.5
"""Standard deviations of log reply length at most: 99 % of a normal distribution are within them. A bound
for prompts that change the length of every reply; not searched."""


@dataclass(frozen=True, eq=False)
class LearnedVote:
    """score(a) = log P(a is right | who gave it, how probable each member was, how many agree, …).

    A conditional logit (McFadden, 1974) over the candidates and one more alternative, "none of them": one set
    of weights for all subsets that may be called. Its softmax is a posterior, so that the winner has a
    calibrated confidence.
    """

    name: ClassVar[str] = "learned"

    answer_weights: NDArray[np.float64]
    """(n_features,), for raw features; see `candidate_features`."""
    none_weights: NDArray[np.float64]
    """(8,), for the alternative that no candidate is right."""
    length_mean: NDArray[np.float64]
    """Mean log length of each member's replies, (K,)."""
    length_scale: NDArray[np.float64]
    """Standard deviation of it, (K,)."""
    known_answers: tuple[str, ...]
    """Answers that recur across queries, such as the letters of a multiple choice; each has its own
    weight."""

    tokens: TokenCalibration | None = None
    """Calibration of token probabilities; None where the vote does not use them."""
    without_tokens: "LearnedVote | None" = None
    """The vote where no reply to a query brings calibrated token probabilities."""

    def score(self, ballots: Ballots) -> NDArray[np.float64]:
        """Log posterior of every candidate, (n, n_candidates)."""
        return np.log(np.maximum(self.posterior(ballots), 1e-300))

    def posterior(self, ballots: Ballots) -> NDArray[np.float64]:
        """P(right) of every candidate, (n, n_candidates), 0 without a ballot; rows sum to less than 1."""
        if self not in ballots.posteriors:
            ballots.posteriors[self] = self._with_tokens_where_sent(ballots)
        return ballots.posteriors[self]

    def _with_tokens_where_sent(self, ballots: Ballots) -> NDArray[np.float64]:
        share = self._posterior(ballots)
        if self.tokens is None or self.without_tokens is None:
            return share
        silent = np.flatnonzero(~self.uses_tokens(ballots).any(axis=1))
        if len(silent):
            other = self.without_tokens.posterior(ballots.take(silent))
            share[silent] = 0.0
            share[silent, : other.shape[1]] = other
        return share

    def uses_tokens(self, ballots: Ballots) -> NDArray[np.bool_]:
        """Ballots whose calibrated token probabilities count, (n, n_slots)."""
        if self.tokens is None or ballots.tokens is None:
            return np.zeros(ballots.codes.shape, dtype=np.bool_)
        return self.tokens.known(ballots.tokens, ballots.members) & (ballots.codes >= 0)

    def _posterior(self, ballots: Ballots) -> NDArray[np.float64]:
        features = self.features(ballots)
        logits = np.full((len(ballots.codes), ballots.n_candidates + 1), -np.inf)
        logits[features.query, features.candidate] = features.values @ self.answer_weights
        logits[:, -1] = features.none @ self.none_weights
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        share: NDArray[np.float64] = (shifted / shifted.sum(axis=1, keepdims=True))[:, :-1]
        return share

    def features(self, ballots: Ballots) -> CandidateFeatures:
        """Features of all candidates and of "none"."""
        mean, scale = self.length_mean[ballots.members], self.length_scale[ballots.members]
        lengths = (np.log1p(ballots.lengths) - mean) / scale
        known = _known(ballots.candidates, self.known_answers, ballots.n_candidates)
        # Bounded: a prompt that makes every reply short must not look like certainty.
        bounded = np.minimum(np.maximum(lengths, -_MAX_LENGTH), _MAX_LENGTH)
        bounded = np.where(np.isnan(bounded), 0.0, bounded)
        return candidate_features(ballots, bounded, known, self._shifts(ballots))

    def _shifts(self, ballots: Ballots) -> TokenShifts | None:
        """Shifts by token probabilities; None where the vote does not use them."""
        if self.tokens is None:
            return None
        signals = ballots.tokens
        if signals is None:
            n, n_slots = ballots.codes.shape
            signals = TokenSignals.empty(n=n, n_slots=n_slots, n_candidates=ballots.n_candidates)
        return self.tokens.shifts(signals, ballots.members, ballots.own_codes)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays to save."""
        arrays = {
            "answer_weights": self.answer_weights,
            "none_weights": self.none_weights,
            "length_mean": self.length_mean,
            "length_scale": self.length_scale,
        }
        if self.tokens is not None and self.without_tokens is not None:
            for name, array in self.tokens.arrays().items():
                arrays[_TOKENS + name] = array
            for name, array in self.without_tokens.arrays().items():
                arrays[_WITHOUT_TOKENS + name] = array
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], known_answers: Sequence[str]) -> "LearnedVote":
        """The vote of saved arrays."""
        tokens, without_tokens = _under(_TOKENS, arrays), _under(_WITHOUT_TOKENS, arrays)
        vote = cls(
            arrays["answer_weights"],
            arrays["none_weights"],
            arrays["length_mean"],
            arrays["length_scale"],
            tuple(known_answers),
        )
        if not tokens:
            return vote
        return replace(
            vote,
            tokens=TokenCalibration.from_arrays(tokens),
            without_tokens=cls.from_arrays(without_tokens, known_answers),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class LearnedReplay:
    """Final answers to n recorded queries by a learned vote."""

    score: NDArray[np.float64]
    """Score of each answer, (n,)."""
    confidence: NDArray[np.float64]
    """P(the answer is right), (n,)."""
    lead: NDArray[np.float64]
    """P(the answer is right, if it or the strongest other one is), (n,)."""

    @property
    def expected(self) -> NDArray[np.float64]:
        """Mean of score and confidence, (n,), which depends less on chance than the score alone."""
        return (self.score + self.confidence) / 2

    def where(self, stands: NDArray[np.bool_], other: "LearnedReplay") -> "LearnedReplay":
        """The same where the answer stands, (n,), and those of `other` elsewhere."""
        return LearnedReplay(
            score=np.where(stands, self.score, other.score),
            confidence=np.where(stands, self.confidence, other.confidence),
            lead=np.where(stands, self.lead, other.lead),
        )


def winning_confidence(posterior: NDArray[np.float64], winners: NDArray[np.int64]) -> NDArray[np.float64]:
    """P(the winning answer is right), (n,); 0 where every ballot abstains.

    Args:
        posterior: P(right) of every candidate, (n, n_candidates).
        winners: Code of each winning candidate, (n,).
    """
    confidence = posterior[np.arange(len(winners)), np.maximum(winners, 0)]
    return np.where(winners == ABSTAIN, 0.0, confidence)


def winning_lead(posterior: NDArray[np.float64], winners: NDArray[np.int64]) -> NDArray[np.float64]:
    """P(the winning answer is right, if it or the strongest other candidate is), (n,).

    1 without another candidate; 0 where every ballot abstains. Arguments as in `winning_confidence`.
    """
    confidence = winning_confidence(posterior, winners)
    others = posterior.copy()
    others[np.arange(len(winners)), np.maximum(winners, 0)] = 0.0
    either = confidence + others.max(axis=1)
    lead: NDArray[np.float64] = confidence / np.where(either > 0.0, either, 1.0)
    return lead


def most_replied(n_replies: int, n_outstanding: int) -> bool:
    """Whether more replies are in than outstanding: the first ones lead whatever the others say."""
    return n_replies > n_outstanding


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _known(
    candidates: Sequence[Sequence[str]], known: Sequence[str], n_candidates: int
) -> NDArray[np.float64]:
    places = {answer: i for i, answer in enumerate(known)}
    indicators = np.zeros((len(candidates), n_candidates, len(known)))
    for i, names in enumerate(candidates):
        for j, name in enumerate(names[:n_candidates]):
            if name in places:
                indicators[i, j, places[name]] = 1.0
    return indicators
