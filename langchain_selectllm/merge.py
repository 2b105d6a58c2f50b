"""Replies and failures in, one message out, with everything that led to it as plain JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata, add_usage

from langchain_selectllm.decision import Decision
from langchain_selectllm.exceptions import FanOutError
from langchain_selectllm.fanout import CallPlan
from langchain_selectllm.output_parser import VotingOutputParser
from langchain_selectllm.registry import ModelRegistry
from langchain_selectllm.voting import Ballots, Tally, VoteStrategy, encode_answers, is_decided, tally


class Ballot:
    """The vote over one prompt's replies, while they come in and at the end."""

    def __init__(
        self, decision: Decision, parser: VotingOutputParser, default_vote: VoteStrategy, registry: ModelRegistry
    ) -> None:
        self._decision = decision
        self._parser = parser
        self._vote = parser.strategy(default_vote)
        self._registry = registry
        self._answers: dict[int, str | None] = {}

    def is_decided(self, replies: Mapping[int, AIMessage], outstanding: Sequence[int]) -> bool:
        """Whether the outstanding members cannot change the winner."""
        slots = sorted(replies)
        codes, _ = encode_answers(self._read(replies))
        probabilities = self._decision.vote_probabilities[None, :]
        ballots = Ballots(codes[None, :], np.array(slots, dtype=np.intp), probabilities, self._latencies())
        return is_decided(self._vote, ballots, outstanding)

    def count(self, replies: Mapping[int, AIMessage]) -> Tally:
        """The tally of the replies."""
        return tally(
            self._vote,
            members=self._decision.members,
            slots=sorted(replies),
            answers=self._read(replies),
            probabilities=self._decision.vote_probabilities,
            latencies=self._latencies(),
        )

    def elected(self, message: AIMessage, counted: Tally) -> AIMessage:
        """The message that is returned, from the winning member's own."""
        del counted
        return message

    def told(self, counted: Tally) -> dict[str, Any]:
        """What the metadata says about the vote."""
        total = sum(counted.scores.values())
        score = None if counted.answer is None else counted.scores.get(counted.answer)
        return {
            "answer": counted.answer,
            "answers": counted.answers,
            "support": counted.support,
            "confidence": score / total if score is not None and total else None,
            "vote": {"strategy": counted.vote, "scores": counted.scores, "decided_by": counted.decided_by},
        }

    def _read(self, replies: Mapping[int, AIMessage]) -> list[str | None]:
        for k in replies.keys() - self._answers.keys():
            self._answers[k] = self._parser.extract(replies[k], self._decision.text)
        return [self._answers[k] for k in sorted(replies)]

    def _latencies(self) -> Any:
        known = [self._registry[name].latency_s for name in self._decision.members]
        return np.array([np.nan if value is None else value for value in known])


def merge(decision: Decision, plan: CallPlan, ballot: Ballot, registry: ModelRegistry, *, policy: str) -> AIMessage:
    """The winner's own message, with the decision, the vote and the bill under `response_metadata["selectllm"]`.

    Where every reply abstains, the most probable member that replied stands in, and the metadata says so.

    Raises:
        FanOutError: If no member replied.
    """
    names = decision.members
    if not plan.replies:
        failed = sorted(plan.failures)
        causes = ", ".join(f"{names[k]}: {type(plan.failures[k]).__name__}" for k in failed)
        raise FanOutError(
            f"All {len(failed)} called members failed ({causes}). Each cause is in .exceptions.",
            [plan.failures[k] for k in failed],
            [names[k] for k in failed],
        )
    counted = ballot.count(plan.replies)
    stand_in = max(plan.replies, key=lambda k: (decision.vote_probabilities[k], -k))
    winner = stand_in if counted.winner is None else names.index(counted.winner)
    message = ballot.elected(plan.replies[winner], counted)
    usage = _summed_usage(plan.replies)
    told = {
        **_decision_metadata(decision, policy),
        **ballot.told(counted),
        "winner": names[winner],
        **_call_metadata(decision, plan, registry),
        "usage": dict(usage) if usage else None,
    }
    metadata = {**message.response_metadata, "selectllm": told}
    return message.model_copy(update={"response_metadata": metadata, "usage_metadata": usage})


def _decision_metadata(decision: Decision, policy: str) -> dict[str, Any]:
    return {
        "probabilities": dict(zip(decision.members, decision.probabilities.tolist(), strict=True)),
        "selection": {"members": list(decision.selected_members), "policy": policy, "reason": decision.reason},
        "left_out": dict(decision.left_out),
    }


def _call_metadata(decision: Decision, plan: CallPlan, registry: ModelRegistry) -> dict[str, Any]:
    names = decision.members
    costs = [registry[names[k]].cost_usd(reply.usage_metadata) for k, reply in plan.replies.items()]
    complete = len(plan.replies) == plan.calls and None not in costs
    return {
        "calls": plan.calls,
        "failures": {
            names[k]: {"error": type(error).__name__, "message": str(error)} for k, error in sorted(plan.failures.items())
        },
        "latencies_s": {names[k]: latency for k, latency in sorted(plan.latencies.items())},
        # Calls that failed or were cancelled may cost something too, but nobody says how much.
        "cost_usd": sum(cost for cost in costs if cost is not None) if complete else None,
        "topped_up": [names[k] for k in plan.topped_up],
        "cancelled": [names[k] for k in plan.outstanding],
        "decided_early": bool(plan.outstanding),
    }


def _summed_usage(replies: Mapping[int, AIMessage]) -> UsageMetadata | None:
    """Tokens of all replies; None when no member counts them."""
    total: UsageMetadata | None = None
    for k in sorted(replies):
        if replies[k].usage_metadata is not None:
            total = add_usage(total, replies[k].usage_metadata)
    return total
