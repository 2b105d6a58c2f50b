"""Evidence on held-out training queries that one way to answer is better than another."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.ballots import Ballots
from langchain_selectllm.voting.learned_vote import LearnedReplay, LearnedVote
from langchain_selectllm.voting.recorded_votes import RecordedVotes

ONE_SIDED_95 = 1.645
"""Quantile of the standard normal distribution: one-sided 95 %."""
_ONE_SIDED_90 = 1.282
"""Likewise: one-sided 90 %."""
_LEAST = 1e-6
"""Least probability that a logarithm is taken of. Set by hand, not searched."""


def mean_and_error(gain: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of a paired difference, and its standard error."""
    return float(gain.mean()), float(gain.std() / np.sqrt(len(gain)))


def evidence_of_gain(rival: LearnedReplay, single_best: LearnedReplay) -> str:
    """Gain of the rival's answers over those of the single best member, in words; empty without evidence.

    Expected accuracy has to be higher by a one-sided test at 95 %, and so has the share of right answers at
    90 %: confidence alone may favour rules that call more members. Chosen by eight random pools and five
    splits of RouterBench; see docs/explanation/research-log.md.
    """
    gain, error = mean_and_error(rival.expected - single_best.expected)
    more_right, its_error = mean_and_error(rival.score - single_best.score)
    if gain <= ONE_SIDED_95 * error or more_right <= _ONE_SIDED_90 * its_error:
        return ""
    gained = f"{100 * gain:.1f} +- {100 * ONE_SIDED_95 * error:.1f} points"
    return f"beats the single best member by {gained} on validation"


def tokens_pay(
    votes: Sequence[LearnedVote],
    folds: NDArray[np.int64],
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    *,
    seed: int,
) -> bool:
    """Whether votes with token probabilities have a lower log loss than those without, one-sided at 95 %.

    Args:
        votes: Vote per fold, fitted on the other folds, each with its version without token probabilities.
        folds: Fold of each query, (n,).
        recorded: Votes on n queries.
        probabilities: P(correct) of heads that had not seen the query, (n, K).
        seed: Seed of the sizes of the called subsets, the most probable members of each query.
    """
    n, n_members = probabilities.shape
    sizes = np.random.default_rng(seed).integers(1, n_members + 1, n)
    ranks = np.argsort(np.argsort(-probabilities, axis=1, kind="stable"), axis=1)
    ballots = recorded.ballots(probabilities, np.full(n_members, np.nan)).masked(ranks < sizes[:, None])
    right = recorded.candidate_scores(ballots)
    gains = []
    for fold, vote in enumerate(votes):
        if vote.without_tokens is None:
            return False
        rows = np.flatnonzero(folds == fold)
        held_out = ballots.take(rows)
        plain = _log_loss(vote.without_tokens, held_out, right[rows])
        gains.append(plain - _log_loss(vote, held_out, right[rows]))
    gain = np.concatenate(gains)
    mean, error = mean_and_error(gain)
    return mean > ONE_SIDED_95 * error


def _log_loss(vote: LearnedVote, ballots: Ballots, right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log loss of each query, (n,): of the right candidates, or of "none" where no candidate is right."""
    posterior = vote.posterior(ballots)
    graded = np.where(ballots.exists, right[:, : ballots.n_candidates], 0.0)
    total = graded.sum(axis=1)
    share = graded / np.maximum(total, 1.0)[:, None]
    none = 1.0 - np.minimum(total, 1.0)
    left = 1.0 - posterior.sum(axis=1)
    likelihood = (share * np.log(np.maximum(posterior, _LEAST))).sum(axis=1)
    loss: NDArray[np.float64] = -likelihood - none * np.log(np.maximum(left, _LEAST))
    return loss
