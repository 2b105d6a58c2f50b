"""A small generated data set of simulated members with different strengths, for trying things out."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from langchain_selectllm.outcomes import write_records

DrawTask = Callable[[random.Random], tuple[str, int]]

_PHRASES = {
    "adding": ("What is {a} + {b}?", "Add {a} and {b}.", "{a} apples and {b} more apples: how many apples?"),
    "multiplying": (
        "What is {a} * {b}?",
        "{a} boxes with {b} pens each: how many pens?",
        "Multiply {a} by {b}.",
    ),
    "comparing": ("Which is larger, {a} or {b}?", "Of {a} and {b}, give the larger number."),
    "counting": ("How many letters has the word {word}?", "Count the letters of '{word}'."),
    "clock": ("How many minutes are {a} hours?", "A film lasts {a} hours. How many minutes is that?"),
}
_WORDS = [
    "river",
    "mountain",
    "lamp",
    "banana",
    "orchestra",
    "tree",
    "galaxy",
    "window",
    "paper",
    "elephant",
    "sun",
    "keyboard",
]

# Chance of a right reply by task. Simulated, not measured: real members are collected with the user's own
# pool.
_SKILLS = {
    "calculator": {"adding": 0.95, "multiplying": 0.92, "comparing": 0.55, "counting": 0.15, "clock": 0.35},
    "reader": {"adding": 0.50, "multiplying": 0.20, "comparing": 0.70, "counting": 0.93, "clock": 0.40},
    "clockmaker": {"adding": 0.60, "multiplying": 0.40, "comparing": 0.60, "counting": 0.30, "clock": 0.95},
    "generalist": {"adding": 0.75, "multiplying": 0.60, "comparing": 0.80, "counting": 0.60, "clock": 0.65},
    "guesser": {"adding": 0.35, "multiplying": 0.15, "comparing": 0.50, "counting": 0.35, "clock": 0.20},
}


def write_demo_outcomes(folder: Path, *, n_queries: int = 1500, seed: int = 0) -> None:
    """Write generated queries with exact references and the replies of five simulated members.

    Args:
        folder: New folder, written in the interchange format.
        n_queries: Number of queries.
        seed: Another seed, another data set.

    Raises:
        OutcomeError: If the folder exists and is not empty.
    """
    rng = random.Random(seed)  # noqa: S311 - a toy data set, not a secret
    queries = list(_queries(rng, n_queries))
    replies = [_reply(rng, member, query) for query in queries for member in _SKILLS]
    write_records(folder, queries, replies)


def _queries(rng: random.Random, n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        task = rng.choice(list(_PHRASES))
        a, b, word = rng.randint(2, 99), rng.randint(2, 99), rng.choice(_WORDS)
        answers = {
            "adding": a + b,
            "multiplying": a * b,
            "comparing": max(a, b),
            "counting": len(word),
            "clock": 60 * a,
        }
        yield {
            "query_id": f"demo-{i:05d}",
            "query": rng.choice(_PHRASES[task]).format(a=a, b=b, word=word),
            "reference": str(answers[task]),
            "answer_type": "number",
            "category": task,
        }


def _reply(rng: random.Random, member: str, query: dict[str, Any]) -> dict[str, Any]:
    right = rng.random() < _SKILLS[member][query["category"]]
    number = int(query["reference"])
    if not right:
        number += rng.choice([-10, -2, -1, 1, 2, 10])
    return {
        "query_id": query["query_id"],
        "model": member,
        "response": f"Let me see. The answer is {number}.",
        "latency_s": round(rng.uniform(0.4, 1.6), 3),
        "cost_usd": {"generalist": 0.002, "guesser": 0.0001}.get(member, 0.0005),
    }
