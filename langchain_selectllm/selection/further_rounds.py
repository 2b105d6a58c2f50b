"""The second round of calls, for queries whose first answer is not sure enough."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.selection.operating_points import MAX_ROUNDS
from langchain_selectllm.voting.ballots import CallMatrix


@dataclass(frozen=True, eq=False, kw_only=True)
class FurtherRounds:
    """Members that a second round calls for each of n queries, or calls of each."""

    threshold: float
    """The second round is made where the confidence after the first one is below this."""
    added: CallMatrix
    """Members of the second round, or further calls of each member, (n, K)."""

    @property
    def repeats(self) -> bool:
        """Whether members may be called again."""
        return self.added.dtype != np.bool_

    def next_members(self, confidence: float, called: Collection[int], rounds_made: int) -> tuple[int, ...]:
        """Members that the next round calls for one query, once per call; none where the answer stands.

        Args:
            confidence: P(the answer so far is right).
            called: Pool indices of the members called so far, those that failed included.
            rounds_made: Rounds of calls so far, the first one included.
        """
        if rounds_made >= MAX_ROUNDS or confidence >= self.threshold:
            return ()
        if self.repeats:
            return tuple(np.repeat(np.arange(self.added.shape[1]), self.added[0]).tolist())
        return tuple(k for k in np.flatnonzero(self.added[0]).tolist() if k not in called)

    def of(self, row: int) -> "FurtherRounds":
        """The second round of one query."""
        return replace(self, added=self.added[[row]])

    def without(self, members: NDArray[np.bool_]) -> "FurtherRounds":
        """The same without some of the members, (K,)."""
        return replace(self, added=np.where(members, self.added.dtype.type(0), self.added))
