"""Pieces of files worked on by a Ray cluster, by Ray Data: the results come back in order of the pieces.

A worker is made once per core and works on one piece after the other. Files, router and pool file are read by
the workers: they have to be at the same path on every machine.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._optional import require
from langchain_selectllm.exceptions import SelectLLMError
from langchain_selectllm.routing.prompt_files import Piece, cut

_OUTPUT_BYTES = 2**22
"""Results of a worker that are handed on together, and the most that one with a packed file holds."""

Work = Callable[[Piece], Iterator[Any]]
"""Works on one piece; its results are handed on one by one."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """How a worker is made, on whatever machine."""

    make: Callable[..., Work]
    arguments: tuple[Any, ...]
    most: int | None = None
    """Number of workers at most; one per core of the cluster when None."""


def cut_all(pieces: Sequence[Piece], n_lines: int) -> list[Piece]:
    """Returns the parts of all pieces, with paths that hold in another working directory."""
    parts: list[Piece] = []
    for piece in pieces:
        parts += cut(replace(piece, source=piece.source.resolve()), n_lines)
    return parts


def count_workers(ray: Any, pieces: Sequence[Piece], most: int | None) -> int:
    """Returns the number of workers: one per core, not more than pieces or `most`."""
    bounds = [int(ray.cluster_resources().get("CPU", 1)), len(pieces)]
    if most is not None:
        bounds.append(most)
    return max(min(bounds), 1)


def work_on_ray(ray: Any, workers: Workers, pieces: Sequence[Piece]) -> Generator[Any]:
    """Yields the results of all pieces, in order; an error of this package takes the place of a result.

    Args:
        ray: The connected module.
        workers: How a worker is made.
        pieces: Pieces with resolved paths.
    """
    require("pyarrow", extra="ray", needed_by="The engine 'ray'")
    data = require("ray.data", extra="ray", needed_by="The engine 'ray'")
    if not pieces:
        return
    n = count_workers(ray, pieces, workers.most)
    rows = data.from_items(list(map(_row, pieces)), override_num_blocks=len(pieces))
    rows.context.execution_options.preserve_order = True
    rows.context.enable_progress_bars = False
    rows.context.target_max_block_size = _OUTPUT_BYTES
    results = rows.map_batches(
        _Worker,
        fn_constructor_args=(workers,),
        batch_size=1,
        compute=data.ActorPoolStrategy(min_size=n, max_size=n),
        num_cpus=1,
    )
    with _quiet():
        for row in results.iter_rows():
            yield row["result"]


class _Worker:
    """The worker as Ray Data calls it: with a batch of rows, for batches of rows."""

    def __init__(self, workers: Workers) -> None:
        self._work = workers.make(*workers.arguments)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, NDArray[np.object_]]]:
        for piece in _pieces(batch):
            try:
                for result in self._work(piece):
                    yield {"result": _cell(result)}
            except SelectLLMError as error:
                # Raised here, Ray Data would add its own lines to the message.
                yield {"result": _cell(error)}


def _row(piece: Piece) -> dict[str, str | int]:
    return {**vars(piece), "source": str(piece.source), "n_lines": piece.n_lines or 0}


def _pieces(batch: Mapping[str, Sequence[Any]]) -> Iterator[Piece]:
    for i, source in enumerate(batch["source"]):
        numbers = {name: int(batch[name][i]) for name in ("file", "first_line", "offset")}
        yield Piece(source=Path(source), n_lines=int(batch["n_lines"][i]) or None, **numbers)


def _cell(value: Any) -> NDArray[np.object_]:
    cell = np.empty(1, dtype=object)
    cell[0] = value
    return cell


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Ray Data from reporting its plans on standard error."""
    logger = logging.getLogger("ray.data")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
