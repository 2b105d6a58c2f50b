"""Policies by the names that commands and reports use."""

import re
from collections.abc import Callable, Sequence

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.one_round_policies import (
    AllMembers,
    FixedBest,
    LabelledMaxConf,
    LearnedMaxConf,
    MaxConf,
    PriorOnly,
    RandomK,
    SingleBest,
    WeightedMaxConf,
)
from langchain_selectllm.selection.policies import Policy
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.selection.self_consistency import RoutedSelfConsistency, SelfConsistency

_SIZED: dict[str, Callable[[int], Policy]] = {
    "random": RandomK,
    "fixed_best": FixedBest,
    "prior_only": PriorOnly,
    "max_conf": MaxConf,
    "labelled_max_conf": LabelledMaxConf,
    "weighted_max_conf": WeightedMaxConf,
    "learned": LearnedMaxConf,
    "adaptive": lambda size: Adaptive(calls=size),
    "selectllm": lambda size: Adaptive(calls=size, guarded=True),
    "self_consistency": SelfConsistency,
    "routed_self_consistency": RoutedSelfConsistency,
}
_BUDGETED = {"adaptive": False, "selectllm": True}
_BUDGET = re.compile(r"(\d+(?:\.\d+)?(?:e-?\d+)?)(usd|s|)(?::([1-9]\d*)rounds?)?")
_PLAIN: dict[str, Callable[[], Policy]] = {"single_best": SingleBest, "all_members": AllMembers}
_DEFAULT_SIZE = 3
SIZED_POLICIES: tuple[str, ...] = tuple(_SIZED)
REPEATED_POLICIES = ("self_consistency", "routed_self_consistency")
"""Those that call one member S times: S is a number of samples."""


def parse_policy(spec: str) -> Policy:
    """The policy of a name such as "weighted_max_conf:3", "max_conf" (size 3) or "all_members".

    The adaptive ones take other budgets too, such as "selectllm:0.002usd", and a bound on rounds:
    "selectllm:3:1round".

    Raises:
        PolicyError: If the name is unknown, the size is not a whole number from 1, or more than two rounds
            are allowed.
    """
    name, colon, size = spec.partition(":")
    if name in _PLAIN and not colon:
        return _PLAIN[name]()
    if name in _SIZED and not colon:
        return _SIZED[name](_DEFAULT_SIZE)
    if name in _SIZED and size.isdecimal() and int(size) > 0:
        return _SIZED[name](int(size))
    budget = _BUDGET.fullmatch(size)
    if name in _BUDGETED and budget and float(budget[1]) > 0:
        field = {"": "calls", "usd": "cost_usd", "s": "latency_s"}[budget[2]]
        rounds = int(budget[3] or Adaptive.max_rounds)
        bounds = {field: float(budget[1])}
        return Adaptive(**bounds, max_rounds=rounds, guarded=_BUDGETED[name])
    names = ", ".join([*_PLAIN, *(f"{known}:S" for known in _SIZED)])
    raise PolicyError(
        f"Policy {spec!r} is unknown. Use one of {names}, with S a whole number from 1, "
        "or for adaptive and selectllm a budget such as 0.002usd or 1.5s, and one round as in 3:1round."
    )


def default_policy(pool: PoolStatistics) -> Policy:
    """The policy of a router when none is given: `selectllm:3`; without operating points the paper's."""
    size = min(_DEFAULT_SIZE, len(pool.members))
    if pool.operating_points:
        return Adaptive(calls=size, guarded=True)
    return WeightedMaxConf(size)


def size_of(spec: str) -> int | None:
    """The S of a policy's name; None where it has none."""
    size = spec.partition(":")[2].partition(":")[0]
    if not size.isdecimal():
        return None
    return int(size)


def in_runs(sizes: Sequence[int]) -> str:
    """Whole numbers in words, three or more in a row by their ends: "2, 4 to 7"."""
    runs: list[list[int]] = []
    for size in sorted(sizes):
        if not runs or size != runs[-1][-1] + 1:
            runs.append([])
        runs[-1].append(size)
    words: list[str] = []
    for run in runs:
        words += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run)
    return ", ".join(words)


def policy_name(policy: Policy) -> str:
    """The name that `parse_policy` reads, or the class name of a policy that has none."""
    if isinstance(policy, Adaptive):
        bounds = ((policy.calls, ""), (policy.cost_usd, "usd"), (policy.latency_s, "s"))
        given = [f"{bound:g}{unit}" for bound, unit in bounds if bound is not None]
        if len(given) == 1:
            family = {False: "adaptive", True: "selectllm"}[policy.guarded]
            rounds = {1: ":1round", 2: ""}[policy.max_rounds]
            return f"{family}:{given[0]}{rounds}"
    size = getattr(policy, "size", None)
    kinds: dict[str, object] = {**_SIZED, **_PLAIN}
    for name, kind in kinds.items():
        if type(policy) is kind and size is None:
            return name
        if type(policy) is kind:
            return f"{name}:{size}"
    return type(policy).__name__
