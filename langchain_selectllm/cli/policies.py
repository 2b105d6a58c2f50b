"""The policy that commands use when none is given."""

from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.policy_names import parse_policy
from langchain_selectllm.selection.pool_statistics import PoolStatistics

RECOMMENDED = "selectllm:3"
FALLBACK = "weighted_max_conf:3"


def default_policy(pool: PoolStatistics) -> str:
    """Returns the recommended policy; the paper's where training found no operating point for it."""
    policy = parse_policy(RECOMMENDED)
    if isinstance(policy, Adaptive) and policy.find(pool) is None:
        return FALLBACK
    return RECOMMENDED
