"""Calibration of token probabilities: by how much a reply's figures shift the log-odds of answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._optional import require
from langchain_selectllm.voting.token_signals import N_FIGURES, TokenSignals

_MIN_REPLIES = 50
"""Replies with known figures that a member's calibration needs, as many as a learned vote needs queries. Set
by hand, not searched."""
_C = 1.0
"""Inverse strength of the L2 penalty on the weights of standardised figures; scikit-learn's default, not
searched."""
N_CANDIDATE_FIGURES = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class TokenShifts:
    """Shifts of log-odds by token probabilities on n queries; 0 where unknown."""

    own: NDArray[np.float64]
    """Shift of the answer of each reply, (n, n_slots)."""
    others: NDArray[np.float64]
    """Shift of each other candidate by each reply, (n, n_slots, n_candidates)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TokenCalibration:
    """Per-member logistic regressions on figures of token probabilities, less what the query alone predicts.

    Shifts have mean 0 over the training replies of a member, so that an unknown figure shifts nothing.
    """

    own_weights: NDArray[np.float64]
    """(K, 7); 0 for a member without calibration."""
    own_means: NDArray[np.float64]
    """Mean of each figure, (K, 7)."""
    other_weights: NDArray[np.float64]
    """(K, 3), for the other candidates."""
    other_means: NDArray[np.float64]
    """(K, 3)."""

    @property
    def members(self) -> NDArray[np.bool_]:
        """Members with a calibration, (K,)."""
        calibrated: NDArray[np.bool_] = np.any(self.own_weights != 0, axis=1)
        return calibrated

    def shifts(self, signals: TokenSignals, members: NDArray[np.intp], own: NDArray[np.int64]) -> TokenShifts:
        """Shifts of n queries.

        Args:
            signals: Signals of the ballots.
            members: Pool index of each slot's member, (n_slots,).
            own: Candidate that each ballot names itself, (n, n_slots), negative without one.
        """
        figures = np.nan_to_num(signals.replies - self.own_means[members])
        by_candidate = _candidate_figures(signals.candidates)
        others = np.nan_to_num(by_candidate - self.other_means[members][:, None])
        shift = np.einsum("nscf,sf->nsc", others, self.other_weights[members])
        # A reply shifts its own answer by its own figures.
        is_own = own[:, :, None] == np.arange(shift.shape[2])
        return TokenShifts(
            own=np.einsum("nsf,sf->ns", figures, self.own_weights[members]),
            others=np.where(is_own, 0.0, shift),
        )

    def known(self, signals: TokenSignals, members: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Ballots whose figures are known and calibrated, (n, n_slots)."""
        return signals.known & self.members[members]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays to save."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "TokenCalibration":
        """The calibration of saved arrays."""
        return cls(
            own_weights=arrays["own_weights"],
            own_means=arrays["own_means"],
            other_weights=arrays["other_weights"],
            other_means=arrays["other_means"],
        )

    @classmethod
    def fit(
        cls,
        signals: TokenSignals,
        *,
        members: NDArray[np.intp],
        own: NDArray[np.int64],
        right: NDArray[np.float64],
        log_odds: NDArray[np.float64],
    ) -> "TokenCalibration":
        """The calibration fitted on n recorded queries.

        Args:
            signals: Signals of all ballots.
            members: Pool index of each slot's member, (n_slots,).
            own: Candidate of each ballot, (n, n_slots), negative without one.
            right: Score of each candidate, (n, n_candidates).
            log_odds: Log-odds of P(correct) of each member by the query alone, (n, K).
        """
        n_members = log_odds.shape[1]
        fitted = cls(
            own_weights=np.zeros((n_members, N_FIGURES)),
            own_means=np.zeros((n_members, N_FIGURES)),
            other_weights=np.zeros((n_members, N_CANDIDATE_FIGURES)),
            other_means=np.zeros((n_members, N_CANDIDATE_FIGURES)),
        )
        by_candidate = _candidate_figures(signals.candidates)
        for k in range(n_members):
            rows, slots = np.nonzero((members == k) & signals.known & (own >= 0))
            if len(rows) < _MIN_REPLIES:
                continue
            given = own[rows, slots]
            prior = log_odds[rows, k]
            weights = _fit_member(signals.replies[rows, slots], prior, right[rows, given])
            fitted.own_weights[k], fitted.own_means[k] = weights
            others = np.arange(right.shape[1]) != given[:, None]
            others &= ~np.isnan(by_candidate[rows, slots]).any(axis=2) & ~np.isnan(right[rows])
            reply, candidate = np.nonzero(others)
            if len(reply) < _MIN_REPLIES:
                continue
            figures = by_candidate[rows[reply], slots[reply], candidate]
            weights = _fit_member(figures, prior[reply], right[rows[reply], candidate])
            fitted.other_weights[k], fitted.other_means[k] = weights
        return fitted


def _candidate_figures(z: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-odds of candidates as the first three of `reply_figures`, (n, n_slots, n_candidates, 3)."""
    wide = z.astype(np.float64)
    return np.stack([wide, wide * np.abs(wide) / 10, np.maximum(wide, 0.0)], axis=-1)


def _fit_member(
    figures: NDArray[np.floating[Any]], prior: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and means of one member's figures, (F,) each, beside the log-odds by the query alone."""
    logistic = require("sklearn.linear_model", extra="train", needed_by="Training").LogisticRegression
    values = figures.astype(np.float64)
    observed = ~np.isnan(values)
    n_known = np.maximum(observed.sum(axis=0), 1)
    means = np.where(observed, values, 0.0).sum(axis=0) / n_known
    centred = np.nan_to_num(values - means)
    scale = np.sqrt((centred**2).sum(axis=0) / n_known)
    scale[scale < 1e-6] = np.inf
    x = np.column_stack([prior, centred / scale])
    # A score between 0 and 1 counts as that share of a right and a wrong answer.
    targets = np.repeat([1, 0], len(right))
    weights = np.concatenate([right, 1.0 - right])
    kept = weights > 0
    if not (right > 0).any() or not (right < 1).any():
        return np.zeros(len(means)), means
    model = logistic(C=_C, max_iter=1000).fit(
        np.vstack([x, x])[kept], targets[kept], sample_weight=weights[kept]
    )
    return model.coef_[0, 1:] / scale, means
