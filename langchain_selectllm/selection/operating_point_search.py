"""Calling rules replayed on training queries, by votes and probabilities that had not seen these queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.adaptive import added_calls, planned_calls
from langchain_selectllm.selection.operating_points import UNITS, CallingRule, OperatingPoint, Ranking
from langchain_selectllm.selection.pool_statistics import CallCosts, PoolStatistics
from langchain_selectllm.voting.ballots import CallMatrix
from langchain_selectllm.voting.learned_vote import LearnedVote
from langchain_selectllm.voting.recorded_votes import RecordedSamples, RecordedVotes

_BUDGET_QUANTILE = 2.326
"""Quantile of the standard normal distribution, one-sided 99 %, for budgets: with 95 % the mean calls were
up to S + 0.02 on splits 5 to 9 of MMLU-Pro (seven members) and on ZeroEval: the best of many points within a
budget is often a lucky one."""
_SHARES = np.arange(1, 100) / 100
"""Shares of the queries for which a second round is tried: steps of 1 %, finer than the margin of budgets on
up to 6,000 queries; not searched."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ReplayedCalls:
    """Calls of a set of members per query, and the vote over their replies, for n queries."""

    calls: CallMatrix
    """Called members, or calls of each, (n, K)."""
    score: NDArray[np.float64]
    """Score of the final answer, (n,) in [0, 1]."""
    confidence: NDArray[np.float64]
    """Out-of-fold P(the final answer is right), (n,); the score itself where no vote was learned."""
    used: NDArray[np.float64]
    """Calls, US dollars and seconds of each query, (units, n); NaN where unknown."""

    @property
    def expected(self) -> NDArray[np.float64]:
        """Mean of score and confidence, (n,): the best of many rules had luck in its score alone."""
        return (self.score + self.confidence) / 2


@dataclass(frozen=True, eq=False, kw_only=True)
class ReplayedPoint(OperatingPoint):
    """An operating point with the replays of its two rounds."""

    first: ReplayedCalls
    both: ReplayedCalls
    """Calls of both rounds for every query; those of the first round where there is one round."""

    def score(self) -> NDArray[np.float64]:
        """Score of the final answers, (n,)."""
        return np.where(self.first.confidence < self.rule.threshold, self.both.score, self.first.score)

    def expected(self) -> NDArray[np.float64]:
        """Mean of score and confidence of the final answers, (n,)."""
        return np.where(self.first.confidence < self.rule.threshold, self.both.expected, self.first.expected)

    def without_replays(self) -> OperatingPoint:
        """The operating point alone, as it is saved."""
        return OperatingPoint(**{field.name: getattr(self, field.name) for field in fields(OperatingPoint)})


@dataclass(frozen=True, eq=False, kw_only=True)
class OperatingPointSearch:
    """Replays of calling rules on n recorded queries."""

    recorded: RecordedVotes
    probabilities: NDArray[np.float64]
    """P(correct) of heads that had not seen the query, (n, K)."""
    costs: CallCosts
    pool: PoolStatistics
    folds: NDArray[np.int64]
    """Fold of each query, (n,)."""
    votes: Sequence[LearnedVote]
    """The vote per fold, fitted on the other folds; empty where no vote was learned: one member is called."""
    samples: RecordedSamples | None = None
    """Several samples of every member; None where members are called once at most."""

    def points(self, ranking: Ranking, cost_weight: float = 0.0) -> Iterator[ReplayedPoint]:
        """Every size of one ranking in one round, and pairs of sizes in two."""
        rule = CallingRule(ranking=ranking, cost_weight=cost_weight, first=1, size=1)
        replays = {size: self._replay(rule, size) for size in self._sizes(ranking)}
        for first, before in replays.items():
            yield one_round(replace(rule, first=first, size=first), before)
            for size, after in replays.items():
                # A larger fixed set need not contain a smaller one.
                if size > first and (after.calls >= before.calls).all():
                    both = self._after(before, after)
                    yield from two_rounds(replace(rule, first=first, size=size), before, both)

    def served(self, point: ReplayedPoint) -> OperatingPoint:
        """The operating point for the vote of all queries, which serves: it sends the same share on.

        Votes of folds have another confidence in the same replies, by up to 0.02 in the mean; see
        docs/explanation/research-log.md.
        """
        served = point.without_replays()
        vote = self.pool.vote
        if point.rule.rounds == 1 or vote is None:
            return served
        n_further = int((point.first.confidence < point.rule.threshold).sum())
        replayed = self._votes_of(point.rule).replay_learned(
            vote, point.first.calls, self.probabilities, self.pool.latencies
        )
        # Rounded down: none beyond this share goes on.
        threshold = float(np.floor(np.sort(replayed.confidence)[n_further] * 1e4) / 1e4)
        return replace(served, rule=replace(point.rule, threshold=threshold))

    def _sizes(self, ranking: Ranking) -> list[int]:
        """All sizes of a usual pool; the small and some larger ones of a large pool, to bound the search."""
        n_members = self.probabilities.shape[1]
        if ranking == "samples":
            return list(range(1, self.samples.n_samples + 1)) if self.samples and self.votes else []
        if not self.votes:
            return [1]
        sizes = {*range(1, min(n_members, 8) + 1), *range(8, n_members, 4), n_members}
        if ranking == "fixed":
            sizes &= set(self.pool.fixed_sets)
        return sorted(sizes)

    def _after(self, first: ReplayedCalls, both: ReplayedCalls) -> ReplayedCalls:
        """Calls of both rounds; rounds follow one another, so that their latencies add up."""
        used = both.used.copy()
        used[-1] = first.used[-1] + self.costs.slowest(added_calls(both.calls, first.calls))
        return replace(both, used=used)

    def _replay(self, rule: CallingRule, size: int) -> ReplayedCalls:
        calls = planned_calls(rule, size, self.probabilities, self.pool)
        votes = self._votes_of(rule)
        score = np.where(calls > 0, votes.scores, 0.0).sum(axis=1)
        confidence = score.copy()
        for fold, vote in enumerate(self.votes):
            rows = np.flatnonzero(self.folds == fold)
            replayed = votes.take(rows).replay_learned(
                vote, calls[rows], self.probabilities[rows], self.pool.latencies
            )
            score[rows], confidence[rows] = replayed.score, replayed.confidence
        return ReplayedCalls(
            calls=calls, score=score, confidence=confidence, used=self.costs.per_query(calls)
        )

    def _votes_of(self, rule: CallingRule) -> RecordedVotes:
        """Replies that a rule's calls give."""
        if rule.ranking == "samples" and self.samples is not None:
            return self.samples.votes
        return self.recorded


def one_round(rule: CallingRule, calls: ReplayedCalls) -> ReplayedPoint:
    """The operating point of a rule with one round of calls."""
    used = dict(zip(UNITS, calls.used.mean(axis=1).tolist(), strict=True))
    accuracy = float(calls.expected.mean())
    return ReplayedPoint(rule=rule, first=calls, both=calls, accuracy=accuracy, **used)


def two_rounds(rule: CallingRule, first: ReplayedCalls, both: ReplayedCalls) -> Iterator[ReplayedPoint]:
    """Operating points with a second round, one per threshold on the confidence after the first one."""
    n = len(first.score)
    start = one_round(rule, first)
    order = np.argsort(first.confidence, kind="stable")
    ascending = first.confidence[order]
    # A cumulative sum in ascending confidence holds the totals of all thresholds.
    added = np.vstack([both.expected - first.expected, both.used - first.used])[:, order].cumsum(axis=1) / n
    # Rounded for the artefact: four digits separate more queries than a training set has.
    for threshold in np.unique(np.round(ascending[(n * _SHARES).astype(int)], 4)).tolist():
        m = int(np.searchsorted(ascending, threshold))
        if 0 < m < n:
            # The share of queries with a second round is known with the standard error of a proportion.
            margin = _BUDGET_QUANTILE * float(np.sqrt((1 - m / n) / m))
            gain, calls, cost_usd, latency_s = added[:, m - 1].tolist()
            yield replace(
                start,
                rule=replace(rule, threshold=threshold),
                both=both,
                accuracy=start.accuracy + gain,
                calls=start.calls + calls * (1 + margin),
                cost_usd=start.cost_usd + cost_usd * (1 + margin),
                latency_s=start.latency_s + latency_s * (1 + margin),
            )
