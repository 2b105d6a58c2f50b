"""Ctrl-C: once to stop cleanly, twice to stop at once."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer

from langchain_selectllm.cli.console import err

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

Result = TypeVar("Result")


def run_until_interrupted(run: Callable[[asyncio.Event], Coroutine[Any, Any, Result]]) -> Result:
    """The result of `run`, which Ctrl-C ends: once to wait for the calls in flight, twice to give them up.

    Args:
        run: Takes the event that the first Ctrl-C sets.

    Raises:
        typer.Exit: After the second one.
    """

    async def main() -> Result:
        stop, task = asyncio.Event(), asyncio.current_task()

        def interrupt() -> None:
            if stop.is_set() and task is not None:
                task.cancel()
            else:
                stop.set()
                err.print(
                    "Stopping: the calls in flight are waited for. Ctrl-C again gives them up.",
                    style="yellow",
                )

        # Windows has no such handlers; there Ctrl-C gives the calls in flight up at once.
        with contextlib.suppress(NotImplementedError):
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, interrupt)
        return await run(stop)

    try:
        return asyncio.run(main())
    except (asyncio.CancelledError, KeyboardInterrupt):
        err.print("Stopped; what had arrived was kept. Run the same command again to go on.", style="yellow")
        raise typer.Exit(INTERRUPTED) from None
