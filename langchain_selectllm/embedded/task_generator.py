"""Generator of tasks with exact answers, on which the embedded pool is trained, measured and shown."""

import random
from collections.abc import Iterator, Mapping, Sequence

from langchain_selectllm.embedded.task import Task
from langchain_selectllm.embedded.task_kinds import CATEGORIES
from langchain_selectllm.exceptions import OutcomeError

_PATIENCE = 1600
"""Draws without a new text before a category counts as exhausted."""


def generate_tasks(
    n: int, *, seed: int = 0, categories: Sequence[str] | None = None, held_out: bool | None = True
) -> list[Task]:
    """Returns tasks with distinct texts, the categories in turn.

    Args:
        n: Number of tasks.
        seed: Seed of the generator.
        categories: Categories to draw from; all of them when None.
        held_out: Only problems that no embedded model was trained on; with False only the others, with None
            both.

    Raises:
        OutcomeError: If a category is unknown, or has too few distinct texts.
    """
    names = tuple(CATEGORIES)
    if categories is not None:
        names = tuple(categories)
    unknown = [name for name in names if name not in CATEGORIES]
    if unknown or not names:
        raise OutcomeError(f"The categories are {names}. Use one or more of {', '.join(CATEGORIES)}.")
    rng = random.Random(seed)  # noqa: S311 - toy questions, not secrets
    seen: set[str] = set()
    tasks: list[Task] = []
    for i in range(n):
        name = names[i % len(names)]
        task = next((t for t in _draws(rng, name, held_out) if t.text not in seen), None)
        if task is None:
            raise OutcomeError(
                f"{name!r} has too few different texts for {n} tasks. Ask for fewer, or for more categories."
            )
        seen.add(task.text)
        tasks.append(task)
    return tasks


def training_stream(weights: Mapping[str, float], *, seed: int) -> Iterator[Task]:
    """Yields endless tasks on problems that are not held out, categories drawn by weight."""
    rng = random.Random(seed)  # noqa: S311 - toy questions, not secrets
    names, shares = list(weights), list(weights.values())
    while True:
        task = CATEGORIES[rng.choices(names, shares)[0]](rng)
        if not task.held_out:
            yield task


def _draws(rng: random.Random, category: str, held_out: bool | None) -> Iterator[Task]:
    """Yields a bounded number of draws from one side, held out or not."""
    make = CATEGORIES[category]
    for _ in range(_PATIENCE):
        task = make(rng)
        if held_out is None or task.held_out == held_out:
            yield task
