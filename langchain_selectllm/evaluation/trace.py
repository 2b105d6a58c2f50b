"""Calls and votes behind a replay, query by query: the raw material of the report's figures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.policies import Selection
from langchain_selectllm.voting.ballots import CallMatrix
from langchain_selectllm.voting.votes import Verdict


@dataclass(frozen=True, eq=False, kw_only=True)
class Trace:
    """Calls and votes of one policy on n queries of a pool of K members."""

    selection: Selection
    """First-round members, with the probabilities and the vote that the policy uses."""
    rounds: tuple[CallMatrix, ...]
    """Members called per round, or calls per member and round, (n, K) each; the last rounds may call nobody
    for some queries."""
    verdict: Verdict
    """Outcome of the vote over all called members."""
    score: NDArray[np.float64]
    """Score of the final answer, (n,) in [0, 1]."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Members called in any round, (n, K)."""
        called: NDArray[np.bool_] = np.any(self.rounds, axis=0)
        return called

    @property
    def calls(self) -> CallMatrix:
        """Calls of each member in all rounds, (n, K); the mask where each is called once at most."""
        if self.selection.samples is None:
            return self.mask
        total: NDArray[np.int64] = np.sum(self.rounds, axis=0, dtype=np.int64)
        return total


def substitute(
    mask: CallMatrix,
    called: CallMatrix,
    unavailable: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
) -> CallMatrix:
    """Calls of one round with unavailable members replaced by the most probable members left, (n, K).

    A router replaces a failed member in the same way. Where no member is left, fewer are called.

    Args:
        mask: Members that the round would call, or calls of each, (n, K).
        called: The same for the earlier rounds, (n, K).
        unavailable: Members that cannot be called, (K,); at least one member is available.
        probabilities: P(correct) by which replacements are ranked, (n, K).
    """
    kept = np.where(unavailable, mask.dtype.type(0), mask)
    left = (mask == 0) & (called == 0) & ~unavailable
    lost = np.where(unavailable, mask, 0).sum(axis=1)
    order = np.argsort(np.where(left, -probabilities, np.inf), axis=1, kind="stable")
    # Ranks are the inverse of the order: 0 = the most probable member left.
    ranks = np.argsort(order, axis=1)
    replacements: CallMatrix = kept | (left & (ranks < lost[:, None]))
    return replacements
