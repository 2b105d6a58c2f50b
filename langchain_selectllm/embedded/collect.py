"""Outcomes of embedded models on generated tasks, sampled in batches."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_selectllm.embedded.chat_model import EmbeddedChatModel
from langchain_selectllm.embedded.task import Task
from langchain_selectllm.learned import Progress, silent


def sample_outcomes(
    tasks: Sequence[Task], models: Mapping[str, EmbeddedChatModel], *, n: int = 10, progress: Progress = silent
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Queries and replies in the interchange format, for `OutcomeTable.from_records` and `write_records`.

    No latency is recorded: replies are sampled hundreds at a time, and no share of that says what a single call takes.

    Args:
        tasks: Tasks with distinct texts.
        models: Members by name.
        n: Samples of each member on each task.
        progress: Called as sampling goes on.
    """
    queries = [task.query(f"task-{i:05d}") for i, task in enumerate(tasks)]
    replies: list[dict[str, Any]] = []
    progress("sample members", 0.0)
    for done, (name, model) in enumerate(models.items(), start=1):
        sampled = model.sample([task.text for task in tasks], n)
        replies += [
            {
                "query_id": query["query_id"],
                "model": name,
                "sample": i,
                "response": message.text,
                "usage": message.usage_metadata,
            }
            for query, messages in zip(queries, sampled, strict=True)
            for i, message in enumerate(messages)
        ]
        progress("sample members", done / len(models))
    return queries, replies
