"""The fitted vote: how sure it is of one ballot, and how it grows with the pool."""

import numpy as np

from langchain_selectllm.voting.learned_vote import winning_confidence
from langchain_selectllm.voting.recorded_votes import RecordedVotes
from langchain_selectllm.voting.vote_fitting import fit_vote
from langchain_selectllm.voting.votes import count_votes

LETTERS = tuple("ABCD")


def simulated(n, n_members, seed):
    """Ballots of independent members over four letters, and the true P(correct) of each, (n, K)."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(0.0, 1.5, (n, 1)) + rng.normal(0.0, 0.7, (n, n_members))
    probabilities = 1 / (1 + np.exp(-log_odds))
    right = rng.random((n, n_members)) < probabilities
    gold = rng.integers(0, 4, n)
    wrong = (gold[:, None] + rng.integers(1, 4, (n, n_members))) % 4
    recorded = RecordedVotes(
        codes=np.where(right, gold[:, None], wrong),
        slots=np.arange(n_members),
        lengths=np.full((n, n_members), 40.0),
        candidates=[LETTERS] * n,
        correct=(np.arange(4) == gold[:, None]).astype(float),
        scores=right.astype(float),
    )
    return recorded, probabilities


def fitted(recorded, probabilities):
    n_members = probabilities.shape[1]
    return fit_vote(recorded, probabilities, probabilities.mean(axis=0), np.full(n_members, np.nan), seed=0)


def slope(x, y):
    return float(np.polyfit(x, y, 1)[0])


def test_the_confidence_in_one_ballot_follows_the_probability_of_its_member():
    vote = fitted(*simulated(400, 8, seed=0))
    recorded, p = simulated(2000, 8, seed=1)
    first = np.zeros(p.shape, dtype=np.bool_)
    first[np.arange(len(p)), p.argmax(axis=1)] = True
    ballots = recorded.ballots(p, np.full(8, np.nan)).masked(first)
    confidence = winning_confidence(vote.posterior(ballots), count_votes(vote, ballots).winners)
    best = p.max(axis=1)
    # One log-odds per log-odds; the weights that all members share are not shrunk to less.
    gained = slope(np.log(best / (1 - best)), np.log(confidence / (1 - confidence)))
    assert 0.85 < gained < 1.15


def test_the_number_of_weights_is_linear_in_the_number_of_members():
    counts = [len(fitted(*simulated(60, n_members, seed=0)).answer_weights) for n_members in (4, 8, 16)]
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0])
