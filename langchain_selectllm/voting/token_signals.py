"""Token log-probabilities of ballots as arrays: figures per reply, and log-odds per candidate answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from langchain_selectllm.answers.token_probabilities import TokenProbabilities

_LEAST_SHARE = 1e-6
"""Least probability of anything: below it servers differ in what they report. Set by hand, not searched."""
_MAX_LOG_ODDS = 13.8
"""Log-odds of that probability."""
_LEAST_ENTROPY = 1e-4
"""Added to an entropy, whose logarithm is taken. Set by hand, not searched."""
N_FIGURES = 7
"""Figures per reply."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TokenSignals:
    """What the replies' token log-probabilities say, for n queries; NaN = unknown."""

    replies: NDArray[np.float32]
    """Figures of each reply, (n, n_slots, 7), see `reply_figures`."""
    candidates: NDArray[np.float32]
    """Log-odds that each reply's model gave to each candidate answer, (n, n_slots, n_candidates)."""

    def take(self, rows: NDArray[np.intp]) -> "TokenSignals":
        """The signals of some of the queries."""
        return TokenSignals(replies=self.replies[rows], candidates=self.candidates[rows])

    @property
    def known(self) -> NDArray[np.bool_]:
        """Replies with any figure, (n, n_slots)."""
        found: NDArray[np.bool_] = np.any(~np.isnan(self.replies), axis=2)
        return found

    @classmethod
    def empty(cls, *, n: int, n_slots: int, n_candidates: int) -> "TokenSignals":
        """Signals of which nothing is known yet."""
        return cls(
            replies=np.full((n, n_slots, N_FIGURES), np.nan, dtype=np.float32),
            candidates=np.full((n, n_slots, n_candidates), np.nan, dtype=np.float32),
        )

    def fill(
        self, row: int, slot: int, figures: "TokenProbabilities", answer: str | None, names: Sequence[str]
    ) -> None:
        """Write the figures of one reply.

        Args:
            row: Its query.
            slot: Its slot.
            figures: The figures.
            answer: Canonical answer that was read from the reply; figures about another answer are unknown.
            names: Candidate answers of the query.
        """
        self.replies[row, slot] = reply_figures(figures, answer)
        for candidate, name in enumerate(names):
            logprob = _log_probability(figures, name)
            if logprob is not None:
                self.candidates[row, slot, candidate] = log_odds(logprob)


def reply_figures(figures: "TokenProbabilities", answer: str | None) -> NDArray[np.float64]:
    """Seven figures of one reply, (7,); NaN = unknown.

    The log-odds z of the answer's probability, z |z| / 10 and max(z, 0), since many models are nearly certain
    after reasoning, so that the effect of z bends; the log-odds of the mean probability of the answer's
    tokens, of all tokens and of the lowest window; minus the log of the entropy at the answer.

    Args:
        figures: Figures of the reply.
        answer: Canonical answer that was read from the reply.
    """
    answer_mean = answer_entropy = None
    if answer is not None and figures.answer == answer:
        answer_mean, answer_entropy = figures.answer_mean, figures.answer_entropy
    z = _log_odds_or_nan(figures.log_probability_of(answer))
    entropy = np.nan
    if answer_entropy is not None:
        entropy = -log(answer_entropy + _LEAST_ENTROPY)
    return np.array(
        [
            z,
            z * abs(z) / 10,
            np.maximum(z, 0.0),
            _log_odds_or_nan(answer_mean),
            _log_odds_or_nan(figures.mean),
            _log_odds_or_nan(figures.lowest_window),
            entropy,
        ]
    )


def log_odds(logprob: float) -> float:
    """Log-odds of a probability, given its logarithm; bounded."""
    rest = max(-np.expm1(logprob), _LEAST_SHARE)
    return float(np.clip(logprob - log(rest), -_MAX_LOG_ODDS, _MAX_LOG_ODDS))


def _log_odds_or_nan(logprob: float | None) -> float:
    if logprob is None:
        return float("nan")
    return log_odds(logprob)


def _log_probability(figures: "TokenProbabilities", name: str) -> float | None:
    """Log-probability of a candidate; what is left of 1 where the most probable letters do not hold it."""
    known = figures.answers
    if name in known or len(known) < 2 or len(name) > 1:
        return known.get(name)
    rest = 1.0
    for logprob in known.values():
        rest -= exp(logprob)
    return min(log(max(rest, _LEAST_SHARE)), *known.values())
