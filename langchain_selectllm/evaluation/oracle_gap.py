"""Errors of one system split by cause; the causes sum to all errors, and to the gap to the oracle."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.evaluation.trace import Trace
from langchain_selectllm.voting.ballots import ABSTAIN

CAUSES = ("nobody_right", "not_called", "outvoted", "unreadable", "vote_beats_members")
"""Causes of an error, in order of attribution; the last one is a gain and is 0 or less."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ErrorSplit:
    """Error of each final answer by cause, (n,) each; the five arrays sum to 1 minus the score."""

    nobody_right: NDArray[np.float64]
    """1 minus the score of the best member of the pool."""
    not_called: NDArray[np.float64]
    """Score that the best called member lacks to the best member of the pool."""
    outvoted: NDArray[np.float64]
    """Score that the final answer lacks to the best called member."""
    unreadable: NDArray[np.float64]
    """Like the last two, on queries on which no called member gave a readable answer."""
    vote_beats_members: NDArray[np.float64]
    """Minus the score by which the vote exceeds every member; 0 unless scores are fractional or pooled."""

    @property
    def total(self) -> NDArray[np.float64]:
        """1 minus the score of the final answer, (n,)."""
        gap = self.not_called + self.outvoted + self.unreadable + self.vote_beats_members
        return self.nobody_right + gap

    def cause(self, row: int) -> str:
        """The largest cause of one query's error; "right" where there is no error."""
        values = [float(getattr(self, cause)[row]) for cause in CAUSES]
        if max(values) <= 0.0:
            return "right"
        return CAUSES[int(np.argmax(values))]

    def to_dict(self, rows: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """Mean of each cause over the queries, or over the chosen `rows` (n,)."""
        chosen = np.ones(len(self.nobody_right), dtype=np.bool_)
        if rows is not None:
            chosen = rows
        means = {}
        for cause in CAUSES:
            means[cause] = float(getattr(self, cause)[chosen].mean())
        return means


def split_errors(trace: Trace, member_scores: NDArray[np.float64]) -> ErrorSplit:
    """The errors of traced calls by cause.

    A query is attributed in a fixed order. What no member of the pool achieves is `nobody_right`. The rest is
    `unreadable` if no called member gave a readable answer; otherwise the part that no called member
    achieves is `not_called`, and the part that the vote loses is `outvoted`.

    Args:
        trace: Calls and votes of the system.
        member_scores: Score of each member's own answer, (n, K).
    """
    oracle = member_scores.max(axis=1)
    best_called = np.where(trace.mask, member_scores, -np.inf).max(axis=1)
    readable = trace.verdict.winners != ABSTAIN
    lost = oracle - trace.score
    beaten = np.minimum(lost, 0.0)
    lost = np.maximum(lost, 0.0)
    not_called = np.minimum(oracle - best_called, lost)
    return ErrorSplit(
        nobody_right=1.0 - oracle,
        not_called=np.where(readable, not_called, 0.0),
        outvoted=np.where(readable, lost - not_called, 0.0),
        unreadable=np.where(readable, 0.0, lost),
        vote_beats_members=beaten,
    )
