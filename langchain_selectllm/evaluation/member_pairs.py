"""Members in pairs: agreement of their answers, correlation of their errors."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.recorded_votes import RecordedVotes


def answer_agreement(votes: RecordedVotes, members: Sequence[str]) -> list[dict[str, Any]]:
    """Per pair of members the share of queries on which both give the same answer, right or wrong.

    Counted are the queries on which both gave a readable answer (`n`); each member's first sample counts. The
    share is None where there is no such query.

    Args:
        votes: Recorded ballots of n queries.
        members: Names of the members, (K,).

    Returns:
        One entry per pair, in pool order.
    """
    # The samples of a member stand side by side; `unique` gives the place of the first one.
    _, first = np.unique(votes.slots, return_index=True)
    codes = votes.codes[:, first]
    pairs = []
    for a, b in combinations(range(len(members)), 2):
        both = np.flatnonzero((codes[:, a] >= 0) & (codes[:, b] >= 0))
        share = None
        if len(both):
            share = float(_same_answer(votes, codes[:, a], codes[:, b])[both].mean())
        pairs.append({"members": [members[a], members[b]], "n": len(both), "share": share})
    return pairs


def _same_answer(
    votes: RecordedVotes, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether the two candidates of each query are equal, or are compared as the same answer, (n,)."""
    same = np.asarray(first == second, dtype=np.bool_)
    if votes.agreement is None:
        return same
    for i in np.flatnonzero((first >= 0) & (second >= 0)).tolist():
        same[i] = votes.agreement[i][first[i], second[i]] > 0
    return same


def error_correlation(member_scores: NDArray[np.float64]) -> list[list[float | None]]:
    """Pearson correlation of the members' errors, (K, K); None for a member that is always right or wrong.

    Args:
        member_scores: Score of each member's own answer, (n, K).
    """
    errors = 1.0 - member_scores
    centred = errors - errors.mean(axis=0)
    spread = np.sqrt((centred**2).mean(axis=0))
    covariance = centred.T @ centred / len(errors)
    matrix: list[list[float | None]] = []
    for i, row in enumerate(covariance):
        cells: list[float | None] = [None] * len(row)
        for j, value in enumerate(row):
            if spread[i] > 0 and spread[j] > 0:
                cells[j] = float(np.clip(value / (spread[i] * spread[j]), -1.0, 1.0))
        matrix.append(cells)
    return matrix
