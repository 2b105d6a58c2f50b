"""Tally of one query: the winning answer, its supporters, and the rule that decided."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.ballots import ABSTAIN, Ballots
from langchain_selectllm.voting.votes import VoteStrategy, count_votes


class DecidedBy(StrEnum):
    """Rule that decided a vote."""

    VOTE = "vote"
    TIE_RULE = "tie rule"
    JUDGE = "judge"
    ESCALATION = "escalation"
    NO_AGREEMENT = "no two replies agree"
    """Of free text: the most probable member's reply stands alone."""
    NO_ANSWER = "no readable answer"
    WHOLE_OBJECTS = "whole objects"


@dataclass(frozen=True)
class Tally:
    """Counted vote over the replies to one prompt."""

    answer: str | None
    """The winning answer; None when every ballot abstains."""
    winner: str | None
    """Member whose reply stands for the answer: the most probable one among its supporters."""
    answers: dict[str, str | None]
    """Answer per ballot, by member (`member#2` for its second sample), in pool order; None = abstain."""
    scores: dict[str, float] = field(default_factory=dict)
    """Score per candidate answer."""
    support: float = 0.0
    """Share of the ballots cast (abstentions aside) that went to the answer, in [0, 1]."""
    confidence: float | None = None
    """Calibrated P(the answer is right); None without a learned vote to estimate it."""
    decided_by: DecidedBy = DecidedBy.VOTE
    """The rule that decided."""
    note: str | None = None
    """Reason why this rule decided in place of another; None where none was planned."""
    vote: str = "majority"
    supporters: tuple[str, ...] = ()
    """Ballots that went to the answer, named as in `answers`."""
    open_ended: bool = False
    """Whether several different answers can all be correct (free text, code, tool calls)."""

    def __str__(self) -> str:
        return self.answer or ""

    @property
    def explanation(self) -> str:
        """The rule that decided, with the note where there is one, as the metadata prints it."""
        if self.note is None:
            return str(self.decided_by)
        return f"{self.decided_by}, {self.note}"


@dataclass(frozen=True)
class _Supporter:
    slot: int
    verbatim: bool
    """Whether it gave the very answer, and not one that agrees with it."""


def tally(
    vote: VoteStrategy,
    ballots: Ballots,
    *,
    members: Sequence[str],
    open_ended: bool = False,
    ruling: str | None = None,
) -> Tally:
    """Counts the ballots of one query.

    Args:
        vote: Vote that scores the candidates.
        ballots: Ballots of one query.
        members: Names of the pool's K members.
        open_ended: Whether answers are free text, so that the tally reports when no two of them agree.
        ruling: Candidate that a judge has chosen; it wins whatever its score.
    """
    candidates = ballots.candidates[0]
    answers = _named_answers(ballots, members)
    verdict = count_votes(vote, ballots)
    code = int(verdict.winners[0])
    if code == ABSTAIN:
        return Tally(
            answer=None,
            winner=None,
            answers=answers,
            decided_by=DecidedBy.NO_ANSWER,
            vote=vote.name,
            open_ended=open_ended,
        )
    n_cast, existing = int((ballots.codes >= 0).sum()), np.flatnonzero(ballots.exists[0]).tolist()
    decided_by = DecidedBy.VOTE
    if verdict.tied[0]:
        decided_by = DecidedBy.TIE_RULE
    if open_ended and n_cast == len(existing) > 1:
        decided_by = DecidedBy.NO_AGREEMENT
    if ruling is not None:
        code, decided_by = list(candidates).index(ruling), DecidedBy.JUDGE
    supporters = list(_supporters(ballots, code))
    return Tally(
        answer=candidates[code],
        winner=members[_representative(supporters, ballots.probabilities[0])],
        answers=answers,
        scores={candidates[c]: float(verdict.scores[0, c]) for c in existing},
        support=len(supporters) / n_cast,
        decided_by=decided_by,
        vote=vote.name,
        supporters=supporter_names(answers, ballots, code),
        open_ended=open_ended,
    )


def supporter_names(answers: dict[str, str | None], ballots: Ballots, code: int) -> tuple[str, ...]:
    """Names of the ballots of one query that are counted for a candidate."""
    names = []
    for name, counted in zip(answers, ballots.codes[0].tolist(), strict=True):
        if counted == code:
            names.append(name)
    return tuple(names)


def _supporters(ballots: Ballots, code: int) -> Iterator[_Supporter]:
    slots, codes, own_codes = (
        ballots.members.tolist(),
        ballots.codes[0].tolist(),
        ballots.own_codes[0].tolist(),
    )
    for slot, counted, own in zip(slots, codes, own_codes, strict=True):
        if counted == code:
            yield _Supporter(slot=slot, verbatim=own == code)


def _representative(supporters: Sequence[_Supporter], probabilities: NDArray[np.float64]) -> int:
    def preference(supporter: _Supporter) -> tuple[bool, float, int]:
        """Verbatim answers first, then the more probable member, then pool order."""
        return supporter.verbatim, float(probabilities[supporter.slot]), -supporter.slot

    return max(supporters, key=preference).slot


def _named_answers(ballots: Ballots, members: Sequence[str]) -> dict[str, str | None]:
    """Answer of each ballot of one query by member; a member's second ballot is named `member#2`."""
    named: dict[str, str | None] = {}
    for slot, code in zip(ballots.members.tolist(), ballots.own_codes[0].tolist(), strict=True):
        name = key = members[slot]
        sample = 1
        while key in named:
            sample += 1
            key = f"{name}#{sample}"
        named[key] = None
        if code >= 0:
            named[key] = ballots.candidates[0][code]
    return named
