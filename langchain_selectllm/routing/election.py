"""Replies and failures in, one message out, with everything that led to it as plain JSON."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from numpy.typing import NDArray

from langchain_selectllm.exceptions import FanOutError
from langchain_selectllm.fanout.parallel import CallPlan
from langchain_selectllm.members.registry import ModelRegistry
from langchain_selectllm.routing.confidence_rule import ConfidenceRule
from langchain_selectllm.routing.decision import Decision
from langchain_selectllm.routing.judge import Case, JudgeVote, open_case
from langchain_selectllm.routing.output_parser import VotingOutputParser
from langchain_selectllm.selection.policies import get_pool_vote
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.voting.ballots import Ballots
from langchain_selectllm.voting.grounding import Reasoning, grounding, read_reasoning
from langchain_selectllm.voting.tally import Tally, tally
from langchain_selectllm.voting.votes import is_decided

UNANSWERED = "vote, because the member escalated to abstained"


class Ballot:
    """The vote over one prompt's replies, while they come in and at the end."""

    def __init__(
        self,
        decision: Decision,
        parser: VotingOutputParser,
        pool: PoolStatistics,
        registry: ModelRegistry,
        rule: ConfidenceRule | None = None,
    ) -> None:
        self._decision = decision
        self._parser = parser
        self._vote = decision.vote if parser.vote is None else get_pool_vote(parser.vote, pool)
        self._confidence = pool.vote
        self._registry = registry
        self._answers: dict[int, str | None] = {}
        self._reasons: dict[int, Reasoning] = {}
        self._rule = rule
        self._rounds = 1
        self._authority: int | None = None
        """The member whose answer is taken, once the confidence rule has turned to it."""
        self.case: Case | None = None
        """What a judge has to decide; None without a judge or without a choice."""

    @property
    def is_slow(self) -> bool:
        """Whether counting takes a model's work, which does not belong on an event loop."""
        return self._parser.is_slow

    def open_case(self, replies: Mapping[int, AIMessage]) -> Case | None:
        """What a judge has to decide before the replies are counted; to be settled by the caller."""
        if not replies or not (self.is_slow or isinstance(self._vote, JudgeVote)):
            return None
        # Casting does a comparing extractor's slow work, which is remembered for the count.
        ballots = self._cast(replies, self._decision.vote_probabilities)
        if self._authority is not None and self._authority in replies:
            return None
        answers = zip(sorted(replies), self._read(replies), strict=True)
        shown = {k: self._parser.shown(replies[k], answer) for k, answer in answers}
        self.case = open_case(self._vote, ballots, shown, self._decision.text)
        return self.case

    def is_decided(self, replies: Mapping[int, AIMessage], outstanding: Sequence[int]) -> bool:
        """Whether the outstanding members cannot change the winner, and nobody else has to be called.

        A winner that is not sure enough yet waits for them: they may make it so.
        """
        if self.is_slow or not self._is_settled(replies, outstanding):
            return False
        if self._decision.further is None and self._rule is None:
            return True
        confidence = self._sureness(replies)
        return not self._further_members(confidence, {*replies, *outstanding}) and (
            self._rule is None or confidence >= self._rule.minimum
        )

    def _is_settled(self, replies: Mapping[int, AIMessage], outstanding: Sequence[int]) -> bool:
        return is_decided(self._vote, self._cast(replies, self._decision.vote_probabilities), outstanding)

    def _sureness(self, replies: Mapping[int, AIMessage]) -> float:
        return self.count(replies).confidence or 0.0 if replies else 0.0

    def next_round(self, replies: Mapping[int, AIMessage], called: Collection[int]) -> Sequence[int]:
        """The members that the policy, then the confidence rule, adds when the answer is not sure enough."""
        if self._decision.further is None and self._rule is None:
            return ()
        confidence = self._sureness(replies)
        added = self._further_members(confidence, called)
        if added:
            self._rounds += 1
            return added
        if self._rule is not None and self._authority is None and confidence < self._rule.minimum:
            self._authority = self._rule.escalates_to(self._decision.members)
        return () if self._authority is None else (self._authority,)

    def _further_members(self, confidence: float, called: Collection[int]) -> Sequence[int]:
        """The members that the next round adds; the most probable first, since a bound on calls may let only some through."""
        further = self._decision.further
        if further is None:
            return ()
        added = further.next_members(confidence, called, self._rounds)
        return sorted(added, key=lambda k: (-self._decision.vote_probabilities[k], k))

    def count(self, replies: Mapping[int, AIMessage]) -> Tally:
        """The tally of the replies."""
        ballots = self._cast(replies, self._decision.vote_probabilities)
        counted = tally(
            self._vote,
            ballots,
            members=self._decision.members,
            open_ended=self._parser.open_ended,
            ruling=None if self.case is None else self.case.ruling,
        )
        instead = None if self.case is None else self.case.decided_by
        counted = replace(
            counted,
            decided_by=instead or counted.decided_by,
            # Of two different calls both can be right.
            open_ended=counted.open_ended
            or any(self._parser.calls_tools(reply) for reply in replies.values()),
        )
        if self._authority is not None and self._authority in replies:
            counted = self._escalated(counted, ballots, self._authority)
        return replace(counted, confidence=self._trust(counted, replies))

    def _escalated(self, counted: Tally, ballots: Ballots, authority: int) -> Tally:
        """The tally with the authority's answer in place of the voted one, which stands where the authority abstains."""
        name = self._decision.members[authority]
        answer = counted.answers[name]
        if answer is None:
            return counted if counted.answer is None else replace(counted, decided_by=UNANSWERED)
        code = _code(ballots, answer)
        supporters = tuple(
            member
            for member, own in zip(counted.answers, ballots.codes[0].tolist(), strict=True)
            if own == code
        )
        return replace(counted, answer=answer, winner=name, decided_by="escalation", supporters=supporters)

    def _trust(self, counted: Tally, replies: Mapping[int, AIMessage]) -> float | None:
        """Calibrated P(the answer is right): the learned vote's; a member's own where it replied alone."""
        if counted.answer is None:
            return 0.0
        if counted.decided_by == "judge":
            return None
        if self._confidence is not None:
            ballots = self._cast(replies, self._decision.probabilities)
            return float(self._confidence.posterior(ballots)[0, _code(ballots, counted.answer)])
        return float(self._decision.probabilities[next(iter(replies))]) if len(replies) == 1 else None

    def _cast(self, replies: Mapping[int, AIMessage], probabilities: NDArray[np.float64]) -> Ballots:
        slots, answers = sorted(replies), self._read(replies)
        calls = {
            answer for k, answer in zip(slots, answers, strict=True) if self._parser.calls_tools(replies[k])
        }
        return self._parser.cast(
            slots=slots,
            answers=answers,
            probabilities=probabilities,
            latencies=self._latencies(),
            lengths=[len(replies[k].text) for k in slots],
            grounds=None if self._confidence is None else partial(self._grounds, replies),
            exact=calls,
        )

    def _grounds(
        self, replies: Mapping[int, AIMessage], slots: Sequence[int], candidates: Sequence[str]
    ) -> NDArray[np.float64]:
        for k in replies.keys() - self._reasons.keys():
            self._reasons[k] = read_reasoning(replies[k].text)
        return grounding(self._decision.text, [self._reasons[k] for k in slots], candidates)

    def elected(self, message: AIMessage, counted: Tally) -> AIMessage:
        """The message that is returned, from the winning member's own."""
        del counted
        return message

    def told(self, counted: Tally) -> dict[str, Any]:
        """What the metadata says about the vote."""
        judged = {} if self.case is None else {"judge": self.case.told()}
        return {
            "answer": counted.answer,
            "answers": counted.answers,
            "supporters": list(counted.supporters),
            "open_ended": counted.open_ended,
            "support": counted.support,
            "confidence": counted.confidence,
            "vote": {
                "strategy": counted.vote,
                "scores": counted.scores,
                "decided_by": counted.decided_by,
                **judged,
            },
        }

    def _read(self, replies: Mapping[int, AIMessage]) -> list[str | None]:
        for k in replies.keys() - self._answers.keys():
            self._answers[k] = self._parser.extract(replies[k], self._decision.text)
        return [self._answers[k] for k in sorted(replies)]

    def _latencies(self) -> NDArray[np.float64]:
        known = [self._registry[name].latency_s for name in self._decision.members]
        return np.array([np.nan if value is None else value for value in known])


def _code(ballots: Ballots, answer: str) -> int:
    """The candidate that an answer to one query is counted for."""
    own = list(ballots.candidates[0]).index(answer)
    given = ballots.codes if ballots.given is None else ballots.given
    return int(ballots.codes[0, given[0] == own][0])


def merge(
    decision: Decision, plan: CallPlan, ballot: Ballot, registry: ModelRegistry, *, policy: str
) -> AIMessage:
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
    usage = _summed_usage(plan.replies, ballot.case)
    told = {
        **_decision_metadata(decision, policy),
        **ballot.told(counted),
        "winner": names[winner],
        **_call_metadata(decision, plan, registry, ballot.case),
        "usage": dict(usage) if usage else None,
    }
    metadata = {**message.response_metadata, "selectllm": told}
    return message.model_copy(update={"response_metadata": metadata, "usage_metadata": usage})


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


def _call_metadata(
    decision: Decision, plan: CallPlan, registry: ModelRegistry, case: Case | None
) -> dict[str, Any]:
    names = decision.members
    costs = [registry[names[k]].cost_usd(reply.usage_metadata) for k, reply in plan.replies.items()]
    if case is not None:
        costs.append(case.judge.member.cost_usd(case.usage))
    complete = len(plan.replies) == plan.calls and None not in costs
    return {
        "calls": plan.calls,
        "rounds": plan.rounds,
        "failures": {
            names[k]: {"error": type(error).__name__, "message": str(error)}
            for k, error in sorted(plan.failures.items())
        },
        "latencies_s": {names[k]: latency for k, latency in sorted(plan.latencies.items())},
        # Calls that failed or were cancelled may cost something too, but nobody says how much.
        "cost_usd": sum(cost for cost in costs if cost is not None) if complete else None,
        "topped_up": [names[k] for k in plan.topped_up],
        "held_back": [
            *decision.held_back,
            *(names[k] for k in plan.held_back if names[k] not in decision.held_back),
        ],
        "cancelled": [names[k] for k in plan.outstanding],
        "decided_early": bool(plan.outstanding),
        "abstained": False,
    }


def _summed_usage(replies: Mapping[int, AIMessage], case: Case | None) -> UsageMetadata | None:
    """Tokens of all replies and the judge; None when no model counts them."""
    total: UsageMetadata | None = None
    for usage in [
        *(replies[k].usage_metadata for k in sorted(replies)),
        None if case is None else case.usage,
    ]:
        if usage is not None:
            total = add_usage(total, usage)
    return total
