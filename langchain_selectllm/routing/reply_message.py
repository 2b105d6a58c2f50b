"""The message that a router returns: the winner's own, with decision, vote and costs as plain JSON."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata, add_usage

from langchain_selectllm.exceptions import FanOutError
from langchain_selectllm.fanout.call_plan import CallPlan
from langchain_selectllm.fanout.failures import fan_out_error
from langchain_selectllm.members.registry import Member
from langchain_selectllm.routing.decision import Decision
from langchain_selectllm.routing.election import Election
from langchain_selectllm.routing.judge import JudgeRequest


def reply_message(
    *,
    decision: Decision,
    plan: CallPlan,
    election: Election,
    models: Mapping[str, Member],
    policy: str,
) -> AIMessage:
    """The winner's own message, with metadata under `response_metadata["selectllm"]`.

    Where every reply abstains, the message of the most probable member that replied is returned, and the
    metadata says so.

    Raises:
        FanOutError: If no member replied.
    """
    if not plan.replies:
        raise _all_failed(decision, plan)
    tally = election.tally()
    if tally.winner is None:
        winner = max(plan.replies, key=lambda k: (decision.vote_probabilities[k], -k))
    else:
        winner = decision.members.index(tally.winner)
    message = election.elected_message(plan.replies[winner])
    usage = _total_usage(plan, election.judge)
    metadata = {
        **_decision_metadata(decision, policy),
        **election.metadata(),
        "winner": decision.members[winner],
        **_call_metadata(decision, plan, _total_cost(decision, plan, models, election.judge)),
        "usage": dict(usage) if usage else None,
    }
    response_metadata = {**message.response_metadata, "selectllm": metadata}
    return message.model_copy(update={"response_metadata": response_metadata, "usage_metadata": usage})


def _all_failed(decision: Decision, plan: CallPlan) -> FanOutError:
    failed = [decision.members[k] for k in sorted(plan.failures)]
    errors = [plan.failures[k] for k in sorted(plan.failures)]
    causes = ", ".join(f"{name}: {type(error).__name__}" for name, error in zip(failed, errors, strict=True))
    return fan_out_error(
        f"All {len(failed)} called members failed ({causes}). Each cause is in .exceptions.", errors, failed
    )


def _decision_metadata(decision: Decision, policy: str) -> dict[str, Any]:
    return {
        "text": decision.text,
        "probabilities": dict(zip(decision.members, decision.probabilities.tolist(), strict=True)),
        "selection": {
            "members": list(decision.selected_members),
            "policy": policy,
            "reason": decision.reason,
        },
        "left_out": dict(decision.left_out),
    }


def _call_metadata(decision: Decision, plan: CallPlan, cost_usd: float | None) -> dict[str, Any]:
    names = decision.members
    failures: dict[str, dict[str, str]] = {}
    for k, error in sorted(plan.failures.items()):
        failures[names[k]] = {"error": type(error).__name__, "message": str(error)}
    held_back = list(decision.held_back)
    for k in plan.held_back:
        if names[k] not in held_back:
            held_back.append(names[k])
    outstanding = plan.outstanding
    return {
        "calls": plan.calls,
        "rounds": plan.rounds,
        "failures": failures,
        "latencies_s": {names[k]: latency for k, latency in sorted(plan.latencies.items())},
        "cost_usd": cost_usd,
        "topped_up": [names[k] for k in plan.topped_up],
        "held_back": held_back,
        "cancelled": [names[k] for k in outstanding],
        "decided_early": bool(outstanding),
        "abstained": False,
    }


def _total_cost(
    decision: Decision, plan: CallPlan, models: Mapping[str, Member], judge: JudgeRequest | None
) -> float | None:
    """US dollars of all calls; None where a price, a usage, or the end of a call is unknown."""
    # Calls that failed or were cancelled may cost something too, but their cost is not reported.
    if len(plan.replies) != plan.calls:
        return None
    total = 0.0
    for k, reply in plan.replies.items():
        cost = models[decision.members[k]].cost_usd(reply.usage_metadata)
        if cost is None:
            return None
        total += cost
    if judge is not None:
        cost = judge.vote.member.cost_usd(judge.usage)
        if cost is None:
            return None
        total += cost
    return total


def _total_usage(plan: CallPlan, judge: JudgeRequest | None) -> UsageMetadata | None:
    """Tokens of all replies and the judge; None when no model counts them."""
    total: UsageMetadata | None = None
    usages = [plan.replies[k].usage_metadata for k in sorted(plan.replies)]
    if judge is not None:
        usages.append(judge.usage)
    for usage in usages:
        if usage is not None:
            total = add_usage(total, usage)
    return total
