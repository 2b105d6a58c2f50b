"""One system replayed on recorded queries: what it answered, whom it called, what that took."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.evaluation.judge_replies import RecordedJudge
from langchain_selectllm.evaluation.trace import Trace, substitute
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.selection.one_round_policies import RandomK
from langchain_selectllm.selection.policies import Policy, Selection
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.voting.ballots import CallMatrix
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
    """Calls of members, (n,)."""
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

    @cached_property
    def samples(self) -> RecordedVotes:
        """The ballots of all recorded samples, of which selections with several calls cast the first ones."""
        return RecordedVotes.from_outcomes(self.outcomes, pooled=True)

    def votes_of(self, calls: CallMatrix) -> RecordedVotes:
        """The ballots that calls per member are replayed on: those of all samples where some are repeated."""
        if calls.dtype == np.bool_:
            return self.votes
        return self.samples

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
        calls = rounds[0]
        for further in rounds[1:]:
            calls = calls + further
        verdict, score = self.vote_on(selection, calls)
        return Trace(selection=selection, rounds=rounds, verdict=verdict, score=score)

    def replay_trace(self, name: str, trace: Trace) -> Replay:
        """The accuracy, cost and latency of traced calls."""
        calls = trace.calls
        reads_query = trace.selection.probabilities is self.probabilities
        decision_s = self.decision_s if reads_query else 0.0
        replay = self._replay(name, trace.score, calls, rounds=trace.rounds, decision_s=decision_s)
        # An answer that a judge chose has no calibrated confidence, as in serving.
        if self.pool.vote is None or isinstance(self.vote, RecordedJudge):
            return replace(replay, trace=trace)
        return replace(replay, trace=trace, confidence=self._confidence(calls, trace.verdict))

    def _rounds(self, selection: Selection, unavailable: NDArray[np.bool_]) -> list[CallMatrix]:
        """The calls of each round, (n, K).

        Raises:
            PolicyError: If a member is called more often than it was sampled.
        """
        nobody = np.zeros(selection.mask.shape, dtype=np.bool_)
        rounds = [substitute(selection.calls, nobody, unavailable, self.probabilities)]
        self._check_samples(rounds[0])
        further = selection.further
        if further is None:
            return rounds
        vote = self.vote or selection.vote
        if isinstance(vote, RecordedJudge):
            # As in serving, the judge is called once, after all rounds.
            vote = vote.otherwise
        first = self.votes_of(rounds[0]).replay(vote, rounds[0], selection.probabilities, self.pool.latencies)
        confidence = self._confidence(rounds[0], first[0])
        unsure = (confidence < further.threshold)[:, None]
        added = np.where(unsure, further.added, further.added.dtype.type(0))
        if not further.repeats:
            added &= rounds[0] == 0
        self._check_samples(rounds[0] + added)
        rounds.append(substitute(added, rounds[0], unavailable, self.probabilities))
        return rounds

    def _check_samples(self, calls: CallMatrix) -> None:
        most = int(calls.max(initial=0))
        if calls.dtype != np.bool_ and most > self.outcomes.n_samples:
            recorded = self.outcomes.n_samples
            raise PolicyError(
                f"{most} calls of one member cannot be replayed: {recorded} samples per member and "
                f"query were recorded. Use {recorded} at most, or collect more samples."
            )

    def vote_on(self, selection: Selection, calls: CallMatrix) -> tuple[Verdict, NDArray[np.float64]]:
        """Winners and scores of the recorded replies of these calls, by the parser's vote or the policy's."""
        vote, votes = self.vote or selection.vote, self.votes_of(calls)
        return votes.replay(vote, calls, selection.probabilities, self.pool.latencies)

    def _confidence(self, calls: CallMatrix, verdict: Verdict) -> NDArray[np.float64]:
        if self.pool.vote is None:
            raise PolicyError(
                "A second round needs a learned vote, which is missing here. Fit on outcomes with replies."
            )
        ballots = self.votes_of(calls).ballots(self.probabilities, self.pool.latencies).masked(calls)
        return winning_confidence(self.pool.vote.posterior(ballots), verdict.winners)

    def _replay(
        self,
        name: str,
        score: NDArray[np.float64],
        calls: CallMatrix,
        *,
        decision_s: float,
        rounds: Sequence[CallMatrix] | None = None,
    ) -> Replay:
        spent = self.pool.call_costs(self.outcomes)
        # Rounds follow one another: a user waits for the slowest member of each.
        waits = [spent.slowest(called) for called in rounds or [calls]]
        return Replay(
            name=name,
            score=score,
            calls=calls.sum(axis=1).astype(np.float64),
            cost_usd=spent.cost(calls),
            latency_parallel_s=np.sum(waits, axis=0) + decision_s,
            latency_total_s=spent.total(calls) + decision_s,
        )


def _mean_replay(name: str, replays: list[Replay]) -> Replay:
    fields = ("score", "calls", "cost_usd", "latency_parallel_s", "latency_total_s")
    return Replay(
        name, **{field: np.mean([getattr(replay, field) for replay in replays], axis=0) for field in fields}
    )
