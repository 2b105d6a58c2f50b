"""Contribution of each member of the pool: leave-one-out, share of calls, decisive ballots."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.member_pairs import answer_agreement, error_correlation
from langchain_selectllm.evaluation.replay import Recording, Replay
from langchain_selectllm.selection.policies import Policy

MARGIN = 0.01
"""Accuracy that a smaller pool may lose with 95 % confidence: one point, the resolution of a report."""


@dataclass(frozen=True, kw_only=True)
class SmallerPool:
    """A system replayed with some members unavailable, beside the same system with the whole pool."""

    without: tuple[str, ...]
    """Unavailable members; each call to one goes to the most probable member left."""
    difference: float
    """Accuracy minus that with the whole pool."""
    ci95: tuple[float, float]
    calls: float
    """Mean calls per query."""
    cost_share: float | None
    """Cost relative to the whole pool's, minus 1; None where costs are unknown or 0."""
    latency_share: float | None
    """Parallel latency relative to the whole pool's, minus 1; None where latencies are unknown or 0."""

    @property
    def is_within_margin(self) -> bool:
        """Whether the loss is shown to be at most one point."""
        return self.ci95[0] >= -MARGIN

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**vars(self), "without": list(self.without), "ci95": list(self.ci95)}


@dataclass(frozen=True, eq=False)
class MemberValue:
    """Computes the contribution of each member to one policy."""

    recording: Recording
    policy: Policy
    whole: Replay
    """The policy with the whole pool, with its trace."""
    bootstrap: Bootstrap

    def leave_one_out(self) -> list[SmallerPool]:
        """The policy without each member in turn, in pool order; empty for a pool of one."""
        members = self.recording.pool.members
        if len(members) == 1:
            return []
        return [self._without((name,)) for name in members]

    def smaller_pools(self, single: list[SmallerPool]) -> list[SmallerPool]:
        """Pools without the members that are never called, then with one member fewer each, down to one.

        Members leave in the order of what their absence alone costs, the least harmful first; of two equally
        harmful members the one whose absence saves more.

        Args:
            single: What `leave_one_out` returned.
        """
        idle = self._idle_members()
        called, dropped = [], []
        for one in single:
            if one.without[0] in idle:
                dropped.append(one.without[0])
            else:
                called.append(one)
        called.sort(key=lambda one: (-one.difference, one.cost_share or 0.0))
        pools = []
        if dropped:
            pools.append(self._without(tuple(dropped)))
        for one in called[:-1]:
            dropped.append(one.without[0])
            pools.append(self._without(tuple(dropped)))
        return pools

    def _idle_members(self) -> set[str]:
        """Members that the policy never calls."""
        assert self.whole.trace is not None
        idle = np.flatnonzero(self.whole.trace.mask.sum(axis=0) == 0)
        return {self.recording.pool.members[k] for k in idle.tolist()}

    def _without(self, names: tuple[str, ...]) -> SmallerPool:
        replay = self.whole
        # Without members that are never called every call stays as it was.
        if not self._idle_members().issuperset(names):
            trace = self.recording.trace(self.policy, unavailable=self.recording.pool.mask(names))
            replay = self.recording.replay_trace(self.whole.name, trace)
        difference = replay.score - self.whole.score
        return SmallerPool(
            without=names,
            difference=float(difference.mean()),
            ci95=self.bootstrap.interval(difference),
            calls=float(replay.calls.mean()),
            cost_share=_relative(replay.cost_usd, self.whole.cost_usd),
            latency_share=_relative(replay.latency_parallel_s, self.whole.latency_parallel_s),
        )

    def usage(self) -> list[dict[str, Any]]:
        """Per member: share of queries that call it, of decisive ballots, and of unreadable replies.

        A ballot decides where the vote without it has another winner, or none.
        """
        rows: list[dict[str, Any]] = []
        trace = self.whole.trace
        if trace is None:
            return rows
        for k, name in enumerate(self.recording.pool.members):
            called = trace.mask[:, k]
            decisive, gain = self._decisive(k)
            rows.append(
                {
                    "member": name,
                    "called_share": float(called.mean()),
                    "decisive_share": float(decisive.mean()),
                    "decisive_gain": float(gain.mean()),
                    "accuracy_when_called": _mean_of(self.recording.member_scores()[:, k], called),
                    "unreadable_share": float(self._unreadable(k).mean()),
                }
            )
        return rows

    def _decisive(self, member: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Whether the winner changes without the member's ballots, and the score that they add, (n,) each."""
        trace = self.whole.trace
        assert trace is not None
        calls = trace.calls.copy()
        calls[:, member] = 0
        votes = self.recording.votes_of(calls)
        verdict, score = self.recording.vote_on(trace.selection, calls)
        changed = (verdict.winners != trace.verdict.winners) & trace.mask[:, member]
        # Without any ballot there is no answer, whatever score the recording holds.
        score = np.where(calls.any(axis=1), score, 0.0)
        if votes.agreement is None:
            return changed, trace.score - score
        for i in np.flatnonzero(changed).tolist():
            before, after = int(trace.verdict.winners[i]), int(verdict.winners[i])
            if before >= 0 and after >= 0:
                changed[i] = votes.agreement[i][before, after] <= 0
        return changed, trace.score - score

    def _unreadable(self, member: int) -> NDArray[np.bool_]:
        unreadable = np.zeros(len(self.recording.outcomes), dtype=np.bool_)
        for i, answers in enumerate(self.recording.outcomes.answers[:, member]):
            unreadable[i] = bool(answers) and answers[0] is None
        return unreadable


def suggested_pool(pools: list[SmallerPool]) -> SmallerPool | None:
    """The last pool before the first one whose loss is not shown to be at most one point.

    Args:
        pools: Smaller and smaller pools.

    Returns:
        None where even the first pool may lose more.
    """
    suggested = None
    for pool in pools:
        if not pool.is_within_margin:
            break
        suggested = pool
    return suggested


def member_figures(value: MemberValue, member_scores: NDArray[np.float64]) -> dict[str, Any]:
    """Leave-one-out, smaller pools, usage, agreement of answers and error correlation as JSON types."""
    single = value.leave_one_out()
    pools = value.smaller_pools(single)
    suggested = suggested_pool(pools)
    figures: dict[str, Any] = {
        "margin": MARGIN,
        "leave_one_out": [one.to_dict() for one in single],
        "smaller_pools": [one.to_dict() for one in pools],
        "suggested_pool": None,
        "usage": value.usage(),
        "answer_agreement": None,
        "error_correlation": error_correlation(member_scores),
    }
    if suggested is not None:
        figures["suggested_pool"] = suggested.to_dict()
    if value.recording.can_vote:
        figures["answer_agreement"] = answer_agreement(value.recording.votes, value.recording.pool.members)
    return figures


def _relative(part: NDArray[np.float64], whole: NDArray[np.float64]) -> float | None:
    share = float(part.mean()) / (float(whole.mean()) or np.nan) - 1.0
    if np.isnan(share):
        return None
    return share


def _mean_of(values: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float | None:
    if not chosen.any():
        return None
    return float(values[chosen].mean())
