"""The best fixed set of every size: the control that a query-aware selection has to beat."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.recorded_votes import RecordedVotes
from langchain_selectllm.voting.votes import WeightedVote

EXHAUSTIVE_MEMBERS = 12
"""Pools up to this size are searched exhaustively, larger ones by beam search. Chosen by training time:
twelve members have 4,095 sets, and every further one doubles them."""
_BEAM, _NARROW_BEAM = 16, 4
"""Sets kept per size by the beam search, up to size 7 and beyond. Set by hand, not searched: of 17 members of
ZeroEval sets of 8 and more lose at most 0.2 points by the narrow beam, and 64 members take a fifth of the
time."""
_NARROW_FROM = 8
"""Size from which the narrow beam is kept."""


def best_fixed_sets(
    recorded: RecordedVotes,
    base_rates: NDArray[np.float64],
    latencies: NDArray[np.float64],
    *,
    progress: Callable[[float], None] = lambda _: None,
) -> dict[int, tuple[int, ...]]:
    """For every size the set with the best vote accuracy, ballots weighted by base rates.

    Args:
        recorded: Votes on fully observed training queries.
        base_rates: Training accuracy of each member, (K,).
        latencies: Recorded latencies, (K,), for the tie rule.
        progress: Called with the share done, in [0, 1].

    Returns:
        Pool indices by size, ascending. Of equally accurate sets the first in pool order is taken.
    """
    n_members = len(base_rates)

    def accuracy(members: tuple[int, ...]) -> float:
        chosen = list(members)
        probabilities = np.tile(base_rates[chosen], (len(recorded.scores), 1))
        everyone = np.ones(probabilities.shape, dtype=np.bool_)
        votes = _of_members(recorded, chosen)
        return float(votes.replay(WeightedVote(), everyone, probabilities, latencies[chosen])[1].mean())

    beam: list[tuple[int, ...]] = [()]
    best = {}
    for size in range(1, n_members + 1):
        candidates: Iterable[tuple[int, ...]] = combinations(range(n_members), size)
        if n_members > EXHAUSTIVE_MEMBERS:
            candidates = _extended(beam, n_members)
        ranked = sorted((-accuracy(members), members) for members in candidates)
        beam = [members for _, members in ranked[: _BEAM if size < _NARROW_FROM else _NARROW_BEAM]]
        best[size] = beam[0]
        progress(size / n_members)
    return best


def _of_members(recorded: RecordedVotes, members: list[int]) -> RecordedVotes:
    """The votes of some members, ascending, as those of a pool of their own."""
    slots = np.flatnonzero(np.isin(recorded.slots, members))
    return replace(
        recorded,
        codes=recorded.codes[:, slots],
        slots=np.searchsorted(members, recorded.slots[slots]),
        lengths=recorded.lengths[:, slots],
        scores=recorded.scores[:, members],
        grounds=None,
        tokens=None,
    )


def _extended(beam: Iterable[tuple[int, ...]], n_members: int) -> set[tuple[int, ...]]:
    """The sets of a beam with one more member each, members ascending."""
    larger = set()
    for kept in beam:
        for k in set(range(n_members)).difference(kept):
            larger.add(tuple(sorted((*kept, k))))
    return larger
