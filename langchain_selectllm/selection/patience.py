"""Patience: the confidence from which the members yet to reply are not waited for, tuned in training."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.operating_points import Patience
from langchain_selectllm.selection.policies import top
from langchain_selectllm.voting.learned_vote import LearnedVote, winning_confidence
from langchain_selectllm.voting.recorded_votes import RecordedVotes

_LEVELS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99)
_MOST_LOSS = 0.003
"""Accuracy that may be lost: the requirement that stragglers cost at most 0.3 points; not searched."""
_ONE_SIDED_95 = 1.645
_SIZES = (2, 3, 5, 8)
"""Sizes of the called sets that the level is tuned on, as far as the pool goes; not searched."""


def tune_patience(
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    latencies: NDArray[np.float64],
    votes: Sequence[LearnedVote],
    folds: NDArray[np.int64],
    *,
    seed: int,
) -> Patience | None:
    """The lowest level whose loss is at most 0.3 points; None where no level keeps that.

    The most probable members of each query reply in a random order, and the vote ends at the first ballot
    that lifts the confidence to the level. A loss is half in accuracy and half in confidence, which depends
    less on chance. Both its mean for every set size and the upper bound of its mean over all sizes have to be
    within 0.3 points.

    Args:
        recorded: Votes on n queries.
        probabilities: P(correct) of heads that had not seen the query, (n, K).
        latencies: Recorded latencies, (K,), for the tie rule.
        votes: Learned vote per fold, fitted on the other folds.
        folds: Fold of each query, (n,).
        seed: Seed of the order of arrival.
    """
    n_members = probabilities.shape[1]
    rng = np.random.default_rng(seed)
    losses = []
    for size in _SIZES:
        if size > n_members:
            break
        arrivals = _arrivals(top(probabilities, size), rng)
        expected, confidence = _by_arrival(recorded, probabilities, latencies, votes, folds, arrivals)
        losses.append([expected[-1] - stopped(expected, confidence, level) for level in _LEVELS])
    if not losses:
        return None
    by_size = np.array(losses)
    pooled = by_size.mean(axis=0)
    limits = pooled.mean(axis=1) + _ONE_SIDED_95 * pooled.std(axis=1) / np.sqrt(pooled.shape[1])
    worst = by_size.mean(axis=2).max(axis=0)
    for level, loss, limit in zip(_LEVELS, worst.tolist(), limits.tolist(), strict=True):
        if max(loss, limit) <= _MOST_LOSS:
            return Patience(level=level, loss=loss, limit=limit)
    return None


def stopped(
    values: NDArray[np.float64], confidence: NDArray[np.float64], level: float
) -> NDArray[np.float64]:
    """The value of each query when its vote ends, (n,).

    Args:
        values: Value after each arrival, (size, n).
        confidence: Confidence after each arrival, (size, n).
        level: Confidence that ends the vote.
    """
    ends = confidence >= level
    ends[-1] = True
    first = np.argmax(ends, axis=0)
    ended: NDArray[np.float64] = values[first, np.arange(values.shape[1])]
    return ended


def _arrivals(called: NDArray[np.bool_], rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Members that have replied after one arrival, after two, and so on, (n, K) each; in random order."""
    order = np.where(called, rng.random(called.shape), np.inf)
    ranks = np.argsort(np.argsort(order, axis=1), axis=1)
    return [ranks <= arrived for arrived in range(int(called[0].sum()))]


def _by_arrival(
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    latencies: NDArray[np.float64],
    votes: Sequence[LearnedVote],
    folds: NDArray[np.int64],
    arrivals: Sequence[NDArray[np.bool_]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of score and confidence, and confidence, after each arrival, (size, n) each."""
    expected, confidence = np.zeros((2, len(arrivals), len(probabilities)))
    for fold, vote in enumerate(votes):
        rows = np.flatnonzero(folds == fold)
        held_out, p = recorded.take(rows), probabilities[rows]
        for i, arrived in enumerate(arrivals):
            verdict, score = held_out.replay(vote, arrived[rows], p, latencies)
            ballots = held_out.ballots(p, latencies).masked(arrived[rows])
            confidence[i, rows] = winning_confidence(vote, ballots, verdict)
            expected[i, rows] = (score + confidence[i, rows]) / 2
    return expected, confidence
