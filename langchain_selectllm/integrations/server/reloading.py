"""A reload of artefact and pool at SIGHUP."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator

from langchain_selectllm.exceptions import SelectLLMError
from langchain_selectllm.integrations.server.state import ServerState

log = logging.getLogger("langchain_selectllm.server")


@contextlib.asynccontextmanager
async def reloading_on_sighup(state: ServerState) -> AsyncIterator[None]:
    """Reload artefact and pool at each SIGHUP, where the platform has it."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        try:
            digest = await asyncio.to_thread(state.reload)
        except (SelectLLMError, OSError, RuntimeError) as error:
            log.error("Reload refused, nothing was changed: %s", error)  # noqa: TRY400 - a line for operators
        else:
            log.warning("Reloaded: artefact %s", digest)

    def start() -> None:
        task = loop.create_task(reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    with _handled_sighup(loop, start):
        yield


@contextlib.contextmanager
def _handled_sighup(loop: asyncio.AbstractEventLoop, handler: Callable[[], None]) -> Iterator[None]:
    number = getattr(signal, "SIGHUP", None)
    if number is None:
        yield
        return
    try:
        loop.add_signal_handler(number, handler)
    except (ValueError, RuntimeError):
        # Handlers can be set in the main thread only.
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(number)
