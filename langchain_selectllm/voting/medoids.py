"""Answers that say the same without being equal: each called answer is counted for the medoid of its group."""

import numpy as np
from numpy.typing import NDArray


def medoids(agreement: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.int64]:
    """The candidate that stands for each candidate, (n,).

    The candidate with most agreement (the sum of its agreement with every candidate times that one's ballots; the first of
    several) becomes a medoid and takes all that agree with it; so on with the rest. An answer is never drawn into a group
    by way of a third one.

    Args:
        agreement: How much each two candidates say the same, (n, n) in [0, 1]; 0 = something else.
        counts: Number of ballots of each candidate, (n,); candidates without one are left out.
    """
    stands_for = np.arange(len(counts))
    left = counts > 0
    while left.any():
        mass = np.where(left, agreement @ np.where(left, counts, 0.0), -np.inf)
        # Equal sums in another order differ in their last bits.
        medoid = int(np.argmax(np.round(mass, 12)))
        group = left & ((agreement[medoid] > 0) | (np.arange(len(counts)) == medoid))
        stands_for[group] = medoid
        left &= ~group
    return stands_for
