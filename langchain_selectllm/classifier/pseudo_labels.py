"""Labels without references: agreement with the pool's own vote."""

from dataclasses import replace

import numpy as np

from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.outcomes.table import AGREEMENT
from langchain_selectllm.voting.recorded_votes import RecordedVotes
from langchain_selectllm.voting.votes import MajorityVote


def label_from_agreement(outcomes: OutcomeTable) -> OutcomeTable:
    """The table labelled by agreement with the vote of the pool, for queries without references.

    The voted answer stands in for the reference, whether there was one or not. A query whose vote is tied, or
    on which everybody abstains, is unobserved: nothing says who is right. What is trained on such a table is
    marked in its artefact and card, because the pool cannot be better than its own vote by these labels.

    Args:
        outcomes: Outcomes with replies.

    Raises:
        OutcomeError: If there are no replies, or no query has a vote that is decided.
    """
    if not outcomes.has_replies:
        raise OutcomeError("These outcomes hold no replies to compare. Collect replies, or give references.")
    votes = RecordedVotes.from_outcomes(outcomes, pooled=True)
    n_members = len(outcomes.members)
    ballots = votes.ballots(np.full((len(outcomes), n_members), 0.5), np.full(n_members, np.nan)).grouped()
    counts = np.where(ballots.exists, MajorityVote().score(ballots), 0.0)
    most = counts.max(axis=1, keepdims=True)
    decided = ((counts == most).sum(axis=1) == 1) & (most[:, 0] > 0)
    if not decided.any():
        raise OutcomeError(
            "The vote is tied on every query, or nobody answers; there is nothing to agree with."
        )
    winners = np.argmax(counts, axis=1)
    voted = tuple(
        names[winner] if is_decided else None
        for names, winner, is_decided in zip(votes.candidates, winners, decided, strict=True)
    )
    scores, labels = np.full(outcomes.scores.shape, np.nan), np.full(outcomes.labels.shape, np.nan)
    for i, answer in enumerate(voted):
        for k, answers in enumerate(outcomes.answers[i]):
            if answer is not None and answers:
                labels[i, k], scores[i, k] = outcomes.grade(answers, answer)
    return replace(outcomes, references=voted, scores=scores, labels=labels, labels_from=AGREEMENT)
