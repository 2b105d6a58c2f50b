"""The message that a router returns: the winner's own, with decision, vote and costs as plain JSON."""

from collections.abc import Iterable, Mapping, Sequence
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
from langchain_selectllm.voting.call_numbers import in_pool_order, label_calls, members_of


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
    labels = _label_calls(plan, decision.members)
    log_failures({labels[call]: error for call, error in sorted(plan.failures.items())})
    if not plan.replies:
        raise _all_failed(decision, plan)
    winner = election.winning_call()
    message = election.elected_message(plan.replies[winner])
    bill = make_bill(plan, decision.members, labels, models, election.judge)
    metadata = {
        **_decision_metadata(decision, policy),
        **election.metadata(),
        "winner": decision.members[winner % len(decision.members)],
        "winner_model": plan.replies[winner].response_metadata.get("model_name"),
        **_call_metadata(decision, plan, labels),
        "impatient": election.is_impatient and bool(plan.outstanding),
        **bill.metadata(),
    }
    log_fallbacks(metadata)
    response_metadata = {**message.response_metadata, "selectllm": metadata}
    return message.model_copy(
        update={"response_metadata": response_metadata, "usage_metadata": bill.total_usage}
    )


def _label_calls(plan: CallPlan, members: Sequence[str]) -> dict[int, str]:
    """Names of the calls; of one member's calls those that replied are numbered first."""
    n_members = len(members)
    calls = in_pool_order(plan.replies, n_members) + in_pool_order(plan.failures, n_members)
    return label_calls([*calls, *in_pool_order(plan.given_up, n_members)], members)


def _all_failed(decision: Decision, plan: CallPlan) -> FanOutError:
    calls = in_pool_order(plan.failures, len(decision.members))
    failed = [decision.members[call % len(decision.members)] for call in calls]
    errors = [plan.failures[call] for call in calls]
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


def _call_metadata(decision: Decision, plan: CallPlan, labels: Mapping[int, str]) -> dict[str, Any]:
    n_members = len(decision.members)

    def names(calls: Iterable[int]) -> list[str]:
        return [decision.members[k] for k in members_of(calls, n_members)]

    failures: dict[str, dict[str, str]] = {}
    for k in in_pool_order(plan.failures, n_members):
        error = plan.failures[k]
        failures[labels[k]] = {"error": type(error).__name__, "message": str(error)}
    held_back = list(decision.held_back)
    for name in names(plan.held_back):
        if name not in held_back:
            held_back.append(name)
    timed = in_pool_order(plan.latencies, n_members)
    outstanding = plan.outstanding
    return {
        "calls": plan.calls,
        "called": [names(calls) for calls in plan.called],
        "rounds": plan.rounds,
        "failures": failures,
        "latencies_s": {labels[k]: plan.latencies[k] for k in timed},
        "topped_up": names(plan.topped_up),
        "held_back": held_back,
        "cancelled": names(outstanding),
        "decided_early": bool(outstanding),
        "abstained": False,
    }
