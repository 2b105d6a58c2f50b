"""Systems that no other system beats in accuracy and price together, and the recommended one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.replay import Replay

PRICES = ("calls", "cost_usd", "latency_parallel_s")
"""What accuracy is weighed against, by name of the array of a replay."""
MARGIN = 0.01
"""Accuracy that the recommended system may lie below the best one, with 95 % confidence."""
NOT_SERVED = ("oracle", "random")
"""Controls that no router serves; they are never on the frontier."""


def served(replays: Mapping[str, Replay]) -> dict[str, Replay]:
    """The systems that a router can serve: all but the controls above."""
    return {name: one for name, one in replays.items() if name.partition(":")[0] not in NOT_SERVED}


def frontier(replays: Mapping[str, Replay], price: str) -> list[str]:
    """Names of the systems than which none is both cheaper and at least as accurate, cheapest first.

    Args:
        replays: Systems by name.
        price: One of `PRICES`; systems whose price is unknown are left out.
    """
    points = []
    for name, replay in replays.items():
        mean = float(_price(replay, price).mean())
        if not np.isnan(mean):
            points.append((mean, -float(replay.score.mean()), name))
    names, best = [], -np.inf
    for _, negative_accuracy, name in sorted(points):
        if -negative_accuracy > best:
            best = -negative_accuracy
            names.append(name)
    return names


def recommended(replays: Mapping[str, Replay], bootstrap: Bootstrap) -> dict[str, Any]:
    """The cheapest system shown to be at most one point below the most accurate one.

    Cheap in cost where costs are known for all systems, otherwise in calls. Chosen on the queries of the
    report itself, so that its accuracy is slightly optimistic. Of equal systems the guarded `selectllm` is
    taken, which is the one to serve.

    Args:
        replays: Systems that can be served, by name; at least one.
        bootstrap: Resamples of their queries.
    """
    guarded_first = sorted(replays.values(), key=lambda one: not one.name.startswith("selectllm"))
    best = max(guarded_first, key=lambda one: (round(float(one.score.mean()), 12), -one.calls.mean()))
    price = "cost_usd"
    for replay in replays.values():
        if np.isnan(replay.cost_usd).any():
            price = "calls"
    chosen = best
    for replay in guarded_first:
        low, _ = bootstrap.interval(replay.score - best.score)
        if low >= -MARGIN and _price(replay, price).mean() < _price(chosen, price).mean():
            chosen = replay
    difference = chosen.score - best.score
    return {
        "system": chosen.name,
        "most_accurate": best.name,
        "price": price,
        "margin": MARGIN,
        "difference": float(difference.mean()),
        "ci95": list(bootstrap.interval(difference)),
    }


def _price(replay: Replay, price: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = getattr(replay, price)
    return values
