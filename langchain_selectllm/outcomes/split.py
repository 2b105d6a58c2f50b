"""Two folders out of one, with no query in both."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.outcomes.folders import check_new_folder, read_queries, read_replies, write_folder
from langchain_selectllm.outcomes.records import (
    merge_queries,
    merge_replies,
)


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
        OutcomeError: If records are malformed or contradict each other, a side would be empty, or a target
            exists.
    """
    if train.resolve() == test.resolve():
        raise OutcomeError(f"{train} is the folder of both sides. Give two folders; nothing was written.")
    for target in (train, test):
        check_new_folder(target)
    progress("read outcomes", 0.0)
    queries = merge_queries(read_queries(outcomes))
    replies = merge_replies(read_replies(outcomes), queries)
    chosen = test_rows(list(queries), share, seed=seed)
    is_test = dict(zip(queries, chosen.tolist(), strict=True))
    progress("read outcomes", 1.0)
    for target, side, done in ((train, False, 0.5), (test, True, 1.0)):
        write_folder(
            target,
            [query for query in queries.values() if is_test[query.query_id] == side],
            [reply for reply in replies if is_test[reply.query_id] == side],
        )
        progress("write", done)
    n_test = int(np.count_nonzero(chosen))
    return len(queries) - n_test, n_test


def test_rows(query_ids: Sequence[str], test: float, *, seed: int) -> NDArray[np.bool_]:
    """Mask of the queries on the test side of a split, (n,).

    The side of a query follows from a hash of seed and id, so that it does not depend on the order of the
    queries.

    Raises:
        OutcomeError: If either side would be empty.
    """
    n_test = 0
    if 0.0 < test < 1.0:
        n_test = round(test * len(query_ids))
    if not 0 < n_test < len(query_ids):
        raise OutcomeError(
            f"A test share of {test!r} leaves one side of {len(query_ids)} queries empty. Use a share "
            "between 0 and 1 that leaves at least one query on either side."
        )
    order = sorted(
        range(len(query_ids)), key=lambda i: hashlib.sha256(f"{seed}\0{query_ids[i]}".encode()).digest()
    )
    chosen = np.zeros(len(query_ids), dtype=np.bool_)
    chosen[order[:n_test]] = True
    return chosen
