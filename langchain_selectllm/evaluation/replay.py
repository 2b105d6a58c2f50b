"""One system replayed on recorded queries: what it answered, whom it called, what that took."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.evaluation.trace import Trace, substitute
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.selection.policies import Policy, RandomK, Selection
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.voting.learned_vote import winning_confidence
from langchain_selectllm.voting.recorded_votes import RecordedVotes
from langchain_selectllm.voting.votes import MajorityVote, Verdict, VoteStrategy

_RANDOM_SEEDS = 10


@dataclass(frozen=True, eq=False)
class Replay:
    """What one system did on n queries; means over seeds for a random one."""

    name: str
    score: NDArray[np.float64]
    """Score of the final answer, (n,) in [0, 1]."""
    calls: NDArray[np.float64]
    """Members called, (n,)."""
    cost_usd: NDArray[np.float64]
    """(n,); NaN where not recorded."""
    latency_parallel_s: NDArray[np.float64]
    """Slowest called member, (n,); NaN where not recorded."""
    latency_total_s: NDArray[np.float64]
    """Sum over called members, (n,); NaN where not recorded."""
    confidence: NDArray[np.float64] | None = None
    """Calibrated P(the final answer is right), (n,); None where nothing was learned to tell it."""
    trace: Trace | None = None
    """Calls and votes query by query; None for the oracle and for means over seeds."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Fully observed recorded queries with everything a replay needs."""

    outcomes: OutcomeTable
    votes: RecordedVotes
    pool: PoolStatistics
    probabilities: NDArray[np.float64]
    """P(correct) of the classifier, (n, K)."""
    decision_s: float
    """Seconds that the classifier takes for one query; part of the latency of systems that look at the
    query."""

    vote: VoteStrategy | None = None
    """Vote in place of the policies' own; theirs when None."""

    @classmethod
    def of(
        cls,
        outcomes: OutcomeTable,
        classifier: SelectLLMClassifier,
        *,
        decision_s: float = 0.0,
        pooled: bool = False,
    ) -> "Recording":
        """The recording of fully observed outcomes, as a classifier sees them."""
        votes = RecordedVotes.from_outcomes(outcomes, pooled=pooled)
        return cls(outcomes, votes, classifier.pool, classifier.predict_proba(outcomes.texts), decision_s)

    @property
    def can_vote(self) -> bool:
        """Whether there are replies to vote on."""
        return self.outcomes.has_replies

    def member_scores(self) -> NDArray[np.float64]:
        """Score of each member's own answer, (n, K)."""
        columns = []
        for k in range(len(self.pool.members)):
            mask = np.zeros(self.probabilities.shape, dtype=np.bool_)
            mask[:, k] = True
            columns.append(
                self.votes.replay(MajorityVote(), mask, self.probabilities, self.pool.latencies)[1]
            )
        return np.stack(columns, axis=1)

    def replay_oracle(self, name: str) -> Replay:
        """Right when any member is right; it calls the cheapest right member alone, else the cheapest one."""
        score = self.member_scores()
        costs = np.nan_to_num(self.pool.call_costs(self.outcomes).costs, nan=np.inf)
        best = score == score.max(axis=1, keepdims=True)
        chosen = np.argmin(np.where(best, costs, np.inf), axis=1)
        chosen = np.where(
            np.isfinite(np.where(best, costs, np.inf)).any(axis=1), chosen, np.argmax(best, axis=1)
        )
        mask = np.zeros(score.shape, dtype=np.bool_)
        mask[np.arange(len(mask)), chosen] = True
        return self._replay(name, score.max(axis=1), mask, decision_s=0.0)

    def replay_policy(self, name: str, policy: Policy) -> Replay:
        """The policy with its own vote; a random one is averaged over ten seeds."""
        if isinstance(policy, RandomK):
            seeds = [
                RandomK(policy.size, seed=policy.seed + i, vote=policy.vote) for i in range(_RANDOM_SEEDS)
            ]
            return _mean_replay(name, [self._replay_once(name, seeded) for seeded in seeds])
        return self._replay_once(name, policy)

    def _replay_once(self, name: str, policy: Policy) -> Replay:
        return self.replay_trace(name, self.trace(policy))

    def trace(self, policy: Policy, *, unavailable: NDArray[np.bool_] | None = None) -> Trace:
        """Calls and votes of the policy.

        Args:
            policy: The policy; a random one draws once.
            unavailable: Members that cannot be called, (K,), each replaced as a failed member is in serving;
                all members
                are available when None.
        """
        selection = policy.select(self.probabilities, self.pool)
        nobody = np.zeros(len(self.pool.members), dtype=np.bool_)
        rounds = tuple(self._rounds(selection, nobody if unavailable is None else unavailable))
        verdict, score = self._vote(selection, np.any(rounds, axis=0))
        return Trace(selection=selection, rounds=rounds, verdict=verdict, score=score)

    def replay_trace(self, name: str, trace: Trace) -> Replay:
        """The accuracy, cost and latency of traced calls."""
        mask = trace.mask
        reads_query = trace.selection.probabilities is self.probabilities
        decision_s = self.decision_s if reads_query else 0.0
        replay = self._replay(name, trace.score, mask, rounds=trace.rounds, decision_s=decision_s)
        if self.pool.vote is None:
            return replace(replay, trace=trace)
        return replace(replay, trace=trace, confidence=self._confidence(mask, trace.verdict))

    def _rounds(self, selection: Selection, unavailable: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
        """The members that each round calls, (n, K)."""
        nobody = np.zeros(selection.mask.shape, dtype=np.bool_)
        rounds = [substitute(selection.mask, nobody, unavailable, self.probabilities)]
        further = selection.further
        if further is None:
            return rounds
        confidence = self._confidence(rounds[0], self._vote(selection, rounds[0])[0])
        added = further.added & ~rounds[0] & (confidence < further.threshold)[:, None]
        rounds.append(substitute(added, rounds[0], unavailable, self.probabilities))
        return rounds

    def _vote(self, selection: Selection, mask: NDArray[np.bool_]) -> tuple[Verdict, NDArray[np.float64]]:
        vote = self.vote or selection.vote
        return self.votes.replay(vote, mask, selection.probabilities, self.pool.latencies)

    def _confidence(self, mask: NDArray[np.bool_], verdict: Verdict) -> NDArray[np.float64]:
        if self.pool.vote is None:
            raise PolicyError(
                "A second round needs a learned vote, which is missing here. Fit on outcomes with replies."
            )
        ballots = self.votes.ballots(self.probabilities, self.pool.latencies).masked(mask)
        return winning_confidence(self.pool.vote, ballots, verdict)

    def _replay(
        self,
        name: str,
        score: NDArray[np.float64],
        mask: NDArray[np.bool_],
        *,
        decision_s: float,
        rounds: Sequence[NDArray[np.bool_]] | None = None,
    ) -> Replay:
        spent = self.pool.call_costs(self.outcomes)
        # Rounds follow one another: a user waits for the slowest member of each.
        waits = [spent.slowest(called) for called in rounds or [mask]]
        return Replay(
            name=name,
            score=score,
            calls=mask.sum(axis=1).astype(np.float64),
            cost_usd=spent.cost(mask),
            latency_parallel_s=np.sum(waits, axis=0) + decision_s,
            latency_total_s=np.where(mask, spent.latencies, 0.0).sum(axis=1) + decision_s,
        )


def _mean_replay(name: str, replays: list[Replay]) -> Replay:
    fields = ("score", "calls", "cost_usd", "latency_parallel_s", "latency_total_s")
    return Replay(
        name, **{field: np.mean([getattr(replay, field) for replay in replays], axis=0) for field in fields}
    )
