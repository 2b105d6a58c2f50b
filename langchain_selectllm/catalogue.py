"""Policies by the names that commands and reports use."""

from collections.abc import Callable

from langchain_selectllm.adaptive import Adaptive
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.policies import (
    AllMembers,
    FixedBest,
    LabelledMaxConf,
    LearnedMaxConf,
    MaxConf,
    Policy,
    PriorOnly,
    RandomK,
    SingleBest,
    WeightedMaxConf,
)

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
}
_PLAIN: dict[str, Callable[[], Policy]] = {"single_best": SingleBest, "all_members": AllMembers}
_DEFAULT_SIZE = 3
SIZED_POLICIES: tuple[str, ...] = tuple(_SIZED)


def parse_policy(spec: str) -> Policy:
    """The policy of a name such as "weighted_max_conf:3", "max_conf" (size 3) or "all_members".

    Raises:
        PolicyError: If the name is unknown or the size is not a whole number from 1.
    """
    name, colon, size = spec.partition(":")
    if name in _PLAIN and not colon:
        return _PLAIN[name]()
    if name in _SIZED and not colon:
        return _SIZED[name](_DEFAULT_SIZE)
    if name in _SIZED and size.isdecimal() and int(size) > 0:
        return _SIZED[name](int(size))
    names = ", ".join([*_PLAIN, *(f"{known}:S" for known in _SIZED)])
    raise PolicyError(f"Policy {spec!r} is unknown. Use one of {names}, with S a whole number from 1.")


def policy_name(policy: Policy) -> str:
    """The name that `parse_policy` reads, or the class name of a policy that has none."""
    if isinstance(policy, Adaptive) and policy.cost_usd is None and policy.calls is not None:
        return f"{'selectllm' if policy.guarded else 'adaptive'}:{policy.calls:g}"
    size = getattr(policy, "size", None)
    kinds: dict[str, object] = {**_SIZED, **_PLAIN}
    for name, kind in kinds.items():
        if type(policy) is kind:
            return name if size is None else f"{name}:{size}"
    return type(policy).__name__
