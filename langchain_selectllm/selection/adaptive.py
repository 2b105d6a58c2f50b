"""The adaptive policies: the operating point for a budget, applied to queries."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.further_rounds import FurtherRounds
from langchain_selectllm.selection.operating_points import (
    SINGLE_BEST,
    CallingRule,
    OperatingBudget,
    OperatingPoint,
)
from langchain_selectllm.selection.policies import Selection, get_pool_vote, top
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.voting.ballots import CallMatrix


@dataclass(frozen=True, kw_only=True)
class Adaptive(OperatingBudget):
    """One or two rounds of parallel calls, by the best operating point within the budget."""

    guarded: bool = False
    """Whether the single best member is called where validation gave no evidence that another rule, by query
    or of a fixed set, is better."""

    @property
    def vote(self) -> str:
        """The learned vote."""
        return "learned"

    def point(self, pool: PoolStatistics) -> OperatingPoint:
        """The operating point for the budget.

        Raises:
            PolicyError: If no operating point is within the budget, or the budget has more calls than the
                pool has members.
        """
        n_members = len(pool.members)
        repeats = any(point.rule.ranking == "samples" for point in pool.operating_points)
        if self.calls is not None and self.calls > n_members and not repeats:
            raise PolicyError(
                f"A budget of {self.calls:g} calls does not fit the pool ({n_members} members), which are "
                f"called once each. Use {n_members} calls at most."
            )
        found = self.find(pool)
        if found is None:
            raise PolicyError(self._out_of_reach(pool))
        return found

    def find(self, pool: PoolStatistics) -> OperatingPoint | None:
        """The operating point for the budget; None when no point is within it."""
        best = self.best(self._points(pool))
        if not self.guarded or best is None or best.evidence:
            return best
        return self.best(point for point in pool.operating_points if point.rule == SINGLE_BEST) or best

    def _out_of_reach(self, pool: PoolStatistics) -> str:
        """Returns the message about an unreachable budget, with the smallest possible one."""
        points = [point for point in self._points(pool) if point.rule.rounds <= self.max_rounds]
        if not points:
            return (
                "No operating point was learned. Use another policy, such as weighted_max_conf:3, or train "
                "on outcomes with replies to vote on."
            )
        budget, smallest = [], []
        for name, bound in self.bounds().items():
            budget.append(f"{name}={bound:g}")
            least = np.nanmin([getattr(point, name) for point in points] + [np.inf])
            if np.isinf(least):
                smallest.append(f"{name} was not recorded: train on outcomes with {name}")
            else:
                smallest.append(f"the smallest possible {name} is {_rounded_up(least):.3g}")
        return (
            f"No operating point keeps {' and '.join(budget)} in at most {self.max_rounds} rounds; "
            f"{', and '.join(smallest)}."
        )

    def _points(self, pool: PoolStatistics) -> tuple[OperatingPoint, ...]:
        if self.guarded:
            return pool.operating_points
        return tuple(point for point in pool.operating_points if point.rule.ranking != "fixed")

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """Members of the first round of each query, and of the second one.

        Raises:
            PolicyError: If no operating point is within the budget.
        """
        rule = self.point(pool).rule
        calls = planned_calls(rule, rule.first, probabilities, pool)
        further = samples = None
        if rule.rounds > 1:
            added = added_calls(planned_calls(rule, rule.size, probabilities, pool), calls)
            further = FurtherRounds(threshold=rule.threshold, added=added)
        if rule.ranking == "samples":
            samples = calls.astype(np.int64)
        return Selection(
            mask=calls > 0,
            probabilities=probabilities,
            reasons=(_reason(rule),) * len(probabilities),
            vote=get_pool_vote(self.vote, pool),
            further=further,
            samples=samples,
        )


def _rounded_up(value: float) -> float:
    """Returns the value rounded up to three significant digits, so that it is within reach as a budget."""
    scale = 10.0 ** (2 - np.floor(np.log10(value)))
    return float(np.ceil(value * scale) / scale)


def planned_calls(
    rule: CallingRule, size: int, probabilities: NDArray[np.float64], pool: PoolStatistics
) -> CallMatrix:
    """The `size` best members of the rule's ranking for each query, or `size` calls of the best, (n, K)."""
    if rule.ranking == "samples":
        return size * top(probabilities, 1).astype(np.int64)
    if rule.ranking == "fixed":
        return np.tile(pool.fixed_mask(size), (len(probabilities), 1))
    if rule.cost_weight == 0.0:
        return top(probabilities, size)
    return top(probabilities - rule.cost_weight * pool.costs / pool.costs.mean(), size)


def added_calls(after: CallMatrix, before: CallMatrix) -> CallMatrix:
    """Calls that come on top of earlier ones, (n, K)."""
    if after.dtype == np.bool_:
        return after.astype(np.bool_) & ~before.astype(np.bool_)
    return after.astype(np.int64) - before


def _reason(rule: CallingRule) -> str:
    reason = f"the {rule.first} members with the highest probability"
    if rule.ranking == "samples" and rule.first > 1:
        reason = f"{rule.first} samples of the member with the highest probability"
    elif rule.first == 1:
        reason = "the member with the highest probability"
    if rule.ranking == "fixed":
        reason = f"the best fixed set of size {rule.first}"
    elif rule.cost_weight > 0:
        reason = f"{reason} less cost"
    if rule.rounds == 1:
        return reason
    added = f"up to {rule.size}"
    if rule.ranking == "samples":
        added = f"{rule.size - rule.first} more samples"
    return f"{reason}, and {added} where the confidence is below {rule.threshold:.2f}"
