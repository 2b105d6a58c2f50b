"""Percentile bootstrap over queries, with the same resamples for every system: differences are paired."""

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000


class Bootstrap:
    """Draws once how often each of n queries is taken; every interval uses the same draws."""

    def __init__(self, n: int, *, seed: int) -> None:
        rng = np.random.default_rng(seed)
        counts = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(RESAMPLES)]
        self._shares = (np.stack(counts) / n).astype(np.float32)

    def interval(self, values: NDArray[np.float64]) -> tuple[float, float]:
        """The central 95 % of the resampled means of `values`, (n,)."""
        low, high = np.percentile(self._shares @ values.astype(np.float32), [2.5, 97.5])
        return float(low), float(high)
