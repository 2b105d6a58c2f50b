"""Choosing operating points on training queries, by votes and probabilities that had not seen them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.guard import Call, Trial, best_within, budgets_of, guarded, kept
from langchain_selectllm.learned_vote import LearnedVote
from langchain_selectllm.operating import OperatingPoint, Ranking, rank_members
from langchain_selectllm.plausibility import Plausibility
from langchain_selectllm.policies import top
from langchain_selectllm.pool import Pool, Spent
from langchain_selectllm.recorded import RecordedVotes
from langchain_selectllm.tally import winning_confidence
from langchain_selectllm.vote_training import fit_vote
from langchain_selectllm.voting import WeightedVote

_FOLDS = 3
_PRICE_WEIGHTS = (0.0, *np.geomspace(0.01, 0.4, 9).tolist())
# Where round two forgets about prices it adds a few members at most, to what few cheap ones have said.
_MOST_CHEAP, _MOST_ADDED = 4, 3
_SHARES = np.linspace(0.1, 0.9, 9)
# One-sided 95 %: the margin that keeps mean calls within their budget.
_Z = 1.645


def tune(
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    spent: Spent,
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
        spent: What each call took.
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
    bench = _Bench(recorded, probabilities, spent, pool, folds, votes)
    by_query = [trial for weight in _price_weights(pool) for trial in bench.trials("query", weight)]
    progress((_FOLDS + 1) / (_FOLDS + 2))
    fixed = bench.trials("fixed", 0.0)
    baselines = bench.baselines()
    budgets = budgets_of([*by_query, *baselines])
    return replace(
        pool,
        vote=replace(vote, plausibility=plausibility),
        adaptive_points=kept(best_within(by_query, budget) for budget in budgets),
        guarded_points=kept(guarded(by_query, fixed, baselines, budget) for budget in budgets),
    )


def single_points(
    scores: NDArray[np.float64], probabilities: NDArray[np.float64], spent: Spent, pool: Pool
) -> tuple[tuple[OperatingPoint, ...], tuple[OperatingPoint, ...]]:
    """Operating points that call one member, for outcomes without replies: those that look at the query, and guarded ones.

    Args:
        scores: Success rates, (n, K).
        probabilities: P(correct) of heads that had not seen the query, (n, K).
        spent: What each call took.
        pool: Base rates and mean costs.
    """

    def trial(ranking: Ranking, weight: float, mask: NDArray[np.bool_], evidence: str) -> Trial:
        point = _one_round(ranking, weight, 1, "learned" if ranking == "query" else "weighted", evidence)
        return _trial(point, spent, Call(np.where(mask, scores, 0.0).sum(axis=1), mask))

    weights = _price_weights(pool)
    by_query = [trial("query", w, top(rank_members(probabilities, pool.costs, w), 1), "") for w in weights]
    best = np.tile(pool.mask((pool.members[pool.single_best],)), (len(scores), 1))
    baselines = [trial("fixed", 0.0, best, "single best")]
    budgets = budgets_of([*by_query, *baselines])
    return (
        kept(best_within(by_query, budget) for budget in budgets),
        kept(guarded(by_query, [], baselines, budget) for budget in budgets),
    )


class _Bench:
    """Replays sets of members with the vote that had not seen the query."""

    def __init__(
        self,
        recorded: RecordedVotes,
        probabilities: NDArray[np.float64],
        spent: Spent,
        pool: Pool,
        folds: NDArray[np.int64],
        votes: Sequence[LearnedVote],
    ) -> None:
        self._recorded, self._probabilities, self._spent = recorded, probabilities, spent
        self._pool, self._folds, self._votes = pool, folds, votes

    def trials(self, ranking: Ranking, price_weight: float) -> list[Trial]:
        """Every pair of sizes with several thresholds."""
        calls = {size: self._call(mask) for size, mask in self._masks(ranking, price_weight)}
        found = []
        for first, early in calls.items():
            point = _one_round(ranking, price_weight, first, "learned")
            found.append(_trial(point, self._spent, early))
            for final, late in calls.items():
                if final > first:
                    found += self._two_rounds(replace(point, final=final), early, late)
            if price_weight > 0 and first <= _MOST_CHEAP:
                for final in range(1, min(_MOST_ADDED, self._probabilities.shape[1]) + 1):
                    late = self._call(early.mask | top(self._probabilities, final))
                    found += self._two_rounds(replace(point, final=final, second_price_weight=0.0), early, late)
        return found

    def baselines(self) -> list[Trial]:
        """The best fixed sets in one round, voting by base rates: what everything else is measured against."""
        found = []
        rates = np.tile(self._pool.base_rates, (len(self._probabilities), 1))
        for size, mask in self._masks("fixed", 0.0):
            worth = self._recorded.replay(WeightedVote(), mask, rates, self._pool.latencies)[1]
            found.append(_trial(_one_round("fixed", 0.0, size, "weighted", "best fixed set"), self._spent, Call(worth, mask)))
        return found

    def _masks(self, ranking: Ranking, price_weight: float) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        n, n_members = self._probabilities.shape
        worth = rank_members(self._probabilities, self._pool.costs, price_weight)
        for size in _sizes(n_members):
            if ranking == "query":
                yield size, top(worth, size)
            elif size in self._pool.fixed_sets:
                yield size, np.tile(self._pool.fixed_mask(size), (n, 1))

    def _call(self, mask: NDArray[np.bool_]) -> Call:
        worth, confidence = np.empty(len(mask)), np.empty(len(mask))
        for fold, vote in enumerate(self._votes):
            rows = np.flatnonzero(self._folds == fold)
            recorded, p = self._recorded.take(rows), self._probabilities[rows]
            verdict, worth[rows] = recorded.replay(vote, mask[rows], p, self._pool.latencies)
            ballots = recorded.ballots(p, self._pool.latencies).masked(mask[rows])
            confidence[rows] = winning_confidence(vote, ballots, verdict)
        return Call(worth, mask, confidence)

    def _two_rounds(self, point: OperatingPoint, early: Call, late: Call) -> Iterator[Trial]:
        assert early.confidence is not None
        n, n_late = len(early.worth), (early.mask | late.mask).sum(axis=1)
        added = n_late.mean() - point.first
        # Shares that make whole numbers of calls, with a margin for chance on other queries; and some in between.
        whole = [(calls - point.first) / max(added, 1e-9) for calls in range(point.first + 1, int(n_late.max()) + 1)]
        exact = [share - _Z * float(np.sqrt(share * (1 - share) / n)) for share in whole if 0 < share < 1]
        for share in sorted({*exact, *_SHARES.tolist()}):
            if share > 0:
                threshold = float(np.quantile(early.confidence, share))
                if threshold > 0:
                    yield _trial(replace(point, threshold=threshold), self._spent, early, late)


def _one_round(
    ranking: Ranking, price_weight: float, size: int, vote: Literal["learned", "weighted"], evidence: str = ""
) -> OperatingPoint:
    """An operating point of one round, before it is tried."""
    return OperatingPoint(ranking, price_weight, price_weight, size, size, 0.0, vote, 0.0, 0.0, np.nan, np.nan, evidence)


def _trial(point: OperatingPoint, spent: Spent, early: Call, late: Call | None = None) -> Trial:
    """The trial of an operating point, which then tells what it gave and took."""
    mask, confidence, waited = early.mask, early.confidence, spent.slowest(early.mask)
    if late is not None and early.confidence is not None and late.confidence is not None:
        goes_on = early.confidence < point.threshold
        mask = early.mask | (late.mask & goes_on[:, None])
        confidence = np.where(goes_on, late.confidence, early.confidence)
        waited = waited + spent.slowest(mask & ~early.mask)
    trial = Trial(point, early, late)
    # Among hundreds of points the luckiest has the largest share of right answers; confidence is not lucky with it.
    accuracy = (trial.worth if confidence is None else (trial.worth + confidence) / 2).mean()
    told = replace(
        point,
        accuracy=float(accuracy),
        calls=float(mask.sum(axis=1).mean()),
        cost_usd=float(spent.cost(mask).mean()),
        latency_s=float(waited.mean()),
    )
    return Trial(told, early, late)


def _sizes(n_members: int) -> list[int]:
    """All sizes of a usual pool; of a large one the small sizes and some larger ones."""
    return [size for size in range(1, n_members + 1) if size <= 8 or size % 4 == 0 or size == n_members]


def _price_weights(pool: Pool) -> tuple[float, ...]:
    """Price weights worth trying: one where prices are unknown or all the same."""
    differ = not np.isnan(pool.costs).any() and pool.costs.max() > 1.1 * pool.costs.min()
    return _PRICE_WEIGHTS if differ else (0.0,)
