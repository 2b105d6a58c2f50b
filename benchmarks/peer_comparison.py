"""Systems beside each other: scores of their choices, ours at the same mean cost, and paired differences."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peer_exchange import Gold

from langchain_selectllm.evaluation.bootstrap import Bootstrap

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What one system achieved on the test queries."""

    name: str
    score: Array
    """(n,), in [0, 1]."""
    cost: Array
    """US dollars, or calls where there are no prices, (n,)."""

    @property
    def mean_cost(self) -> float:
        """Cost of a query in the mean."""
        return float(self.cost.mean())


def outcomes_of(choices: Iterable[Mapping[str, Any]], gold: Gold) -> list[Outcome]:
    """Outcomes of the systems in the lines of a `choices.jsonl`.

    Raises:
        ValueError: If a system did not choose exactly once for every test query.
    """
    rows = {query_id: i for i, query_id in enumerate(gold.query_ids)}
    columns = {member: k for k, member in enumerate(gold.members)}
    scores: dict[str, Array] = {}
    costs: dict[str, Array] = {}
    for line in choices:
        score = scores.setdefault(line["system"], np.full(len(rows), np.nan))
        cost = costs.setdefault(line["system"], np.full(len(rows), np.nan))
        i = rows[line["query_id"]]
        if not np.isnan(score[i]):
            raise ValueError(f"{line['system']} chose twice for {line['query_id']}.")
        score[i] = gold.scores[i, columns[line["winner"]]]
        cost[i] = sum(gold.costs[i, columns[member]] for member in line["calls"])
    for name, score in scores.items():
        if np.isnan(score).any():
            raise ValueError(f"{name} left out {int(np.isnan(score).sum())} test queries.")
    return [Outcome(name=name, score=score, cost=costs[name]) for name, score in scores.items()]


def read_outcomes(folders: Sequence[Path], golds: Sequence[Gold]) -> list[Outcome]:
    """Outcomes that a script left in its folders, one per split; see `over_splits`."""
    found = []
    for folder, gold in zip(folders, golds, strict=True):
        with (folder / "choices.jsonl").open(encoding="utf-8") as lines:
            found.append(outcomes_of(map(json.loads, lines), gold))
    return over_splits(found, golds)


def over_splits(found: Sequence[Sequence[Outcome]], golds: Sequence[Gold]) -> list[Outcome]:
    """Outcomes over the test queries of all splits: a query counts once, by its mean over the splits that tested it.

    Args:
        found: Outcomes of the same systems on each split.
        golds: Test side of each split.

    Raises:
        ValueError: If the splits have other systems.
    """
    numbers: dict[str, int] = {}
    rows = [numbers.setdefault(query_id, len(numbers)) for gold in golds for query_id in gold.query_ids]
    times = np.bincount(rows)
    outcomes = []
    for split_outcomes in zip(*found, strict=True):
        (name, *others) = dict.fromkeys(one.name for one in split_outcomes)
        if others:
            raise ValueError(f"Splits have other systems: {name}, {', '.join(others)}.")
        score = np.bincount(rows, np.concatenate([one.score for one in split_outcomes])) / times
        cost = np.bincount(rows, np.concatenate([one.cost for one in split_outcomes])) / times
        outcomes.append(Outcome(name=name, score=score, cost=cost))
    return outcomes


def at_equal_cost(settings: Sequence[Outcome], cost: float) -> Outcome:
    """A random mixture of the two settings that are next to a mean cost; the last one where all are cheaper.

    No setting is chosen by its score.

    Raises:
        ValueError: If every setting costs more.
    """
    ordered = sorted(settings, key=lambda setting: setting.mean_cost)
    # Sums of the same prices in another order differ in the last digits.
    below = [setting for setting in ordered if setting.mean_cost <= cost * (1 + 1e-9)]
    if not below:
        raise ValueError(f"The cheapest setting costs {ordered[0].mean_cost:g}, more than {cost:g}.")
    low = below[-1]
    above = ordered[len(below) :]
    if not above or np.isclose(low.mean_cost, cost):
        return low
    high = above[0]
    share = (cost - low.mean_cost) / (high.mean_cost - low.mean_cost)
    return Outcome(
        name=f"{100 * (1 - share):.0f} % {low.name}, {100 * share:.0f} % {high.name}",
        score=(1 - share) * low.score + share * high.score,
        cost=(1 - share) * low.cost + share * high.cost,
    )


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean accuracy of ours less that of a peer on the same queries, and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def between(cls, ours: Outcome, peer: Outcome, bootstrap: Bootstrap) -> "Difference":
        """The paired difference of two systems."""
        less = ours.score - peer.score
        low, high = bootstrap.interval(less)
        return cls(mean=float(less.mean()), low=low, high=high)

    @property
    def verdict(self) -> str:
        """Which one is ahead, where 0 lies outside the interval."""
        if self.low > 0:
            return "ahead"
        if self.high < 0:
            return "**behind**"
        return "no difference shown"

    def __str__(self) -> str:
        return f"{100 * self.mean:+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"
