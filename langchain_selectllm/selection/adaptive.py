"""The adaptive policies: the operating point for a budget, applied to queries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.one_round_policies import FixedBest, LearnedMaxConf
from langchain_selectllm.selection.operating_points import (
    SINGLE_BEST,
    CallingRule,
    FurtherRounds,
    OperatingBudget,
    OperatingPoint,
    Ranking,
    ranked,
)
from langchain_selectllm.selection.policies import Policy, Selection
from langchain_selectllm.selection.pool_statistics import PoolStatistics, added_calls
from langchain_selectllm.selection.self_consistency import RoutedSelfConsistency

_RANKINGS: dict[Ranking, Callable[..., Policy]] = {
    "query": LearnedMaxConf,
    "fixed": FixedBest,
    "samples": RoutedSelfConsistency,
}


@dataclass(frozen=True, kw_only=True)
class Adaptive(OperatingBudget):
    """One or two rounds of parallel calls, by the best operating point within the budget."""

    vote: ClassVar[str] = "learned"
    guarded: bool = False
    """Whether the single best member is called where validation gave no evidence that another rule, by query
    or of a fixed set, is better."""

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
            raise PolicyError(self._out_of_reach(self._points(pool)))
        return found

    @lru_cache(maxsize=64)  # noqa: B019 - bounded; a router decides by one policy and one pool
    def find(self, pool: PoolStatistics) -> OperatingPoint | None:
        """The operating point for the budget; None when no point is within it."""
        best = self.first(self._points(pool))
        if not self.guarded or best is None or best.evidence:
            return best
        return self.first(point for point in pool.operating_points if point.rule == SINGLE_BEST) or best

    def _points(self, pool: PoolStatistics) -> list[OperatingPoint]:
        """The points of this policy, the best first."""
        points = ranked(pool.operating_points)
        return [point for point in points if self.guarded or point.rule.ranking != "fixed"]

    def _out_of_reach(self, points: Sequence[OperatingPoint]) -> str:
        """Returns the message about an unreachable budget, with the smallest possible one."""
        if not points:
            return (
                "No operating point was learned. Use another policy, such as weighted_max_conf:3, or train "
                "on outcomes with replies to vote on."
            )
        budget, smallest = [], []
        for unit, bound in self.bounds().items():
            budget.append(f"{unit}={bound:g}")
            least = np.nanmin([getattr(point, unit) for point in points] + [np.inf])
            if np.isinf(least):
                smallest.append(f"{unit} was not recorded: train on outcomes with {unit}")
            else:
                # Half a per cent more is within reach when rounded to three digits.
                smallest.append(f"the smallest possible {unit} is {1.005 * least:.3g}")
        return (
            f"No operating point keeps {' and '.join(budget)} in at most {self.max_rounds} rounds; "
            f"{', and '.join(smallest)}."
        )

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """Members of the first round of each query, and of the second one.

        Raises:
            PolicyError: If no operating point is within the budget.
        """
        rule = self.point(pool).rule
        first = select_best(rule, rule.first, probabilities, pool)
        reason, further = "", None
        if rule.cost_weight > 0:
            reason = " (probability less cost)"
        if rule.rounds > 1:
            both = select_best(rule, rule.size, probabilities, pool)
            added = added_calls(both.calls, first.calls)
            further = FurtherRounds(threshold=rule.threshold, added=added)
            more = rule.size - rule.first
            reason += f", and up to {more} more where the confidence is below {rule.threshold:.2f}"
        reasons = tuple(f"{by_ranking}{reason}" for by_ranking in first.reasons)
        return replace(first, probabilities=probabilities, reasons=reasons, further=further)


def select_best(
    rule: CallingRule, size: int, probabilities: NDArray[np.float64], pool: PoolStatistics
) -> Selection:
    """One round of the `size` best members of the rule's ranking, or of `size` calls of the best member."""
    values = probabilities
    if rule.cost_weight > 0:
        values = probabilities - rule.cost_weight * pool.costs / pool.costs.mean()
    return _RANKINGS[rule.ranking](size, vote="learned").select(values, pool)
