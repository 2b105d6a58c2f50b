"""The best fixed set of every size: the control that a query-aware selection has to beat."""

from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.voting.recorded_votes import RecordedVotes
from langchain_selectllm.voting.votes import WeightedVote

EXHAUSTIVE_MEMBERS = 12
"""Pools up to this size are searched exhaustively, larger ones by beam search. Chosen by training time:
twelve members have 4,095 sets, and every further one doubles them."""
_BEAM = 16
"""Sets kept per size by the beam search. Set by hand, not searched."""


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
    probabilities = np.tile(base_rates, (len(recorded.scores), 1))

    def accuracy(members: tuple[int, ...]) -> float:
        mask = np.zeros(probabilities.shape, dtype=np.bool_)
        mask[:, list(members)] = True
        return float(recorded.replay(WeightedVote(), mask, probabilities, latencies)[1].mean())

    beam: list[tuple[int, ...]] = [()]
    best = {}
    for size in range(1, n_members + 1):
        candidates: Iterable[tuple[int, ...]] = combinations(range(n_members), size)
        if n_members > EXHAUSTIVE_MEMBERS:
            candidates = _extended(beam, n_members)
        ranked = sorted((-accuracy(members), members) for members in candidates)
        beam = [members for _, members in ranked[:_BEAM]]
        best[size] = beam[0]
        progress(size / n_members)
    return best


def _extended(beam: Iterable[tuple[int, ...]], n_members: int) -> set[tuple[int, ...]]:
    """The sets of a beam with one more member each, members ascending."""
    larger = set()
    for kept in beam:
        for k in set(range(n_members)).difference(kept):
            larger.add(tuple(sorted((*kept, k))))
    return larger
