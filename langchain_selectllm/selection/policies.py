"""What a policy is: from probabilities to a selection of members, pure and never empty."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.ballots import CallMatrix
from langchain_selectllm.voting.votes import LogOddsVote, VoteStrategy, get_vote

if TYPE_CHECKING:
    from langchain_selectllm.selection.operating_points import FurtherRounds
    from langchain_selectllm.selection.pool_statistics import PoolStatistics


@dataclass(frozen=True, eq=False)
class Selection:
    """The members chosen for n queries."""

    mask: NDArray[np.bool_]
    """Chosen members, (n, K); at least one a row."""
    probabilities: NDArray[np.float64]
    """P(correct) that the vote and its tie rule use, (n, K): base rates where the policy ignores the
    query."""
    reasons: tuple[str, ...]
    """Why these, one sentence a query."""
    vote: VoteStrategy
    """How the ballots are scored when the user asks for no other vote."""
    further: "FurtherRounds | None" = None
    """Further rounds of calls, where the policy plans them."""
    samples: NDArray[np.int64] | None = None
    """Calls of each chosen member, (n, K), 0 outside of `mask`; one call per member when None."""

    @property
    def calls(self) -> CallMatrix:
        """Calls of each member, (n, K); the mask itself where each is called once at most."""
        if self.samples is None:
            return self.mask
        return self.samples


@runtime_checkable
class Policy(Protocol):
    """What a policy is: a pure function from probabilities to a selection, with the vote it is made for."""

    def select(self, probabilities: NDArray[np.float64], pool: "PoolStatistics") -> Selection:
        """The members to call for each query.

        Args:
            probabilities: P(correct) of each member, (n, K), columns in pool order.
            pool: What is known of the members.

        Raises:
            PolicyError: If the policy cannot be applied to this pool.
        """
        ...


def get_pool_vote(vote: str | VoteStrategy, pool: "PoolStatistics") -> VoteStrategy:
    """The vote of that name; "learned" is the pool's own, or log-odds where none was learned.

    Raises:
        PolicyError: If the name is unknown.
    """
    if vote != "learned":
        return get_vote(vote)
    if pool.vote is None:
        return LogOddsVote()
    return pool.vote


def top(values: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Mask of the `size` largest values of each row, (n, K); equal values in column order."""
    order = np.argsort(-values, axis=1, kind="stable")[:, :size]
    mask = np.zeros(values.shape, dtype=np.bool_)
    mask[np.arange(len(values))[:, None], order] = True
    return mask
