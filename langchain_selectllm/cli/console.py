"""Output of all commands: progress on stderr, results on stdout."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from langchain_selectllm._progress import StageProgress

out = Console()
if not out.is_terminal:
    # A pipe has no width of its own; 80 columns would cut wide tables.
    out = Console(width=150)
err = Console(stderr=True)


def print_json(value: Mapping[str, Any]) -> None:
    """Prints JSON on stdout, without wrapping."""
    out.out(json.dumps(value, indent=2, ensure_ascii=False), highlight=False)


@contextmanager
def progress_bars(*, quiet: bool = False) -> Iterator[StageProgress]:
    """Yields a callback that shows one bar per stage on stderr; the bars vanish at the end."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=quiet) as bars:
        tasks: dict[str, TaskID] = {}

        def on_progress(stage: str, share: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0)
            bars.update(tasks[stage], completed=share)

        yield on_progress
