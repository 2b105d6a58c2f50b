"""Outcomes of embedded models on generated tasks, sampled in batches."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from langchain_selectllm._progress import StageProgress, silent
from langchain_selectllm.answers import get_extractor, read_answer
from langchain_selectllm.answers.token_probabilities import read_token_probabilities
from langchain_selectllm.embedded.chat_model import EmbeddedChatModel
from langchain_selectllm.embedded.task import Task


def sample_outcomes(
    tasks: Sequence[Task],
    models: Mapping[str, EmbeddedChatModel],
    *,
    n: int = 10,
    progress: StageProgress = silent,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Queries and replies in the interchange format, for `OutcomeTable.from_records` and `write_records`.

    No latency is recorded: replies are sampled hundreds at a time, and no share of that says what a single
    call takes.

    Args:
        tasks: Tasks with distinct texts.
        models: Members by name.
        n: Samples of each member on each task.
        progress: Called as sampling goes on.
    """
    queries = [task.query(f"task-{i:05d}") for i, task in enumerate(tasks)]
    texts = [task.text for task in tasks]
    progress("sample members", 0.0)
    # Members side by side: each has a random generator of its own, so that the replies do not depend on who
    # is first.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sampling = [pool.submit(model.sample, texts, n) for model in models.values()]
        for done, _ in enumerate(as_completed(sampling), start=1):
            progress("sample members", done / len(sampling))
    replies = []
    for name, sampled in zip(models, sampling, strict=True):
        for query, messages in zip(queries, sampled.result(), strict=True):
            extractor = get_extractor(query["answer_type"])
            for i, message in enumerate(messages):
                reply = {
                    "query_id": query["query_id"],
                    "model": name,
                    "sample": i,
                    "response": message.text,
                    "usage": message.usage_metadata,
                }
                answer = read_answer(extractor, message.text, query["query"])
                figures = read_token_probabilities(message.response_metadata, answer)
                if figures is not None:
                    reply["token_probabilities"] = figures.to_fields()
                replies.append(reply)
    return queries, replies
