"""The packages of the comparison and what is run of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from peer_tables import OURS, OURS_MINILM

CALLS, PRICES = "mmlu_pro", "routerbench_train"
"""Data sets: one where a cost is a number of calls, one where it is in US dollars."""
BUDGETS = 16
LEXICAL_BUDGETS = "lexical selectllm:(budgets)"


@dataclass(frozen=True, kw_only=True)
class Package:
    """One package: how it is installed and what is run of it, each tuple of systems in a process of its own."""

    title: str
    name: str
    """Of its requirements file and its folders."""
    script: str
    distribution: str
    by_calls: tuple[tuple[str, ...], ...]
    """Systems of each process where a cost is a number of calls."""
    by_price: tuple[tuple[str, ...], ...] = ()
    """Systems of each process where a cost is in US dollars."""


ORDERS = ("strongest member first", "weakest member first")
LLMROUTER = tuple(tuple(f"{kind}, {order}" for order in ORDERS) for kind in ("kNN", "MLP", "MF"))
SIZES = ("selectllm:1", "selectllm:2", "selectllm:3", "selectllm:8")
PACKAGES = (
    Package(
        title="ours",
        name=OURS,
        script="run_ours.py",
        distribution="langchain-selectllm",
        by_calls=(tuple(f"lexical {policy}" for policy in SIZES),),
        by_price=((LEXICAL_BUDGETS,),),
    ),
    Package(
        title="ours",
        name=OURS_MINILM,
        script="run_ours.py",
        distribution="langchain-selectllm",
        by_calls=(tuple(f"MiniLM {policy}" for policy in SIZES),),
    ),
    Package(
        title="LLMRouter",
        name="llmrouter",
        script="run_llmrouter.py",
        distribution="llmrouter-lib",
        by_calls=LLMROUTER,
        by_price=(sum(LLMROUTER, ()),),
    ),
    Package(
        title="RouteLLM MF",
        name="routellm",
        script="run_routellm.py",
        distribution="routellm",
        by_calls=(("all members", "50 % to the strong one"),),
        by_price=(("25 % to the strong one", "50 % to the strong one", "75 % to the strong one"),),
    ),
    Package(
        title="semantic-router",
        name="semantic_router",
        script="run_semantic_router.py",
        distribution="semantic-router",
        by_calls=(("defaults", "top_k=50, sum"),),
        by_price=(("defaults", "top_k=50, sum"),),
    ),
    Package(
        title="LiteLLM",
        name="litellm",
        script="run_litellm.py",
        distribution="litellm",
        by_calls=(("simple-shuffle", "complexity"),),
        by_price=(("simple-shuffle", "complexity", "cost-based"),),
    ),
    Package(
        title="LangChain",
        name="langchain",
        script="run_langchain.py",
        distribution="langchain",
        by_calls=(("RunnableParallel + Counter",),),
        by_price=(("RunnableParallel + Counter",),),
    ),
)


def processes_of(package: Package, data_set: str, mean_costs: Sequence[float]) -> list[tuple[str, ...]]:
    """Systems of each process; budgets of ours are spread over the members' prices."""
    if data_set == CALLS:
        return list(package.by_calls)
    return [budgets(mean_costs) if LEXICAL_BUDGETS in systems else systems for systems in package.by_price]


def budgets(mean_costs: Sequence[float]) -> tuple[str, ...]:
    """Our systems with prices; the smallest budget buys nothing, and the cheapest member answers, as any router can."""
    amounts = np.geomspace(min(mean_costs), 1.5 * max(mean_costs), BUDGETS).tolist()
    return tuple(f"lexical selectllm:{amount:.7f}usd" for amount in [1e-7, *amounts])
