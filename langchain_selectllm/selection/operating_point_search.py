"""Calling rules replayed on training queries, by votes and probabilities that had not seen these queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.adaptive import select_best
from langchain_selectllm.selection.operating_points import (
    MAX_ROUNDS,
    SINGLE_BEST,
    UNITS,
    CallingRule,
    OperatingBudget,
    OperatingPoint,
    Ranking,
    ranked,
)
from langchain_selectllm.selection.pool_statistics import CallCosts, PoolStatistics, added_calls
from langchain_selectllm.voting.ballots import CallMatrix
from langchain_selectllm.voting.cross_fitting import CrossFittedVotes
from langchain_selectllm.voting.evidence import evidence_of_gain
from langchain_selectllm.voting.learned_vote import LearnedReplay
from langchain_selectllm.voting.recorded_votes import RecordedSamples, RecordedVotes

_BUDGET_QUANTILE = 2.326
"""Quantile of the standard normal distribution, one-sided 99 %, for budgets: with 95 % the mean calls were
up to S + 0.02 on splits 5 to 9 of MMLU-Pro (seven members) and on ZeroEval: the best of many points within a
budget is often a lucky one."""
_SHARES = np.arange(1, 100) / 100
"""Shares of the queries for which a second round is tried: steps of 1 %, finer than the margin of budgets on
up to 6,000 queries; not searched."""
_COST_WEIGHTS = (0.0, 0.02, 0.06, 0.2, 0.5, 1.0, 1.3, 1.6, 2.0)
"""From no weight to one by which the cheapest member is called; see docs/explanation/research-log.md."""
_STEPS = 30
"""Budgets of cost and of latency, from the cheapest rule to the dearest one. Bounds the size of an artefact;
not searched."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ReplayedCalls:
    """One round of calls, and the vote over the replies, for n queries."""

    calls: CallMatrix
    """Called members, or calls of each, (n, K)."""
    used: NDArray[np.float64]
    """Calls, US dollars and seconds of each query, (units, n); NaN where unknown."""
    answers: LearnedReplay
    """The final answers by votes of folds, which choose the rule."""
    served: NDArray[np.float64]
    """Confidences by the vote of all queries, which serves, ascending, (n,)."""

    def further(self, threshold: float) -> NDArray[np.bool_]:
        """Queries with a second round, (n,): as many as by the vote that serves, the least sure ones.

        Votes of folds have another confidence in the same replies, by up to 0.02 in the mean; see
        docs/explanation/research-log.md.
        """
        ranks = np.argsort(np.argsort(self.answers.confidence, kind="stable"))
        return np.asarray(ranks < np.searchsorted(self.served, threshold))


@dataclass(frozen=True, eq=False, kw_only=True)
class OperatingPointSearch:
    """Replays of calling rules on n fully observed training queries."""

    recorded: RecordedVotes
    probabilities: NDArray[np.float64]
    """P(correct) of heads that had not seen the query, (n, K)."""
    costs: CallCosts
    pool: PoolStatistics
    votes: CrossFittedVotes | None = None
    """None where no vote was learned: one member is called."""
    samples: RecordedSamples | None = None
    """Several samples of every member; None where members are called once at most."""
    _replays: dict[tuple[Ranking, float, int], ReplayedCalls] = field(default_factory=dict, init=False)

    def best_points(self) -> Iterator[OperatingPoint]:
        """The single best member, and the best point per budget: of all rules, and of those by query."""
        by_query = list(self._points("samples"))
        for cost_weight in _COST_WEIGHTS if self.pool.costs_differ else (0.0,):
            by_query += self._points("query", cost_weight)
        fixed = list(self._points("fixed"))
        single_best, families = fixed[0], (ranked([*by_query, *fixed]), ranked(by_query))
        kept = {SINGLE_BEST: single_best}
        for budget in _budgets(families[0], single_best):
            for points in families:
                best = budget.first(points)
                if best is not None:
                    kept[best.rule] = best
        for rule, point in kept.items():
            yield replace(point, evidence=evidence_of_gain(self._answers(rule), self._answers(SINGLE_BEST)))

    def _points(self, ranking: Ranking, cost_weight: float = 0.0) -> Iterator[OperatingPoint]:
        """Every size of one ranking in one round, and pairs of sizes in two."""
        sizes = self._sizes(ranking)
        for number, size in enumerate(sizes):
            rule = CallingRule(ranking=ranking, cost_weight=cost_weight, first=size, size=size)
            first = self._replay(rule, size)
            yield operating_point(rule, first.answers.expected.mean(), first.used.mean(axis=1))
            for larger in sizes[number + 1 :]:
                both = self._replay(rule, larger)
                # A larger fixed set need not contain a smaller one.
                if (both.calls >= first.calls).all():
                    # Rounds follow one another, so that their latencies add up.
                    used = self.costs.per_query(added_calls(both.calls, first.calls))
                    yield from two_rounds(replace(rule, size=larger), first, replace(both, used=used))

    def _sizes(self, ranking: Ranking) -> list[int]:
        """All sizes of a usual pool; the small and some larger ones of a large pool, to bound the search."""
        n_members = self.probabilities.shape[1]
        if ranking == "samples":
            return list(range(1, self.samples.n_samples + 1)) if self.samples and self.votes else []
        if self.votes is None:
            return [1]
        sizes = {*range(1, min(n_members, 8) + 1), *range(8, n_members, 4), n_members}
        if ranking == "fixed":
            sizes &= set(self.pool.fixed_sets)
        return sorted(sizes)

    def _answers(self, rule: CallingRule) -> LearnedReplay:
        """The final answers by a rule."""
        first, both = self._replay(rule, rule.first), self._replay(rule, rule.size)
        return both.answers.where(first.further(rule.threshold), first.answers)

    def _replay(self, rule: CallingRule, size: int) -> ReplayedCalls:
        """One round of calls of the `size` best members of a rule's ranking; kept."""
        key = (rule.ranking, rule.cost_weight, size)
        if key not in self._replays:
            calls = select_best(rule, size, self.probabilities, self.pool).calls
            used, replies = self.costs.per_query(calls), self.recorded
            if rule.ranking == "samples" and self.samples is not None:
                replies = self.samples.votes
            if self.votes is None:
                score = np.where(calls, replies.scores, 0.0).sum(axis=1)
                answers = served = LearnedReplay(score=score, confidence=score, lead=np.ones(len(score)))
            else:
                known = (calls, self.probabilities, self.pool.latencies)
                answers = self.votes.replay(replies, *known)
                served = replies.replay_learned(self.votes.final, *known)
            self._replays[key] = ReplayedCalls(
                calls=calls, used=used, answers=answers, served=np.sort(served.confidence)
            )
        return self._replays[key]


def _budgets(points: Sequence[OperatingPoint], single_best: OperatingPoint) -> Iterator[OperatingBudget]:
    """Budgets that operating points are kept for, each for one round and for two.

    Whole numbers of calls; of cost and latency the least, the single best's own, and steps of equal ratio.
    """
    for unit in UNITS:
        used = np.array([getattr(point, unit) for point in points])
        used = used[used >= 0]
        if unit == "calls":
            steps = np.arange(1.0, np.ceil(used.max()) + 1.0)
        elif used.any():
            steps = np.geomspace(used[used > 0].min(), used.max(), _STEPS)
            steps = np.append(steps, (used.min(), getattr(single_best, unit)))
        else:
            continue
        for max_rounds in range(1, MAX_ROUNDS + 1):
            for most in steps.tolist():
                yield OperatingBudget(max_rounds=max_rounds, **{unit: most})


def two_rounds(rule: CallingRule, first: ReplayedCalls, second: ReplayedCalls) -> Iterator[OperatingPoint]:
    """Points with a second round for the least sure queries, given the answers after both, and its calls."""
    n, accuracy, used = len(first.calls), first.answers.expected.mean(), first.used.mean(axis=1)
    order = np.argsort(first.answers.confidence, kind="stable")
    gained = (second.answers.expected - first.answers.expected)[order].cumsum() / n
    added = second.used[:, order].cumsum(axis=1) / n
    # Rounded down for the artefact: four digits separate more queries than a training set has.
    thresholds = np.floor(first.served[(n * _SHARES).astype(int)] * 1e4) / 1e4
    for threshold in np.unique(thresholds).tolist():
        # Of equal confidences all stay or all go on.
        m = int(np.searchsorted(first.served, threshold))
        if m > 0:
            # The share of queries with a second round is known with the standard error of a proportion.
            margin = 1 + _BUDGET_QUANTILE * np.sqrt((1 - m / n) / m)
            at_threshold = replace(rule, threshold=threshold)
            yield operating_point(at_threshold, accuracy + gained[m - 1], used + margin * added[:, m - 1])


def operating_point(rule: CallingRule, accuracy: float, used: NDArray[np.float64]) -> OperatingPoint:
    """The operating point with a mean accuracy and what it uses, (units,)."""
    means = dict(zip(UNITS, used.tolist(), strict=True))
    return OperatingPoint(rule=rule, accuracy=float(accuracy), **means)
