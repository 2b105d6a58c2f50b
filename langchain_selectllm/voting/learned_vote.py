"""A vote learned from training outcomes: a posterior over the candidate answers, and that none of them is right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.ballots import ABSTAIN, NOT_CALLED, Ballots
from langchain_selectllm.voting.grounding import N_GROUNDS
from langchain_selectllm.voting.votes import Verdict

_CLIP = 1e-4
_MAX_LENGTH = 2.5


@dataclass(frozen=True, eq=False)
class LearnedVote:
    """score(a) = log P(a is right | who gave it, how probable each member was, which pairs agree, …).

    A conditional logit (McFadden, 1974) over the candidates and one more alternative, "none of them": one set of weights
    for whatever subset was called. Its softmax is a posterior, so that the winner comes with a calibrated confidence.
    """

    name: ClassVar[str] = "learned"

    answer_weights: NDArray[np.float64]
    """(n_features,), for raw features; see `candidate_features`."""
    none_weights: NDArray[np.float64]
    """(N_NONE,), for the alternative that no candidate is right."""
    length_mean: NDArray[np.float64]
    """Mean log length of each member's replies, (K,)."""
    length_scale: NDArray[np.float64]
    """Standard deviation of it, (K,)."""
    known_answers: tuple[str, ...]
    """Answers that recur across queries, such as the letters of a multiple choice; each has a weight of its own."""

    def score(self, ballots: Ballots) -> NDArray[np.float64]:
        """Log posterior of every candidate, (n, n_candidates)."""
        return np.log(np.maximum(self.posterior(ballots), 1e-300))

    def posterior(self, ballots: Ballots) -> NDArray[np.float64]:
        """P(right) of every candidate, (n, n_candidates), 0 where it got no ballot; rows sum to less than 1."""
        features, rows, columns, none = self.features(ballots)
        logits = np.full((len(ballots.codes), ballots.n_candidates + 1), -np.inf)
        logits[rows, columns] = features @ self.answer_weights
        logits[:, -1] = none @ self.none_weights
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        share: NDArray[np.float64] = (shifted / shifted.sum(axis=1, keepdims=True))[:, :-1]
        return share

    def features(
        self, ballots: Ballots
    ) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Features of all candidates with their rows and columns, and features of "none"; see `candidate_features`."""
        lengths = (np.log1p(ballots.lengths) - self.length_mean[ballots.members]) / self.length_scale[
            ballots.members
        ]
        known = _known(ballots.candidates, self.known_answers, ballots.n_candidates)
        # Bounded: a prompt that makes every reply short must not look like certainty.
        return candidate_features(ballots, np.clip(np.nan_to_num(lengths), -_MAX_LENGTH, _MAX_LENGTH), known)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays to save."""
        return {
            "answer_weights": self.answer_weights,
            "none_weights": self.none_weights,
            "length_mean": self.length_mean,
            "length_scale": self.length_scale,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], known_answers: Sequence[str]) -> "LearnedVote":
        """The vote of saved arrays."""
        return cls(
            arrays["answer_weights"],
            arrays["none_weights"],
            arrays["length_mean"],
            arrays["length_scale"],
            tuple(known_answers),
        )


def winning_confidence(vote: LearnedVote, ballots: Ballots, verdict: Verdict) -> NDArray[np.float64]:
    """P(the winning answer is right), (n,); 0 where every ballot abstains."""
    rows = np.arange(len(verdict.winners))
    posterior = vote.posterior(ballots)[rows, np.maximum(verdict.winners, 0)]
    return np.where(verdict.winners == ABSTAIN, 0.0, posterior)


def candidate_features(
    ballots: Ballots, lengths: NDArray[np.float64], known: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """What a candidate is scored by.

    With g_m the share of member m's ballots that went to the candidate, z_m the log-odds of m's probability and Z their
    mean over the called members, a candidate has for every m: g_m, g_m z_m, g_m Z, g_m times the standardised log length
    of the reply, and whether m gave another answer; for every pair m < l: g_m g_l; the sum, mean and maximum of z over its
    supporters, log of its number of supporters, whether it has only one, their share; one indicator for each known answer;
    how far the reasoning of its supporters (in the mean) and of the other called members (in the sum) arrives at it, by
    each figure of `grounding`. "None" has 1, Z, the maximum of z, and, relative to the number of
    called members, the number of candidates, the most supporters of one candidate and the abstentions; log of the number of
    called members and the number itself.

    Args:
        ballots: Ballots of n queries.
        lengths: Standardised log length of the reply behind each ballot, (n, n_slots).
        known: Indicators of known answers, (n, n_candidates, n_known).

    Returns:
        Features (n_rows, n_features), their queries and candidates (n_rows,) each, and features of "none" (n, 8).
    """
    n, n_members = ballots.probabilities.shape
    p = np.clip(ballots.probabilities, _CLIP, 1 - _CLIP)
    z = np.log(p) - np.log1p(-p)
    one_hot = ballots.one_hot(np.ones(n, dtype=np.bool_))
    to_member = (ballots.members[:, None] == np.arange(n_members)).astype(np.float64)
    cast_by = (ballots.codes != NOT_CALLED).astype(np.float64) @ to_member
    called = cast_by > 0
    n_called = np.maximum(called.sum(axis=1), 1)
    rows, columns = np.nonzero(ballots.exists)
    slots_gave = one_hot[rows, :, columns].astype(np.float64)
    share = np.maximum(cast_by, 1)[rows]
    gave = slots_gave @ to_member / share
    long = (slots_gave * lengths[rows]) @ to_member / share
    abstained = ((ballots.codes == ABSTAIN).astype(np.float64) @ to_member) / np.maximum(cast_by, 1)
    other = np.where(called[rows], 1.0 - gave - abstained[rows], 0.0)
    z_mean = np.where(called, z, 0.0).sum(axis=1) / n_called
    supporters = gave.sum(axis=1)
    z_sum = (gave * z[rows]).sum(axis=1)
    z_max = np.where(gave > 0, z[rows], -10.0).max(axis=1)
    first, second = np.triu_indices(n_members, 1)
    features = np.hstack(
        [
            gave,
            gave * z[rows],
            gave * z_mean[rows, None],
            long,
            other,
            gave[:, first] * gave[:, second],
            np.stack([z_sum, z_sum / supporters, z_max, np.log(supporters)], axis=1),
            np.stack([supporters <= 1, supporters / n_called[rows]], axis=1),
            known[rows, columns],
            _grounding(ballots, slots_gave, rows, columns),
        ]
    )
    most = np.zeros(n)
    np.maximum.at(most, rows, supporters)
    relative = np.stack([ballots.exists.sum(axis=1), most, abstained.sum(axis=1)], axis=1) / n_called[:, None]
    z_best = np.where(called, z, -10.0).max(axis=1)
    none = np.column_stack([np.ones(n), z_mean, z_best, relative, np.log(n_called), n_called])
    return features, rows, columns, none


def _grounding(
    ballots: Ballots, slots_gave: NDArray[np.float64], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Grounding of each candidate in its supporters' reasoning (mean) and in that of the others (sum), (n_rows, 6)."""
    if ballots.grounds is None:
        return np.zeros((len(rows), 2 * N_GROUNDS))
    grounds = ballots.grounds[rows, :, columns].astype(np.float64)
    cast = (ballots.codes != NOT_CALLED).astype(np.float64)
    per_member = np.array([(ballots.members == member).sum() for member in ballots.members])
    own = np.einsum("rs,rsg->rg", slots_gave, grounds) / slots_gave.sum(axis=1, keepdims=True)
    others = np.einsum("rs,rsg->rg", (cast[rows] - slots_gave) / per_member, grounds)
    return np.hstack([own, others])


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
