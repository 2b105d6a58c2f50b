"""The election: replies to one prompt in, one at a time; a settled vote, further calls and a tally out."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage
from numpy.typing import NDArray

from langchain_selectllm.routing.election_terms import ElectionTerms
from langchain_selectllm.routing.judge import NO_RULING, JudgeRequest, JudgeVote, judge_request
from langchain_selectllm.routing.reply_reader import (
    Abstention,
    Reply,
    abstention_of,
    calls_tools,
    text_for_judge,
    text_of,
)
from langchain_selectllm.routing.reply_tokens import ReplyTokens
from langchain_selectllm.voting.ballots import Ballots, make_ballots
from langchain_selectllm.voting.call_numbers import in_pool_order, label_calls, members_of, number_calls
from langchain_selectllm.voting.grounding import Reasoning, grounding, read_reasoning
from langchain_selectllm.voting.learned_vote import most_replied
from langchain_selectllm.voting.tally import DecidedBy, Tally, supporter_names, tally
from langchain_selectllm.voting.votes import RunningScores

AUTHORITY_ABSTAINED = "because the member escalated to abstained"


class Election:
    """The vote over one prompt's replies, from the first reply to the tally.

    A reply is read once, when it is added. An additive vote is settled from running scores; ballots are built
    when a tally or a confidence is needed, and kept until the next reply.
    """

    def __init__(self, terms: ElectionTerms) -> None:
        """Start without replies."""
        self.terms = terms
        self.judge: JudgeRequest | None = None
        """Request to the judge; None without a judge, or without a choice."""
        self._replies: dict[int, Reply] = {}
        self._texts: dict[int, str] = {}
        self._answers: dict[int, str | None] = {}
        self._tool_calls: set[str | None] = set()
        """Answers that are tool calls."""
        self._abstentions: dict[int, Abstention] = {}
        self._reasons: dict[int, Reasoning] = {}
        self._tokens: ReplyTokens | None = None
        if terms.confidence is not None and terms.confidence.learned is not None:
            self._tokens = ReplyTokens(terms.confidence.learned)
        self._scores = RunningScores(terms.vote, terms.probabilities)
        self._ballots: Ballots | None = None
        self._tally: Tally | None = None
        self._rounds = 1
        self.is_impatient = False
        """Whether the vote ended at the level of `patience`, before it was settled."""
        self._authority: int | None = None
        """Member whose answer is taken, once the confidence rule has escalated to it."""

    @property
    def _n_members(self) -> int:
        return len(self.terms.members)

    @property
    def _calls(self) -> list[int]:
        """Numbers of the calls that replied, in pool order."""
        return in_pool_order(self._replies, self._n_members)

    @property
    def is_slow(self) -> bool:
        """Whether counting runs a model, which would block an event loop."""
        return self.terms.reader.is_slow

    def add(self, call: int, reply: Reply) -> None:
        """Read the reply of a call, by its number, and count its ballot."""
        answer = self._read(call, reply)
        self._replies[call] = reply
        self._texts[call] = text_of(reply)
        self._answers[call] = answer
        if answer is None:
            self._abstentions[call] = self._abstention(reply)
        if calls_tools(reply):
            self._tool_calls.add(answer)
        if self._tokens is not None:
            self._tokens.add(call, reply, answer)
        self._scores.add(call % self._n_members, answer)
        self._ballots = self._tally = None

    def is_settled(self, outstanding: Sequence[int], *, are_late: bool = True) -> bool:
        """Whether the outstanding members cannot change the winner, and no other member has to be called.

        With `patience` they may change it, but they are late and the lead has reached that level. A winner
        below the least confidence waits for them: they may raise it.
        """
        if self.is_slow:
            return False
        if not self._is_vote_settled(outstanding):
            self.is_impatient = are_late and self._is_ahead(outstanding)
            if not self.is_impatient:
                return False
        if not self.terms.depends_on_confidence:
            return True
        if self._is_below_minimum():
            return False
        return not self._further_members({*self._replies, *outstanding})

    def next_round(self, called: Collection[int]) -> Sequence[int]:
        """Members that the policy, then the confidence rule, calls because the confidence is too low."""
        if not self.terms.depends_on_confidence:
            return ()
        further = self._further_members(called)
        if further:
            self._rounds += 1
            return number_calls(further, self._n_members, called)
        rule = self.terms.rule
        if rule is not None and self._authority is None and self._is_below_minimum():
            self._authority = rule.escalates_to(self.terms.members)
            self._tally = None
        if self._authority is None:
            return ()
        return (self._authority,)

    def request_judge(self) -> JudgeRequest | None:
        """The request to the judge, to be made before the tally; None without a judge, or without a choice.

        Builds the ballots, which is the slow part of a slow election.
        """
        if not self._replies:
            return None
        ballots = self._built_ballots()
        if isinstance(self.terms.vote, JudgeVote) and self._authority not in self._replies:
            texts = [text_for_judge(self._replies[call], self._answers[call]) for call in self._calls]
            self.judge = judge_request(self.terms.vote, ballots, texts, self.terms.query)
            self._tally = None
        return self.judge

    def tally(self) -> Tally:
        """The counted vote over the replies so far."""
        if self._tally is None:
            self._tally = self._count()
        return self._tally

    def winning_call(self) -> int:
        """Number of the call whose reply stands for the answer.

        Where every reply abstains, that of the most probable member that replied.
        """
        counted = self.tally()
        if counted.winner is None:
            return max(
                self._calls, key=lambda call: (self.terms.probabilities[call % self._n_members], -call)
            )
        return self._first_call(counted)

    def _first_call(self, counted: Tally) -> int:
        """The winner's first call that gave the answer; its first call where none gave exactly that."""
        calls = [k for k in self._calls if self.terms.members[k % self._n_members] == counted.winner]
        return min(calls, key=lambda call: (self._answers[call] != counted.answer, call))

    def elected_message(self, message: AIMessage) -> AIMessage:
        """The message to return, given the winning member's own."""
        return message

    def metadata(self) -> dict[str, Any]:
        """The vote as plain JSON."""
        counted, labels = self.tally(), label_calls(self._calls, self.terms.members)
        vote: dict[str, Any] = {
            "strategy": counted.vote,
            "scores": counted.scores,
            "decided_by": counted.explanation,
        }
        if self._tokens is not None:
            vote |= self._tokens.metadata(self._built_ballots(), self.terms.members, counted.vote)
        if self.judge is not None:
            vote["judge"] = self.judge.metadata()
        return {
            "answer": counted.answer,
            "answers": counted.answers,
            "abstentions": {labels[k]: str(self._abstentions[k]) for k in labels if k in self._abstentions},
            "supporters": list(counted.supporters),
            "open_ended": counted.open_ended,
            "support": counted.support,
            "confidence": counted.confidence,
            "vote": vote,
        }

    def _read(self, call: int, reply: Reply) -> str | None:
        del call
        return self.terms.reader.read(reply, self.terms.query)

    def _abstention(self, reply: Reply) -> Abstention:
        return abstention_of(reply)

    def _is_vote_settled(self, outstanding: Sequence[int]) -> bool:
        return self._scores.is_settled(members_of(outstanding, self._n_members))

    def _confidence(self) -> float:
        if not self._replies:
            return 0.0
        return self.tally().confidence or 0.0

    def _is_ahead(self, outstanding: Sequence[int]) -> bool:
        """Whether most replies are in and the winner's lead has reached the level of `patience`."""
        terms = self.terms
        if terms.patience is None or terms.confidence is None:
            return False
        if not most_replied(len(self._replies), len(outstanding)):
            return False
        return terms.confidence.lead(self.tally(), self._built_ballots()) >= terms.patience

    def _is_below_minimum(self) -> bool:
        return self.terms.rule is not None and self._confidence() < self.terms.rule.minimum

    def _further_members(self, called: Collection[int]) -> Sequence[int]:
        """Members of the next round, the most probable first, since `max_calls` may cut the list."""
        if self.terms.further is None:
            return ()
        members = members_of(called, self._n_members)
        added = self.terms.further.next_members(self._confidence(), members, self._rounds)
        return sorted(added, key=lambda k: (-self.terms.probabilities[k], k))

    def _count(self) -> Tally:
        terms, ballots = self.terms, self._built_ballots()
        ruling = None
        if self.judge is not None:
            ruling = self.judge.ruling
        counted = tally(
            terms.vote,
            ballots,
            members=terms.members,
            open_ended=terms.reader.open_ended,
            ruling=ruling,
        )
        if self.judge is not None and self.judge.failure is not None:
            counted = replace(counted, decided_by=DecidedBy.VOTE, note=NO_RULING)
        if self._tool_calls:
            # Two different calls can both be right.
            counted = replace(counted, open_ended=True)
        if self._authority is not None and self._authority in self._replies:
            counted = self._escalated(counted, ballots, terms.members[self._authority])
        if terms.confidence is not None:
            counted = replace(counted, confidence=terms.confidence.of(counted, ballots))
        return counted

    def _escalated(self, counted: Tally, ballots: Ballots, authority: str) -> Tally:
        """The tally with the authority's answer; the voted one stands where the authority abstains."""
        answer = counted.answers[authority]
        if answer is None:
            if counted.answer is None:
                return counted
            return replace(counted, decided_by=DecidedBy.VOTE, note=AUTHORITY_ABSTAINED)
        return replace(
            counted,
            answer=answer,
            winner=authority,
            decided_by=DecidedBy.ESCALATION,
            note=None,
            supporters=supporter_names(counted.answers, ballots, ballots.code_of(answer)),
        )

    def _built_ballots(self) -> Ballots:
        """The ballots of the replies so far, in pool order."""
        if self._ballots is None:
            calls, grounds, tokens = self._calls, None, None
            if self._tokens is not None:
                grounds, tokens = self._grounds, partial(self._tokens.signals, calls)
            self._ballots = make_ballots(
                slots=members_of(calls, self._n_members),
                answers=[self._answers[k] for k in calls],
                probabilities=self.terms.probabilities,
                latencies=self.terms.latencies,
                lengths=[len(self._texts[k]) for k in calls],
                agreement=self.terms.reader.agreement(self._tool_calls),
                grounds=grounds,
                tokens=tokens,
            )
        return self._ballots

    def _grounds(self, candidates: Sequence[str]) -> NDArray[np.float64]:
        """Grounding of each candidate in each reply, in pool order."""
        for k in self._calls:
            if k not in self._reasons:
                self._reasons[k] = read_reasoning(self._texts[k])
        return grounding(self.terms.query, [self._reasons[k] for k in self._calls], candidates)
