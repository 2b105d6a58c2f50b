"""The message that a router returns: the winner's own, with decision, vote and costs as plain JSON."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage

from langchain_selectllm.exceptions import FanOutError
from langchain_selectllm.fanout.call_plan import CallPlan
from langchain_selectllm.fanout.failures import fan_out_error
from langchain_selectllm.members.registry import Member
from langchain_selectllm.routing.bill import make_bill
from langchain_selectllm.routing.decision import Decision
from langchain_selectllm.routing.election import Election
from langchain_selectllm.routing.request_log import log_failures, log_fallbacks


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
    log_failures({decision.members[k]: error for k, error in sorted(plan.failures.items())})
    if not plan.replies:
        raise _all_failed(decision, plan)
    tally = election.tally()
    if tally.winner is None:
        winner = max(plan.replies, key=lambda k: (decision.vote_probabilities[k], -k))
    else:
        winner = decision.members.index(tally.winner)
    message = election.elected_message(plan.replies[winner])
    bill = make_bill(plan, decision.members, models, election.judge)
    metadata = {
        **_decision_metadata(decision, policy),
        **election.metadata(),
        "winner": decision.members[winner],
        "winner_model": plan.replies[winner].response_metadata.get("model_name"),
        **_call_metadata(decision, plan),
        **bill.metadata(),
    }
    log_fallbacks(metadata)
    response_metadata = {**message.response_metadata, "selectllm": metadata}
    return message.model_copy(
        update={"response_metadata": response_metadata, "usage_metadata": bill.total_usage}
    )


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


def _call_metadata(decision: Decision, plan: CallPlan) -> dict[str, Any]:
    names = decision.members
    failures: dict[str, dict[str, str]] = {}
    for k, error in sorted(plan.failures.items()):
        failures[names[k]] = {"error": type(error).__name__, "message": str(error)}
    held_back = list(decision.held_back)
    for k in plan.held_back:
        if names[k] not in held_back:
            held_back.append(names[k])
    called = [[names[k] for k in members] for members in plan.called]
    outstanding = plan.outstanding
    return {
        "calls": plan.calls,
        "called": called,
        "rounds": plan.rounds,
        "failures": failures,
        "latencies_s": {names[k]: latency for k, latency in sorted(plan.latencies.items())},
        "topped_up": [names[k] for k in plan.topped_up],
        "held_back": held_back,
        "cancelled": [names[k] for k in outstanding],
        "decided_early": bool(outstanding),
        "abstained": False,
    }
