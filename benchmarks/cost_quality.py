"""Cost-quality curves and the area under them, as RouterBench (Hu et al., 2024, arXiv 2403.12031) defines it."""

import numpy as np
from numpy.typing import NDArray


def upper_hull(
    costs: NDArray[np.float64], qualities: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners of the non-decreasing convex hull of (cost, quality), by ascending cost.

    Between two corners a router exists: it plays one or the other by chance.

    Args:
        costs: Mean cost of each setting of a router, (m,).
        qualities: Mean quality of each, (m,).
    """
    corners: list[tuple[float, float]] = []
    for cost, quality in sorted(
        zip(costs.tolist(), qualities.tolist(), strict=True), key=lambda point: (point[0], -point[1])
    ):
        if corners and quality <= corners[-1][1]:
            continue
        while len(corners) > 1 and _slope(corners[-2], corners[-1]) <= _slope(corners[-2], (cost, quality)):
            corners.pop()
        corners.append((cost, quality))
    return np.array([cost for cost, _ in corners]), np.array([quality for _, quality in corners])


def average_improvement_in_quality(
    costs: NDArray[np.float64], qualities: NDArray[np.float64], cheapest: float, dearest: float
) -> float:
    """AIQ: mean quality of the non-decreasing convex hull over costs from `cheapest` to `dearest`.

    The hull is extended flat to the dearest cost. Every router must have a setting at or below the cheapest cost.

    Raises:
        ValueError: If no setting is that cheap.
    """
    corner_costs, corner_qualities = upper_hull(costs, qualities)
    if corner_costs[0] > cheapest * (1 + 1e-9):
        raise ValueError(
            f"The cheapest setting costs {corner_costs[0]:g}, more than {cheapest:g}. Add one that costs no more."
        )
    inside = corner_costs[(corner_costs > cheapest) & (corner_costs < dearest)]
    grid = np.concatenate([[cheapest], inside, [dearest]])
    values = np.interp(grid, corner_costs, corner_qualities)
    return float(((values[1:] + values[:-1]) / 2 * np.diff(grid)).sum() / (dearest - cheapest))


def quality_at_cost(costs: NDArray[np.float64], qualities: NDArray[np.float64], cost: float) -> float:
    """Quality of the hull at that cost."""
    return float(np.interp(cost, *upper_hull(costs, qualities)))


def cost_of_quality(
    costs: NDArray[np.float64], qualities: NDArray[np.float64], quality: float
) -> float | None:
    """Least cost at which the hull has that quality; None where it never does."""
    corner_costs, corner_qualities = upper_hull(costs, qualities)
    return (
        float(np.interp(quality, corner_qualities, corner_costs))
        if corner_qualities[-1] >= quality - 1e-12
        else None
    )


def _slope(start: tuple[float, float], end: tuple[float, float]) -> float:
    return (end[1] - start[1]) / (end[0] - start[0]) if end[0] > start[0] else float("inf")
