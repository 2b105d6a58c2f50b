"""The learned vote of all queries, and votes of folds that had not seen the queries of their fold."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.ballots import CallMatrix
from langchain_selectllm.voting.evidence import tokens_pay
from langchain_selectllm.voting.learned_vote import LearnedReplay, LearnedVote
from langchain_selectllm.voting.recorded_votes import RecordedSamples, RecordedVotes
from langchain_selectllm.voting.vote_fitting import fit_vote


@dataclass(frozen=True, eq=False, kw_only=True)
class CrossFittedVotes:
    """A vote fitted on all queries, and one per fold fitted on the other folds."""

    final: LearnedVote
    by_fold: list[LearnedVote]
    folds: NDArray[np.int64]
    """Fold of each query, (n,)."""

    def replay(
        self,
        recorded: RecordedVotes,
        calls: CallMatrix,
        probabilities: NDArray[np.float64],
        latencies: NDArray[np.float64],
    ) -> LearnedReplay:
        """The final answers to n queries, each by the vote of its fold; see `RecordedVotes.replay`."""
        columns: dict[str, NDArray[np.float64]] = {
            field.name: np.empty(len(self.folds)) for field in fields(LearnedReplay)
        }
        for fold, vote in enumerate(self.by_fold):
            rows = np.flatnonzero(self.folds == fold)
            held_out = recorded.take(rows)
            replayed = held_out.replay_learned(vote, calls[rows], probabilities[rows], latencies)
            for name, column in columns.items():
                column[rows] = getattr(replayed, name)
        return LearnedReplay(**columns)


def cross_fit_votes(
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    base_rates: NDArray[np.float64],
    latencies: NDArray[np.float64],
    *,
    folds: NDArray[np.int64],
    seed: int,
    samples: RecordedSamples | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> CrossFittedVotes:
    """Votes with token probabilities where these pay on held-out queries, and without them elsewhere.

    Args:
        recorded: Votes on n fully observed queries.
        probabilities: P(correct) of heads that had not seen the query, (n, K).
        base_rates: Training accuracy of each member, (K,).
        latencies: Recorded latencies, (K,).
        folds: Fold of each query, (n,).
        seed: Seed of the subsets.
        samples: Several samples of every member; none when None.
        progress: Called with the share done.
    """
    n_folds = int(folds.max()) + 1
    votes = []
    for fold in range(n_folds + 1):
        # The last one is fitted on all queries: no query is in its fold.
        rows = np.flatnonzero(folds != fold)
        sampled = None if samples is None else samples.take(rows)
        vote = fit_vote(
            recorded.take(rows), probabilities[rows], base_rates, latencies, seed=seed, samples=sampled
        )
        votes.append(vote)
        progress((fold + 1) / (n_folds + 1))
    *by_fold, final = votes
    if final.without_tokens is None or tokens_pay(by_fold, folds, recorded, probabilities, seed=seed):
        return CrossFittedVotes(final=final, by_fold=by_fold, folds=folds)
    plain = [vote.without_tokens or vote for vote in by_fold]
    return CrossFittedVotes(final=final.without_tokens, by_fold=plain, folds=folds)
