"""The bill of one request: cost of the replies, and estimates for calls that were started and gave none."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from langchain_core.messages.ai import UsageMetadata, add_usage

from langchain_selectllm.exceptions import DeadlineError
from langchain_selectllm.fanout.call_plan import CallPlan
from langchain_selectllm.members.prices import FREE, CallCost
from langchain_selectllm.members.registry import Member
from langchain_selectllm.routing.judge import JudgeRequest
from langchain_selectllm.voting.call_numbers import in_pool_order

JUDGE = "judge"
_TOKENS = ("input_tokens", "output_tokens", "total_tokens", "input_token_details", "output_token_details")


@dataclass(frozen=True, kw_only=True)
class Bill:
    """Tokens and costs of one request's calls, by name; a member's second call is named `member#2`."""

    usage: Mapping[str, UsageMetadata | None]
    """Tokens of each reply; None where the model counts none."""
    costs: Mapping[str, CallCost | None]
    """Cost of each reply; None where it is unknown."""
    estimates: Mapping[str, CallCost | None]
    """Estimated cost of each call that was cancelled or late; None where it is unknown."""
    judge_usage: UsageMetadata | None
    judge_cost: CallCost | None
    """Cost of the judge's call; nothing without one, None where it is unknown."""

    @cached_property
    def total_usage(self) -> UsageMetadata | None:
        """Summed tokens of all replies and the judge; None when no model counts them."""
        total: UsageMetadata | None = None
        for usage in [*self.usage.values(), self.judge_usage]:
            if usage is not None:
                total = add_usage(total, usage)
        return total

    @cached_property
    def known(self) -> CallCost:
        """Summed cost of the replies and the judge, as far as it is known."""
        return _sum([*self.costs.values(), self.judge_cost])

    @cached_property
    def unknown(self) -> list[str]:
        """Members (or the judge) whose cost is neither known nor estimated."""
        unknown = [name for name, cost in {**self.costs, **self.estimates}.items() if cost is None]
        if self.judge_cost is None:
            unknown.append(JUDGE)
        return unknown

    @property
    def is_partial(self) -> bool:
        """Whether the summed tokens lack those of a call: cancelled, late, or not counted by its model."""
        return bool(self.estimates) or None in self.usage.values()

    def metadata(self) -> dict[str, Any]:
        """The bill as plain JSON."""
        estimated = _sum(self.estimates.values())
        cost_usd = None
        if not self.unknown:
            cost_usd = self.known.total_usd + estimated.total_usd
        by_member: dict[str, float | None] = {}
        for name, cost in {**self.costs, **self.estimates}.items():
            by_member[name] = None
            if cost is not None:
                by_member[name] = cost.total_usd
        return {
            "cost_usd": cost_usd,
            "cost": {
                "known_usd": self.known.total_usd,
                "estimated_usd": estimated.total_usd,
                "by_member": by_member,
                "estimated": list(self.estimates),
                "unknown": self.unknown,
            },
            "usage": self._priced_usage(),
            "usage_by_member": dict(self.usage),
            "usage_partial": self.is_partial,
        }

    def _priced_usage(self) -> dict[str, Any] | None:
        """Summed tokens, with their costs under LangSmith's names where all of them are known."""
        usage = self.total_usage
        if usage is None:
            return None
        priced: dict[str, Any] = dict(usage)
        if self.judge_cost is not None and None not in self.costs.values():
            priced["input_cost"] = self.known.input_usd
            priced["output_cost"] = self.known.output_usd
            priced["total_cost"] = self.known.total_usd
        return priced


def make_bill(
    plan: CallPlan,
    names: tuple[str, ...],
    labels: Mapping[int, str],
    models: Mapping[str, Member],
    judge: JudgeRequest | None,
) -> Bill:
    """The bill of a fan-out.

    A cancelled or late call is estimated as if it had been completed: the mean tokens of the replies at the
    member's own prices. Calls that failed otherwise are taken to cost nothing, as providers bill no errors.

    Args:
        plan: The fan-out, after its end.
        names: Names of the pool's members.
        labels: Names of the calls by number.
        models: The members with their prices.
        judge: Request to the judge; None without one.
    """
    usage: dict[str, UsageMetadata | None] = {}
    costs: dict[str, CallCost | None] = {}
    for call in in_pool_order(plan.replies, len(names)):
        reported = plan.replies[call].usage_metadata
        usage[labels[call]] = _tokens(reported)
        costs[labels[call]] = models[names[call % len(names)]].cost(reported)
    judge_usage: UsageMetadata | None = None
    judge_cost: CallCost | None = FREE
    if judge is not None:
        judge_usage = _tokens(judge.usage)
        judge_cost = judge.vote.member.cost(judge.usage)
    mean, estimates = _mean_tokens(usage.values()), dict[str, CallCost | None]()
    for call in _unfinished(plan):
        estimates[labels[call]] = models[names[call % len(names)]].cost(mean)
    return Bill(usage=usage, costs=costs, estimates=estimates, judge_usage=judge_usage, judge_cost=judge_cost)


def _unfinished(plan: CallPlan) -> list[int]:
    """Calls that were started and ended without a reply in time, ascending."""
    late = [k for k, error in plan.failures.items() if isinstance(error, DeadlineError)]
    return sorted([*plan.given_up, *late])


def _tokens(usage: UsageMetadata | None) -> UsageMetadata | None:
    """Token counts alone: costs are no whole numbers, which langchain-core cannot add."""
    if usage is None or "input_tokens" not in usage:
        return None
    return cast("UsageMetadata", {key: value for key, value in usage.items() if key in _TOKENS})


def _mean_tokens(usages: Iterable[UsageMetadata | None]) -> dict[str, float] | None:
    """Mean input and output tokens of the replies that count them; None without any."""
    counted = [usage for usage in usages if usage is not None]
    if not counted:
        return None
    n_replies = len(counted)
    return {
        "input_tokens": sum(usage["input_tokens"] for usage in counted) / n_replies,
        "output_tokens": sum(usage["output_tokens"] for usage in counted) / n_replies,
    }


def _sum(costs: Iterable[CallCost | None]) -> CallCost:
    total = FREE
    for cost in costs:
        if cost is not None:
            total += cost
    return total
