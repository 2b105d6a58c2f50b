"""Self-consistency: several samples of the single best member, voting by majority (Wang et al., 2023)."""

from dataclasses import replace

import numpy as np

from langchain_selectllm.evaluation.replay import Recording, Replay
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.voting.recorded_votes import RecordedVotes
from langchain_selectllm.voting.votes import MajorityVote

NAME = "self_consistency"


def replay_self_consistency(recording: Recording, size: int) -> Replay | None:
    """The majority of up to `size` samples of the single best member; None if fewer than two were recorded.

    Cost is that of one recorded call times the samples. The recorded latency of a call is a mean over its
    samples, so that the latency of parallel samples is a lower bound.

    Args:
        recording: The replayed queries.
        size: Samples per query at most, at least 2.
    """
    best = recording.pool.single_best
    outcomes = recording.outcomes.subset((recording.pool.members[best],))
    size = min(size, _fewest_samples(outcomes))
    if size < 2:
        return None
    votes = RecordedVotes.from_outcomes(_first_samples(outcomes, size), pooled=True, grounded=False)
    spent = recording.pool.call_costs(recording.outcomes)
    everybody = np.ones((len(outcomes), 1), dtype=np.bool_)
    probabilities = recording.probabilities[:, [best]]
    score = votes.replay(MajorityVote(), everybody, probabilities, recording.pool.latencies[[best]])[1]
    return Replay(
        name=f"{NAME}:{size}",
        score=score,
        calls=np.full(len(outcomes), float(size)),
        cost_usd=size * spent.costs[:, best],
        latency_parallel_s=spent.latencies[:, best],
        latency_total_s=size * spent.latencies[:, best],
    )


def _fewest_samples(outcomes: OutcomeTable) -> int:
    return min(map(len, outcomes.answers[:, 0]))


def _first_samples(outcomes: OutcomeTable, size: int) -> OutcomeTable:
    answers, replies = outcomes.answers.copy(), outcomes.replies.copy()
    for i in range(len(outcomes)):
        answers[i, 0] = outcomes.answers[i, 0][:size]
        replies[i, 0] = outcomes.replies[i, 0][:size]
    return replace(outcomes, answers=answers, replies=replies)
