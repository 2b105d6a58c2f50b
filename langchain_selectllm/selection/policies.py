"""Which members to call: from probabilities to a selection, pure and never empty."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.voting.ballots import CallMatrix
from langchain_selectllm.voting.votes import LogOddsVote, VoteStrategy, get_vote

if TYPE_CHECKING:
    from langchain_selectllm.selection.operating_points import FurtherRounds


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

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """The members to call for each query.

        Args:
            probabilities: P(correct) of each member, (n, K), columns in pool order.
            pool: What is known of the members.

        Raises:
            PolicyError: If the policy cannot be applied to this pool.
        """
        ...


@dataclass(frozen=True)
class MaxConf:
    """The `size` most probable members, voting by majority."""

    size: int = 3
    vote: str | VoteStrategy = "majority"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """Top-s of each row; equal probabilities in pool order."""
        _check_size(self, self.size, pool)
        reason = f"the {self.size} most probable members"
        if self.size == 1:
            reason = "the most probable member"
        vote = get_pool_vote(self.vote, pool)
        return Selection(top(probabilities, self.size), probabilities, (reason,) * len(probabilities), vote)


@dataclass(frozen=True)
class WeightedMaxConf(MaxConf):
    """The `size` most probable members, their ballots weighted by probability."""

    vote: str | VoteStrategy = "weighted"


@dataclass(frozen=True)
class LearnedMaxConf(MaxConf):
    """The `size` most probable members, voting by the learned vote."""

    vote: str | VoteStrategy = "learned"


@dataclass(frozen=True)
class LabelledMaxConf:
    """Up to `size` most probable members among those predicted right, or the most probable member."""

    size: int = 3
    threshold: float = 0.5
    """A member is predicted right when its probability is greater than this."""
    vote: str | VoteStrategy = "majority"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """Top-s of the predicted labels of each row."""
        _check_size(self, self.size, pool)
        labelled = probabilities > self.threshold
        none = np.asarray(~labelled.any(axis=1))
        mask = top(probabilities, self.size) & labelled
        mask[none] = top(probabilities[none], 1)
        passed = f"up to {self.size} most probable members above {self.threshold:g}"
        fallback = f"no member above {self.threshold:g}: the most probable one"
        reasons = tuple(np.where(none, fallback, passed).tolist())
        return Selection(mask, probabilities, reasons, get_pool_vote(self.vote, pool))


@dataclass(frozen=True)
class AllMembers:
    """Every member, voting by majority: the reference system that asks everybody."""

    vote: str | VoteStrategy = "majority"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """Everybody, whatever the query."""
        return _constant(self, np.ones(len(pool.members), dtype=np.bool_), probabilities, pool, "all members")


@dataclass(frozen=True)
class SingleBest:
    """The member with the best training accuracy, always."""

    vote: str | VoteStrategy = "majority"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """One member, whatever the query."""
        name = pool.members[pool.single_best]
        return _constant(
            self, pool.mask((name,)), probabilities, pool, "the member with the best training accuracy"
        )


@dataclass(frozen=True)
class PriorOnly:
    """The `size` members with the best training accuracy, ballots weighted by it, whatever the query."""

    size: int = 3
    vote: str | VoteStrategy = "weighted"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """The same members whatever the query."""
        _check_size(self, self.size, pool)
        mask = top(pool.base_rates[None, :], self.size)[0]
        return _constant(
            self, mask, probabilities, pool, f"the {self.size} members with the best training accuracy"
        )


@dataclass(frozen=True)
class FixedBest:
    """The set of `size` members with the best training vote accuracy, ballots weighted by base rates."""

    size: int = 3
    vote: str | VoteStrategy = "weighted"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """The same set whatever the query."""
        _check_size(self, self.size, pool)
        if self.size not in pool.fixed_sets:
            raise PolicyError(
                f"No fixed set of size {self.size} was learned. Sizes learned: "
                f"{', '.join(map(str, sorted(pool.fixed_sets))) or 'none'}. "
                "Fit on outcomes with replies to vote on."
            )
        mask = pool.mask(pool.fixed_sets[self.size])
        return _constant(self, mask, probabilities, pool, f"the best fixed set of size {self.size}")


@dataclass(frozen=True)
class RandomK:
    """`size` members drawn uniformly, voting by majority: the control that any choice must beat."""

    size: int = 3
    seed: int = 0
    vote: str | VoteStrategy = "majority"

    def select(self, probabilities: NDArray[np.float64], pool: PoolStatistics) -> Selection:
        """A draw of its own for each row, the same again for the same seed."""
        _check_size(self, self.size, pool)
        noise = np.random.default_rng(self.seed).random(probabilities.shape)
        rates = np.broadcast_to(pool.base_rates, probabilities.shape)
        reasons = (f"{self.size} members at random",) * len(probabilities)
        return Selection(top(noise, self.size), rates, reasons, get_pool_vote(self.vote, pool))


def get_pool_vote(vote: str | VoteStrategy, pool: PoolStatistics) -> VoteStrategy:
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
    np.put_along_axis(mask, order, values=True, axis=1)
    return mask


def _check_size(policy: Policy, size: int, pool: PoolStatistics) -> None:
    if not 1 <= size <= len(pool.members):
        raise PolicyError(
            f"{type(policy).__name__}(size={size}) does not fit the pool ({len(pool.members)} members). "
            f"Use a size between 1 and {len(pool.members)}."
        )


def _constant(
    policy: "AllMembers | SingleBest | PriorOnly | FixedBest",
    mask: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    pool: PoolStatistics,
    reason: str,
) -> Selection:
    n = len(probabilities)
    rates = np.tile(pool.base_rates, (n, 1))
    return Selection(np.tile(mask, (n, 1)), rates, (reason,) * n, get_pool_vote(policy.vote, pool))
