"""Decisions on their way into the store, behind the requests."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence

from langchain_selectllm.collection.store_thread import StoreThread
from langchain_selectllm.integrations.server.served_rows import Answered, DecisionRow, decision_row
from langchain_selectllm.integrations.server.served_store import ServedStore
from langchain_selectllm.integrations.server.state import ServerState

log = logging.getLogger("langchain_selectllm.server")

_MOST_WAITING = 10_000
"""Rows that wait to be written; further ones are dropped and counted, so that memory stays bounded."""


class Recorder:
    """Writes decisions in a thread of their own; requests neither wait for it nor fail because of it."""

    def __init__(self, state: ServerState, store: ServedStore, thread: StoreThread[DecisionRow]) -> None:
        """Record the requests of a server."""
        self.needs_replies = state.settings.keep_prompts
        self._state = state
        self._store = store
        self._thread = thread
        self._saving: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, state: ServerState, url: str) -> AsyncIterator["Recorder"]:
        """A recorder into the store at a URL; on exit everything that waits is written.

        Raises:
            StoreError: If the store cannot be opened.
        """
        with ServedStore(url) as store:

            def save(rows: Sequence[DecisionRow]) -> None:
                store.save(rows, state.served.novelty([row.text for row in rows]))

            async with StoreThread(save) as thread:
                recorder = cls(state, store, thread)
                yield recorder
                await recorder.flush()

    def answered(self, answered: Answered) -> None:
        """Note an answered request; returns at once."""
        self.add(decision_row(answered, keep_prompts=self._state.settings.keep_prompts))

    def add(self, row: DecisionRow) -> None:
        """Write a row in the background."""
        if len(self._saving) >= _MOST_WAITING:
            self._state.metrics.recorded("dropped")
            return
        task = asyncio.get_running_loop().create_task(self._save(row))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def feedback(self, decision_id: str, score: float) -> dict[str, float] | None:
        """Save a score of a final answer; the score of each member, or None for an unknown decision.

        Raises:
            StoreError: If the store cannot be written.
        """
        # A decision that is still on its way is written first.
        await self.flush()
        return await self._thread.run(self._store.add_feedback, decision_id, score)

    async def flush(self) -> None:
        """Return when everything that waited is written."""
        if self._saving:
            await asyncio.wait(self._saving)

    async def _save(self, row: DecisionRow) -> None:
        try:
            await self._thread.save(row)
        except Exception as error:  # noqa: BLE001 - a database may raise anything, and requests go on
            self._state.metrics.recorded("failed")
            log.error("A decision was not recorded: %s", type(error).__name__)  # noqa: TRY400 - no texts
        else:
            self._state.metrics.recorded("written")
