"""Patience: the lead from which the members yet to reply are not waited for, tuned in training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.policies import top
from langchain_selectllm.selection.pool_statistics import CallCosts, Patience
from langchain_selectllm.voting.cross_fitting import CrossFittedVotes
from langchain_selectllm.voting.evidence import ONE_SIDED_95, mean_and_error
from langchain_selectllm.voting.learned_vote import most_replied
from langchain_selectllm.voting.recorded_votes import RecordedVotes

_LEVELS = (*np.arange(50, 95, 2.5).tolist(), 95.0, 97.0, 98.0, 99.0)
"""Levels of the lead in per cent; not searched."""
_LATE = (0.8, 0.85, 0.9, 0.92, 0.93, 0.94, 0.95, 0.96)
"""Quantiles of the recorded latencies from which a reply may count as late; not searched."""
_ORDERS = 5
"""Orders of arrival that losses are averaged over. By one order alone the loss on 1,200 queries has a
standard error of 0.1 to 0.2 points, half of what may be lost; see docs/explanation/several-samples.md."""
_MOST_LOSS = 0.003
"""Accuracy that may be lost: the requirement that stragglers cost at most 0.3 points; not searched."""
_SIZES = (3, 5, 8)
"""Sizes of the called sets that the level is tuned on, as far as the pool goes; not searched. Of two members
both are waited for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ReplayedArrivals:
    """Votes after each arrival, for n queries whose called members reply one after the other."""

    times: NDArray[np.float64]
    """Time of each arrival, (size, n), ascending."""
    confidence: NDArray[np.float64]
    """Confidence after each arrival, (size, n)."""
    lead: NDArray[np.float64]
    """Lead after each arrival, (size, n); see `winning_lead`."""
    score: NDArray[np.float64]
    """Score of the answer after each arrival, (size, n)."""

    def loss(self, level: float, after_s: float) -> NDArray[np.float64]:
        """Loss of each query against waiting for all, half in score and half in confidence, (n,)."""
        ends = last_arrivals(self.times, self.lead, level=level, after_s=after_s)
        expected = (self.score + self.confidence) / 2
        lost: NDArray[np.float64] = expected[-1] - expected[ends, np.arange(len(ends))]
        return lost

    def wait_share(self, level: float, after_s: float) -> float:
        """95th percentile of the time until the vote ends, as a share of that of waiting for all."""
        ends = last_arrivals(self.times, self.lead, level=level, after_s=after_s)
        waits = waiting_times(self.times, ends, after_s=after_s)
        return float(np.quantile(waits, 0.95) / np.quantile(self.times[-1], 0.95))


@dataclass(frozen=True, eq=False, kw_only=True)
class _ReplayedSize:
    """Votes of sets of one size, by order of arrival."""

    orders: Sequence[ReplayedArrivals]

    def loss(self, level: float, after_s: float) -> NDArray[np.float64]:
        """Loss of each query, mean over the orders, (n,)."""
        lost: NDArray[np.float64] = np.mean([one.loss(level, after_s) for one in self.orders], axis=0)
        return lost

    def wait_share(self, level: float, after_s: float) -> float:
        """95th percentile of the wait as a share of that of waiting for all, mean over the orders."""
        return float(np.mean([one.wait_share(level, after_s) for one in self.orders]))


def tune_patience(
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    calls: CallCosts,
    latencies: NDArray[np.float64],
    votes: CrossFittedVotes,
    *,
    seed: int,
) -> Patience | None:
    """The level, and the seconds before which it does not count, whose loss is at most 0.3 points.

    The most probable members of each query reply after their recorded latencies, and after those of the same
    members on other queries; in random orders where latencies are unknown. Of the pairs that keep the bound
    the one with the lowest 95th percentile of the wait is taken, relative to waiting for all, at the set size
    that gains least; without latencies the lowest level, at 0 seconds. None where no level keeps the bound,
    and for pools of two.

    A loss is half in accuracy and half in confidence, which depends less on chance. Both its mean for every
    set size and the upper bound of its mean over all sizes have to be within 0.3 points.

    Args:
        recorded: Votes on n queries.
        probabilities: P(correct) of heads that had not seen the query, (n, K).
        calls: Latency of each call.
        latencies: Recorded latencies, (K,), for the tie rule.
        votes: Learned vote per fold, fitted on the other folds.
        seed: Seed of the order of arrival.
    """
    sizes = [size for size in _SIZES if size <= probabilities.shape[1]]
    if not sizes:
        return None
    times = calls.latencies
    # Unknown latencies are NaN; where all are 0 there is no order of arrival.
    timed = bool((times > 0).all())
    orders = orders_of_arrival(times if timed else None, probabilities.shape, seed=seed)
    replayed = []
    for size in sizes:
        called, arrived = top(probabilities, size), []
        for order in orders:
            arrivals = np.where(called, order, np.inf)
            arrived.append(replay_arrivals(recorded, probabilities, latencies, votes, arrivals, size))
        replayed.append(_ReplayedSize(orders=arrived))
    best, shortest = None, np.inf
    for after_s in (0.0, *(np.quantile(times, _LATE).tolist() if timed else ())):
        found = _lowest_level(replayed, after_s)
        if found is None:
            continue
        wait = max(size.wait_share(found.level, after_s) for size in replayed)
        if wait < shortest:
            best, shortest = found, wait
    return best


def orders_of_arrival(
    times: NDArray[np.float64] | None, shape: tuple[int, ...], *, seed: int
) -> list[NDArray[np.float64]]:
    """Times of arrival, (n, K) each: the recorded ones, then each member's in another order of queries.

    Random times where none are recorded.
    """
    rng = np.random.default_rng(seed)
    if times is None:
        return list(rng.random((_ORDERS, *shape)))
    return [times, *(rng.permuted(times, axis=0) for _ in range(_ORDERS - 1))]


def _lowest_level(replayed: Sequence[_ReplayedSize], after_s: float) -> Patience | None:
    """The lowest level that keeps the bound, if any."""
    for level in np.array(_LEVELS) / 100:
        losses = np.stack([size.loss(level, after_s) for size in replayed])
        mean, error = mean_and_error(losses.mean(axis=0))
        limit = mean + ONE_SIDED_95 * error
        loss = float(losses.mean(axis=1).max())
        if max(loss, limit) <= _MOST_LOSS:
            return Patience(level=float(level), after_s=after_s, loss=loss, limit=limit)
    return None


def last_arrivals(
    times: NDArray[np.float64], lead: NDArray[np.float64], *, level: float, after_s: float
) -> NDArray[np.intp]:
    """Arrival after which each vote ends, (n,).

    A vote ends once most replies are in, the lead has reached the level and `after_s` is over; with
    the last reply at the latest.

    Args:
        times: Time of each arrival, (size, n), ascending.
        lead: Lead after each arrival, (size, n).
        level: Lead that ends a vote.
        after_s: Seconds before which no vote ends by its lead.
    """
    size = len(times)
    enough = [most_replied(n, size - n) for n in range(1, size + 1)]
    ends = (lead >= level) & np.array(enough)[:, None]
    # Where the next reply comes before that time, it is in when the time is over.
    ends[:-1] &= times[1:] > after_s
    ends[-1] = True
    last: NDArray[np.intp] = np.argmax(ends, axis=0)
    return last


def waiting_times(
    times: NDArray[np.float64], ends: NDArray[np.intp], *, after_s: float
) -> NDArray[np.float64]:
    """Time at which each vote ends, (n,), given the arrivals (size, n) and the last one of each vote (n,)."""
    last = times[ends, np.arange(len(ends))]
    return np.where(ends < len(times) - 1, np.maximum(last, after_s), last)


def replay_arrivals(
    recorded: RecordedVotes,
    probabilities: NDArray[np.float64],
    latencies: NDArray[np.float64],
    votes: CrossFittedVotes,
    arrivals: NDArray[np.float64],
    size: int,
) -> ReplayedArrivals:
    """Votes of `size` called members, by a vote per fold, as their replies arrive.

    Args:
        recorded: Votes on n queries.
        probabilities: P(correct), (n, K).
        latencies: Recorded latencies, (K,), for the tie rule.
        votes: Learned vote per fold.
        arrivals: Time of each reply, (n, K); infinite for members that are not called.
        size: Called members of each query.
    """
    ranks = np.argsort(np.argsort(arrivals, axis=1), axis=1)
    replays = [votes.replay(recorded, ranks <= i, probabilities, latencies) for i in range(size)]
    score, confidence, lead = np.stack([(one.score, one.confidence, one.lead) for one in replays], axis=1)
    times = np.sort(arrivals, axis=1)[:, :size].T
    return ReplayedArrivals(times=times, confidence=confidence, lead=lead, score=score)
