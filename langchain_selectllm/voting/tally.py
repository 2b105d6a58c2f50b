"""A decided vote over the replies to one prompt."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from langchain_selectllm.voting.ballots import ABSTAIN, Ballots
from langchain_selectllm.voting.votes import VoteStrategy, decide


@dataclass(frozen=True)
class Tally:
    """A decided vote over the replies to one prompt."""

    answer: str | None
    """The winning answer; None when every ballot abstains."""
    winner: str | None
    """The member whose reply stands for the answer: the most probable one among those that gave it."""
    answers: dict[str, str | None]
    """Each ballot's answer, by member (`member#2` for its second sample), in pool order; None = abstain."""
    scores: dict[str, float] = field(default_factory=dict)
    """Score of each candidate answer."""
    support: float = 0.0
    """Share of the ballots cast (abstentions aside) that went to the answer, in [0, 1]."""
    confidence: float | None = None
    """Calibrated P(the answer is right); None where nothing was learned to tell it."""
    decided_by: str = "vote"
    """"vote", "tie rule", "judge", "no two replies agree" (of free text: the most probable reply stands alone), or "no
    readable answer"."""
    vote: str = "majority"
    supporters: tuple[str, ...] = ()
    """Whose ballots went to the answer, named as in `answers`."""
    open_ended: bool = False
    """Whether answers are free text, so that another answer than a right one need not be wrong."""

    def __str__(self) -> str:
        return self.answer or ""


def tally(
    vote: VoteStrategy,
    ballots: Ballots,
    *,
    members: Sequence[str],
    open_ended: bool = False,
    ruling: str | None = None,
) -> Tally:
    """The decided vote over one query's ballots.

    Args:
        vote: How ballots are scored.
        ballots: Ballots of one query.
        members: Names of the pool's K members.
        open_ended: Whether answers are free text, so that the result must tell when no two of them agree.
        ruling: The candidate that a judge has chosen; it wins whatever its score.
    """
    slots, codes = ballots.members.tolist(), ballots.codes[0]
    given = codes if ballots.given is None else ballots.given[0]
    candidates = ballots.candidates[0]
    cast_answers = [None if code < 0 else candidates[code] for code in given.tolist()]
    named = _ballot_names([members[slot] for slot in slots], cast_answers)
    verdict = decide(vote, ballots)
    code = int(verdict.winners[0])
    if code == ABSTAIN:
        return Tally(
            None, None, named, decided_by="no readable answer", vote=vote.name, open_ended=open_ended
        )
    decided_by = "tie rule" if verdict.tied[0] else "vote"
    n_cast, n_candidates = int((codes >= 0).sum()), int(ballots.exists[0].sum())
    if open_ended and n_cast == n_candidates > 1:
        decided_by = "no two replies agree"
    if ruling is not None:
        code, decided_by = list(candidates).index(ruling), "judge"
    supporters = [(slot, own == code) for slot, c, own in zip(slots, codes, given, strict=True) if c == code]
    # The member that gave the very answer stands for it, before those that said the same in other words.
    best, _ = max(supporters, key=lambda slot: (slot[1], ballots.probabilities[0, slot[0]], -slot[0]))
    return Tally(
        answer=candidates[code],
        winner=members[best],
        answers=named,
        scores={
            candidates[c]: float(verdict.scores[0, c]) for c in np.flatnonzero(ballots.exists[0]).tolist()
        },
        support=len(supporters) / n_cast,
        decided_by=decided_by,
        vote=vote.name,
        supporters=tuple(name for name, c in zip(named, codes, strict=True) if c == code),
        open_ended=open_ended,
    )


def _ballot_names(names: Sequence[str], answers: Sequence[str | None]) -> dict[str, str | None]:
    named: dict[str, str | None] = {}
    for name, answer in zip(names, answers, strict=True):
        key, sample = name, 1
        while key in named:
            sample += 1
            key = f"{name}#{sample}"
        named[key] = answer
    return named
