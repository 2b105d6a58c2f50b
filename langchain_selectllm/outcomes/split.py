"""Two folders out of one, with no query in both."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from langchain_selectllm.outcomes.folders import check_new_folder, read_queries, read_replies, write_folder
from langchain_selectllm.outcomes.records import merge_queries, merge_replies
from langchain_selectllm.outcomes.table import test_rows


def split_folder(
    outcomes: Path,
    train: Path,
    test: Path,
    *,
    share: float,
    seed: int = 0,
    progress: Callable[[str, float], None] = lambda *_: None,
) -> tuple[int, int]:
    """Split recorded outcomes by query; records are written as they were read, unknown fields included.

    Args:
        outcomes: Folder in the interchange format.
        train: New folder for the training side.
        test: New folder for the test side.
        share: Share of the queries on the test side, in (0, 1).
        seed: The side of a query depends on the queries' ids and the seed alone.
        progress: Called as the work goes on.

    Returns:
        Numbers of training and test queries.

    Raises:
        OutcomeError: If records are malformed or contradict each other, a side would be empty, or a target exists.
    """
    for target in (train, test):
        check_new_folder(target)
    progress("read outcomes", 0.0)
    queries = merge_queries(read_queries(outcomes))
    replies = merge_replies(read_replies(outcomes), queries)
    chosen = test_rows(list(queries), share, seed=seed)
    test_ids = {query_id for query_id, is_test in zip(queries, chosen, strict=True) if is_test}
    progress("read outcomes", 1.0)
    for done, (target, is_test) in enumerate(((train, False), (test, True))):
        write_folder(
            target,
            [query for query in queries.values() if (query.query_id in test_ids) == is_test],
            [reply for reply in replies if (reply.query_id in test_ids) == is_test],
        )
        progress("write", (done + 1) / 2)
    n_test = int(np.count_nonzero(chosen))
    return len(queries) - n_test, n_test
