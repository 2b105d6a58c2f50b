"""Choosing operating points on training queries, by votes and probabilities that had not seen them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.learned_vote import LearnedVote
from langchain_selectllm.operating import OperatingPoint, Ranking, rank_members
from langchain_selectllm.plausibility import Plausibility
from langchain_selectllm.policies import top
from langchain_selectllm.pool import Pool
from langchain_selectllm.recorded import RecordedVotes
from langchain_selectllm.tally import winning_confidence
from langchain_selectllm.vote_training import fit_vote
from langchain_selectllm.voting import WeightedVote

_FOLDS = 3
_PRICE_WEIGHTS = (0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
_SHARES = np.linspace(0.1, 0.9, 9)
# One-sided 95 %: what is called evidence, and the margin that keeps mean calls within their budget.
_Z = 1.645


@dataclass(frozen=True, eq=False)
class _Call:
    """What calling one set of members a query was worth, on n queries."""

    worth: NDArray[np.float64]
    confidence: NDArray[np.float64]
    mask: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Trial:
    """An operating point and its worth on each query."""

    point: OperatingPoint
    worth: NDArray[np.float64]


def tune(
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    costs: NDArray[np.float64],
    pool: Pool,
    *,
    plausibility: Plausibility | None,
    seed: int,
    progress: Callable[[float], None] = lambda _: None,
) -> Pool:
    """The pool with a learned vote and operating points.

    Args:
        recorded: Votes on n fully observed training queries.
        probabilities: P(correct) of heads that had not seen the query, (n, K).
        costs: Cost of each call, (n, K); NaN where unknown.
        pool: Base rates, fixed sets and mean costs.
        plausibility: What told how plausible the recorded candidates are.
        seed: Seed of folds and subsets.
        progress: Called with the share done.
    """
    folds = np.random.default_rng(seed).permutation(len(probabilities)) % _FOLDS
    votes = []
    for fold in range(_FOLDS):
        rows = np.flatnonzero(folds != fold)
        votes.append(fit_vote(recorded.take(rows), probabilities[rows], pool.base_rates, pool.latencies, seed=seed))
        progress((fold + 1) / (_FOLDS + 2))
    vote = fit_vote(recorded, probabilities, pool.base_rates, pool.latencies, seed=seed)
    bench = _Bench(recorded, probabilities, np.where(np.isnan(costs), pool.costs, costs), pool, folds, votes)
    by_query = [trial for weight in bench.price_weights for trial in bench.trials("query", weight)]
    progress((_FOLDS + 1) / (_FOLDS + 2))
    fixed = bench.trials("fixed", 0.0)
    baselines = bench.baselines()
    budgets = _budgets([*by_query, *baselines])
    return replace(
        pool,
        vote=replace(vote, plausibility=plausibility),
        adaptive_points=_kept(_best(by_query, budget) for budget in budgets),
        guarded_points=_kept(_guarded(by_query, fixed, baselines, budget) for budget in budgets),
    )


def single_points(
    scores: NDArray[np.float64], probabilities: NDArray[np.float64], costs: NDArray[np.float64], pool: Pool
) -> tuple[tuple[OperatingPoint, ...], tuple[OperatingPoint, ...]]:
    """Operating points that call one member, for outcomes without replies: those that look at the query, and guarded ones.

    Args:
        scores: Success rates, (n, K).
        probabilities: P(correct) of heads that had not seen the query, (n, K).
        costs: Cost of each call, (n, K); NaN where unknown.
        pool: Base rates and mean costs.
    """
    costs = np.where(np.isnan(costs), pool.costs, costs)

    def trial(ranking: Ranking, weight: float, mask: NDArray[np.bool_], evidence: str) -> _Trial:
        worth, cost = np.where(mask, scores, 0.0).sum(axis=1), np.where(mask, costs, 0.0).sum(axis=1)
        vote: Literal["learned", "weighted"] = "learned" if ranking == "query" else "weighted"
        accuracy, price = float(worth.mean()), float(cost.mean())
        return _Trial(OperatingPoint(ranking, weight, 1, 1, 0.0, vote, accuracy, 1.0, price, evidence), worth)

    weights = _PRICE_WEIGHTS if _prices_differ(pool) else (0.0,)
    by_query = [trial("query", w, top(rank_members(probabilities, pool.costs, w), 1), "") for w in weights]
    best = np.tile(pool.mask((pool.members[pool.single_best],)), (len(scores), 1))
    baselines = [trial("fixed", 0.0, best, "single best")]
    budgets = _budgets([*by_query, *baselines])
    return (
        _kept(_best(by_query, budget) for budget in budgets),
        _kept(_guarded(by_query, [], baselines, budget) for budget in budgets),
    )


class _Bench:
    """Replays sets of members with the vote that had not seen the query."""

    def __init__(
        self,
        recorded: RecordedVotes,
        probabilities: NDArray[np.float64],
        costs: NDArray[np.float64],
        pool: Pool,
        folds: NDArray[np.int64],
        votes: Sequence[LearnedVote],
    ) -> None:
        self._recorded, self._probabilities, self._costs = recorded, probabilities, costs
        self._pool, self._folds, self._votes = pool, folds, votes

    @property
    def price_weights(self) -> tuple[float, ...]:
        """Price weights worth trying: one where prices are unknown or all the same."""
        return _PRICE_WEIGHTS if _prices_differ(self._pool) else (0.0,)

    def trials(self, ranking: Ranking, price_weight: float) -> list[_Trial]:
        """Every pair of sizes with several thresholds."""
        calls = {size: self._call(mask) for size, mask in self._masks(ranking, price_weight)}
        found = []
        for first, early in calls.items():
            base = OperatingPoint(ranking, price_weight, first, first, 0.0, "learned", 0.0, 0.0, np.nan, "")
            found.append(self._trial(base, early.worth, early.mask, early.confidence))
            for final, late in calls.items():
                if final > first:
                    found += self._two_rounds(replace(base, final=final), early, late)
        return found

    def baselines(self) -> list[_Trial]:
        """The best fixed sets in one round, voting by base rates: what everything else is measured against."""
        found = []
        rates = np.tile(self._pool.base_rates, (len(self._probabilities), 1))
        for size, mask in self._masks("fixed", 0.0):
            worth = self._recorded.replay(WeightedVote(), mask, rates, self._pool.latencies)[1]
            point = OperatingPoint("fixed", 0.0, size, size, 0.0, "weighted", 0.0, 0.0, np.nan, "best fixed set")
            found.append(self._trial(point, worth, mask))
        return found

    def _masks(self, ranking: Ranking, price_weight: float) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        n, n_members = self._probabilities.shape
        worth = rank_members(self._probabilities, self._pool.costs, price_weight)
        for size in _sizes(n_members):
            if ranking == "query":
                yield size, top(worth, size)
            elif size in self._pool.fixed_sets:
                yield size, np.tile(self._pool.fixed_mask(size), (n, 1))

    def _call(self, mask: NDArray[np.bool_]) -> _Call:
        worth, confidence = np.empty(len(mask)), np.empty(len(mask))
        for fold, vote in enumerate(self._votes):
            rows = np.flatnonzero(self._folds == fold)
            recorded, p = self._recorded.take(rows), self._probabilities[rows]
            verdict, worth[rows] = recorded.replay(vote, mask[rows], p, self._pool.latencies)
            ballots = recorded.ballots(p, self._pool.latencies).masked(mask[rows])
            confidence[rows] = winning_confidence(vote, ballots, verdict)
        return _Call(worth, confidence, mask)

    def _two_rounds(self, point: OperatingPoint, early: _Call, late: _Call) -> Iterator[_Trial]:
        n = len(early.worth)
        added = (early.mask | late.mask).sum(axis=1).mean() - early.mask.sum(axis=1).mean()
        # Shares that make whole numbers of calls, with a margin for chance on other queries; and some in between.
        whole = [(calls - point.first) / max(added, 1e-9) for calls in range(point.first + 1, point.final + 1)]
        exact = [share - _Z * float(np.sqrt(share * (1 - share) / n)) for share in whole if 0 < share < 1]
        for share in sorted({*exact, *_SHARES.tolist()}):
            if share > 0:
                threshold = float(np.quantile(early.confidence, share))
                goes_on = early.confidence < threshold
                worth = np.where(goes_on, late.worth, early.worth)
                mask = early.mask | (late.mask & goes_on[:, None])
                confidence = np.where(goes_on, late.confidence, early.confidence)
                yield self._trial(replace(point, threshold=threshold), worth, mask, confidence)

    def _trial(
        self,
        point: OperatingPoint,
        worth: NDArray[np.float64],
        mask: NDArray[np.bool_],
        confidence: NDArray[np.float64] | None = None,
    ) -> _Trial:
        costs = np.where(mask, self._costs, 0.0).sum(axis=1)
        # Among hundreds of points the luckiest has the largest share of right answers; confidence is not lucky with it.
        accuracy = (worth if confidence is None else (worth + confidence) / 2).mean()
        told = replace(point, accuracy=float(accuracy), calls=float(mask.sum(axis=1).mean()), cost_usd=float(costs.mean()))
        return _Trial(told, worth)


def _sizes(n_members: int) -> list[int]:
    """All sizes of a usual pool; of a large one the small sizes and some larger ones."""
    return [size for size in range(1, n_members + 1) if size <= 8 or size % 4 == 0 or size == n_members]


def _budgets(trials: Sequence[_Trial]) -> list[tuple[str, float]]:
    """The budgets that operating points are kept for: whole numbers of calls, and steps of cost."""
    most = round(max(trial.point.calls for trial in trials))
    budgets: list[tuple[str, float]] = [("calls", float(calls)) for calls in range(1, most + 1)]
    costs = np.array([trial.point.cost_usd for trial in trials])
    if not np.isnan(costs).any() and costs.min() > 0:
        budgets += [("cost_usd", float(cost)) for cost in np.geomspace(costs.min() * 1.0001, costs.max(), 25)]
    return budgets


def _within(trials: Sequence[_Trial], budget: tuple[str, float]) -> list[_Trial]:
    return [trial for trial in trials if getattr(trial.point, budget[0]) <= budget[1] + 1e-12]


def _most_accurate(trials: Sequence[_Trial]) -> _Trial | None:
    return max(trials, key=lambda trial: (trial.point.accuracy, -trial.point.calls), default=None)


def _best(trials: Sequence[_Trial], budget: tuple[str, float]) -> OperatingPoint | None:
    found = _most_accurate(_within(trials, budget))
    return None if found is None else replace(found.point, evidence="best on validation within its budget")


def _guarded(
    by_query: Sequence[_Trial], fixed: Sequence[_Trial], baselines: Sequence[_Trial], budget: tuple[str, float]
) -> OperatingPoint | None:
    """The single best, unless another point of the budget beats it with paired evidence.

    Larger fixed sets, then fixed sets with the learned vote, then what looks at the query, have to beat what stands.
    """
    rivals = sorted(_within(baselines, budget), key=lambda trial: trial.point.first)
    rivals += [trial for trial in (_most_accurate(_within(trials, budget)) for trials in (fixed, by_query)) if trial]
    if not rivals:
        return None
    chosen = rivals[0]
    for rival in rivals[1:]:
        difference = rival.worth - chosen.worth
        error = float(difference.std() / np.sqrt(len(difference)))
        if difference.mean() > _Z * error:
            words = f"beats {_describe(chosen.point)} by {100 * difference.mean():.1f} +- {100 * _Z * error:.1f} points"
            chosen = replace(rival, point=replace(rival.point, evidence=f"{words} on validation"))
    return chosen.point if chosen.point.evidence else replace(chosen.point, evidence="no fixed set is within this budget")


def _describe(point: OperatingPoint) -> str:
    return f"the fixed set of {point.final}" if point.ranking == "fixed" else f"the top {point.final}"


def _kept(points: Iterable[OperatingPoint | None]) -> tuple[OperatingPoint, ...]:
    """Each point once, by calls and accuracy."""
    different = {(p.ranking, p.price_weight, p.first, p.final, p.threshold, p.vote): p for p in points if p is not None}
    return tuple(sorted(different.values(), key=lambda p: (p.calls, p.accuracy, p.threshold)))


def _prices_differ(pool: Pool) -> bool:
    return bool(not np.isnan(pool.costs).any() and pool.costs.max() > 1.1 * pool.costs.min())
