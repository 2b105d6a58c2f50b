"""Rounds of calls after the first: what each could add to the accuracy, and whether that is worth its price."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

STOP = -1
LAST = -1


@dataclass(frozen=True)
class Extension:
    """One way to go on: which members a further round calls, and what they are expected to add."""

    start: int
    """How many members of the ranking were called before."""
    size: int
    """How many of them are called after it."""
    price_weight: float
    """Price weight of the ranking; see `rank_members`. Where it is not that of the first round, no round follows."""
    gain: tuple[float, float, float]
    """Expected gain in accuracy: the terms, constant first, of a polynomial in the confidence so far."""


@dataclass(frozen=True, eq=False)
class FurtherRounds:
    """The ways to go on for each of n queries.

    Of those that begin where a query stands, the one is taken that is expected to add most to the accuracy beyond its
    price; where none adds more than that, the answer stands.
    """

    first: int
    """Where every query stands after the first round."""
    most: int
    """Rounds at most, the first one included."""
    starts: NDArray[np.int64]
    """Where a query stands before each extension, (n_extensions,)."""
    ends: NDArray[np.int64]
    """Where it stands after it; `LAST` where nothing can follow."""
    gains: NDArray[np.float64]
    """Polynomials of expected gain, (n_extensions, 3)."""
    added: NDArray[np.bool_]
    """Members that each extension calls, (n, n_extensions, K)."""
    able: NDArray[np.bool_]
    """Whether that is anybody, (n, n_extensions)."""
    prices: NDArray[np.float64]
    """What each extension takes, in whatever unit, (n, n_extensions)."""
    exchange: float
    """Accuracy that one unit must add."""

    def choose(self, confidence: NDArray[np.float64], stages: NDArray[np.int64]) -> NDArray[np.intp]:
        """The extension that is worth most to each query, (n,); `STOP` where none is worth its price.

        Args:
            confidence: P(the answer so far is right), (n,).
            stages: Where each query stands, (n,): `first`, or the end of its last extension.
        """
        powers = np.stack([np.ones_like(confidence), confidence, confidence**2], axis=1)
        net = powers @ self.gains.T - self.exchange * self.prices
        net = np.where(self.able & (stages[:, None] == self.starts), net, -np.inf)
        best: NDArray[np.intp] = np.argmax(net, axis=1)
        return np.where(net[np.arange(len(net)), best] > 0.0, best, STOP)

    def next_members(self, confidence: float, called: Collection[int], rounds_made: int) -> tuple[int, ...]:
        """Members that the next round calls for one query, ascending; none where the answer stands.

        Args:
            confidence: P(the answer so far is right).
            called: Pool indices of the members called so far, those that failed included.
            rounds_made: Rounds of calls so far, the first one included.
        """
        is_called = np.zeros(self.added.shape[-1], dtype=np.bool_)
        is_called[list(called)] = True
        stage = self._stage(is_called, rounds_made)
        for _ in range(rounds_made, self.most):
            way = int(self.choose(np.array([confidence]), np.array([stage]))[0])
            if way == STOP:
                return ()
            new = np.flatnonzero(self.added[0, way] & ~is_called)
            if len(new):
                return tuple(new.tolist())
            # All members of this round replaced failed ones before, so that the round after it may follow.
            stage = int(self.ends[way])
        return ()

    def _stage(self, is_called: NDArray[np.bool_], rounds_made: int) -> int:
        """Stage after the rounds made: per round, the end of the extension that fits the called members best."""
        fit = (self.added[0] & is_called).sum(axis=1) - (self.added[0] & ~is_called).sum(axis=1)
        stage = self.first
        for _ in range(1, rounds_made):
            starts_here = self.starts == stage
            if not starts_here.any():
                return LAST
            stage = int(self.ends[np.argmax(np.where(starts_here, fit, -np.inf))])
        return stage

    def of(self, row: int) -> "FurtherRounds":
        """Those of one query."""
        return replace(self, added=self.added[[row]], able=self.able[[row]], prices=self.prices[[row]])

    def without(self, members: NDArray[np.bool_]) -> "FurtherRounds":
        """The same without some of the members, (K,); prices stay those of everybody, so that no round is undersold."""
        added = self.added & ~members
        return replace(self, added=added, able=anybody(added))


def anybody(added: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether any member is called, over the last axis."""
    result: NDArray[np.bool_] = np.logical_or.reduce(added, axis=-1)
    return result
