"""Evidence on held-out training queries that token probabilities improve the learned vote."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.ballots import Ballots
from langchain_selectllm.voting.learned_vote import LearnedVote
from langchain_selectllm.voting.recorded_votes import RecordedVotes

ONE_SIDED_95 = 1.645
"""Quantile of the standard normal distribution: one-sided 95 %."""
_LEAST = 1e-6
"""Least probability that a logarithm is taken of. Set by hand, not searched."""


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
    return bool(gain.mean() > ONE_SIDED_95 * gain.std() / np.sqrt(len(gain)))


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
