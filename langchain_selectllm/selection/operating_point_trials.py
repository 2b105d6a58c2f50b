"""Operating points gone through on training queries, by votes and probabilities that had not seen them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.adaptive import called_after, further_rounds, units
from langchain_selectllm.selection.further_rounds import STOP, Extension
from langchain_selectllm.selection.guard import Called, Trial
from langchain_selectllm.selection.operating_points import OperatingPoint, Ranking, Unit
from langchain_selectllm.selection.pool_statistics import CallCosts, PoolStatistics
from langchain_selectllm.voting.learned_vote import LearnedVote, winning_confidence
from langchain_selectllm.voting.recorded_votes import RecordedVotes
from langchain_selectllm.voting.votes import WeightedVote

# People wait: nobody is made to wait for more rounds than these.
_MOST_ROUNDS = 3
# Where a round forgets about prices it adds a few members at most, to what few cheap ones have said.
_MOST_CHEAP, _MOST_ADDED = 4, 3
# Accuracy that a usual call must add; from next to nothing to more than any call adds.
_EXCHANGES = (0.0, *np.geomspace(5e-4, 0.4, 40).tolist())
_BISECTIONS = 6
# One-sided 95 %: the margin that keeps mean calls within their budget on other queries.
_Z = 1.645


@dataclass(frozen=True, eq=False)
class Bench:
    """Recorded votes on n queries with probabilities and votes that had not seen them."""

    recorded: RecordedVotes
    probabilities: NDArray[np.float64]
    spent: CallCosts
    pool: PoolStatistics
    folds: NDArray[np.int64]
    votes: Sequence[LearnedVote]
    """The vote of each fold, fitted on the others."""

    def call(self, mask: NDArray[np.bool_], *, by_rates: bool = False) -> Called:
        """What calling these members gives with the learned vote, or with ballots weighted by base rates."""
        worth, confidence = np.empty(len(mask)), np.empty(len(mask))
        for fold, vote in enumerate(self.votes):
            rows = np.flatnonzero(self.folds == fold)
            recorded, p, called = self.recorded.take(rows), self.probabilities[rows], mask[rows]
            weights = np.tile(self.pool.base_rates, (len(rows), 1)) if by_rates else p
            strategy = WeightedVote() if by_rates else vote
            verdict, worth[rows] = recorded.replay(strategy, called, weights, self.pool.latencies)
            ballots = recorded.ballots(p, self.pool.latencies).masked(called)
            confidence[rows] = winning_confidence(vote, ballots, verdict)
        return Called(mask, worth, confidence)

    def baselines(self) -> list[Trial]:
        """The best fixed sets in one round, voting by base rates: what everything else is measured against."""
        found = []
        for size in sorted(self.pool.fixed_sets):
            point = OperatingPoint("fixed", 0.0, size, "weighted", evidence="best fixed set")
            mask = called_after(point, 0.0, size, self.probabilities, self.pool)
            called = self.call(mask, by_rates=True)
            found.append(one_round(point, self.spent, called))
        return found

    def trials(self, ranking: Ranking, price_weight: float, prices: Sequence[Unit]) -> Iterator[Trial]:
        """Operating points of one ranking: every size alone, and with further rounds at several prices in each unit."""
        sets = _GrowingSets(self, ranking, price_weight)
        for size, called in sets.called.items():
            yield one_round(sets.point(size), self.spent, called)
            for rounds in range(2, sets.most_rounds + 1) if sets.can_grow(size) else ():
                for unit in prices:
                    yield from _FurtherTrials(sets, size, rounds, unit).trials()


class _GrowingSets:
    """The growing sets of one ranking, and what going from one to another is expected to add."""

    def __init__(self, bench: Bench, ranking: Ranking, price_weight: float) -> None:
        self.bench, self._ranking, self._weight = bench, ranking, price_weight
        n_members = bench.probabilities.shape[1]
        sizes = [n for n in _sizes(n_members) if ranking == "query" or n in bench.pool.fixed_sets]
        self.called = {size: bench.call(self._mask(price_weight, size)) for size in sizes}
        # Fixed sets need not contain one another, so that what a third round finds depends on the first.
        self.most_rounds = 2 if ranking == "fixed" else _MOST_ROUNDS
        self.extended: dict[Extension, Called] = {}
        for start in sizes:
            for size in sizes:
                if size > start:
                    self._extend(start, size, price_weight)
            if price_weight > 0 and start <= _MOST_CHEAP:
                for size in range(1, min(_MOST_ADDED, n_members) + 1):
                    self._extend(start, size, 0.0)

    def can_grow(self, first: int) -> bool:
        """Whether anything can follow on so many."""
        return any(way.start == first for way in self.extended)

    def point(self, first: int) -> OperatingPoint:
        """The operating point that calls so many, and nobody after them."""
        return OperatingPoint(self._ranking, self._weight, first, "learned")

    def _mask(self, price_weight: float, size: int) -> NDArray[np.bool_]:
        return called_after(self.point(size), price_weight, size, self.bench.probabilities, self.bench.pool)

    def _extend(self, start: int, size: int, price_weight: float) -> None:
        before = self.called[start]
        mask = before.mask | self._mask(price_weight, size)
        known = self.called.get(size)
        after = known if known is not None and (known.mask == mask).all() else self.bench.call(mask)
        # What the vote comes to believe, not what turned out right: the same in the mean, and told with less noise.
        powers = np.vander(before.confidence, 3, increasing=True)
        gain = np.linalg.lstsq(powers, after.confidence - before.confidence)[0]
        self.extended[Extension(start, size, price_weight, tuple(gain.tolist()))] = after


class _FurtherTrials:
    """The operating points of one first round, one number of rounds and one unit of price."""

    def __init__(self, sets: _GrowingSets, first: int, rounds: int, unit: Unit) -> None:
        bench = sets.bench
        self._spent = bench.spent
        ways = [way for way in sets.extended if way.start == first or (rounds > 2 and way.start > first)]
        called = [sets.called[first], *(sets.extended[way] for way in ways)]
        self._masks = np.stack([one.mask for one in called])
        self._worths = np.stack([one.worth for one in called])
        self._confidences = np.stack([one.confidence for one in called])
        self._point = replace(
            sets.point(first), extensions=tuple(ways), rounds=rounds, unit=unit, exchange=1.0
        )
        self._further = further_rounds(self._point, bench.probabilities, bench.pool)
        self._usual = float(np.mean(units(np.eye(len(bench.pool.members), dtype=np.bool_), bench.pool, unit)))

    def trials(self) -> Iterator[Trial]:
        """Trials at several prices; of whole numbers of calls, those that come closest within a margin."""
        exchanges = [exchange / self._usual for exchange in _EXCHANGES]
        paths = [self._path(exchange) for exchange in exchanges]
        yield from (self._trial(*found) for found in zip(exchanges, paths, strict=True))
        if self._point.unit != "calls":
            return
        taken = np.array([self._calls(path) for path in paths])
        for calls in range(self._point.first + 1, int(taken.max()) + 1):
            above = np.flatnonzero(taken > calls)
            if len(above) and above[-1] + 1 < len(taken):
                exchange = self._closest(calls, exchanges[above[-1]], exchanges[above[-1] + 1])
                yield self._trial(exchange, self._path(exchange))

    def _closest(self, calls: int, low: float, high: float) -> float:
        """The price between two at which calls come closest to a number without exceeding it."""
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._calls(self._path(middle)) > calls else (low, middle)
        return high

    def _calls(self, path: NDArray[np.intp]) -> float:
        """Mean calls with a margin for chance on other queries."""
        calls = self._mask(path[-1]).sum(axis=1)
        return float(calls.mean() + _Z * calls.std() / np.sqrt(len(calls)))

    def _path(self, exchange: float) -> NDArray[np.intp]:
        """Which call stands after each round, (rounds, n): 0 = the first round's, i + 1 = that of extension i."""
        further = replace(self._further, exchange=exchange)
        path = [np.zeros(self._masks.shape[1], dtype=np.intp)]
        stages = np.full(len(path[0]), further.first)
        for _ in range(further.most - 1):
            chosen = further.choose(self._of(self._confidences, path[-1]), stages)
            path.append(np.where(chosen == STOP, path[-1], chosen + 1))
            stages = np.where(chosen == STOP, stages, further.ends[chosen])
        return np.stack(path)

    def _of(self, values: NDArray[np.float64], calls: NDArray[np.intp]) -> NDArray[np.float64]:
        return values[calls, np.arange(len(calls))]

    def _mask(self, calls: NDArray[np.intp]) -> NDArray[np.bool_]:
        return self._masks[calls, np.arange(len(calls))]

    def _trial(self, exchange: float, path: NDArray[np.intp]) -> Trial:
        taken = np.unique(path[1:])
        used = tuple(self._point.extensions[i - 1] for i in taken.tolist() if i)
        point = replace(self._point, extensions=used, exchange=exchange)
        masks = [self._mask(calls) for calls in path]
        rounds = [masks[0], *(after & ~before for before, after in pairwise(masks))]
        told = _told(point, self._spent, rounds, self._called(path))
        return Trial(told, lambda: self._called(self._path(exchange)))

    def _called(self, path: NDArray[np.intp]) -> Called:
        last = path[-1]
        return Called(self._mask(last), self._of(self._worths, last), self._of(self._confidences, last))


def one_round(point: OperatingPoint, spent: CallCosts, called: Called) -> Trial:
    """The trial of a point without further rounds."""
    return Trial(_told(point, spent, [called.mask], called), lambda: called)


def _told(
    point: OperatingPoint, spent: CallCosts, rounds: Sequence[NDArray[np.bool_]], called: Called
) -> OperatingPoint:
    """The point, telling what it gave and took.

    Args:
        point: An operating point.
        spent: What each call took.
        rounds: Members that each round called, (n, K).
        called: What all of them gave.
    """
    mask = called.mask
    return replace(
        point,
        accuracy=float(called.expected.mean()),
        calls=float(mask.sum(axis=1).mean()),
        cost_usd=float(spent.cost(mask).mean()),
        latency_s=float(np.sum([spent.slowest(called) for called in rounds], axis=0).mean()),
    )


def _sizes(n_members: int) -> list[int]:
    """All sizes of a usual pool; of a large one the small sizes and some larger ones."""
    return [size for size in range(1, n_members + 1) if size <= 8 or size % 4 == 0 or size == n_members]
