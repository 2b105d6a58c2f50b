"""Times of repeated calls."""

import time

import numpy as np


def median_ms(call, repeat=300):
    """Median of the milliseconds that a call takes."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))
