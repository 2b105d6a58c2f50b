"""Shadow calls: for a share of the requests all members are called afterwards, as training data."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from langchain_selectllm.collection.budget import Budget
from langchain_selectllm.exceptions import SelectLLMError, ServerConfigError
from langchain_selectllm.integrations.server.decision import Reported, decision_metadata
from langchain_selectllm.integrations.server.member_replies import MemberReplies
from langchain_selectllm.integrations.server.recorder import Recorder
from langchain_selectllm.integrations.server.served_rows import Answered, decision_row
from langchain_selectllm.integrations.server.state import ServerState

_AT_ONCE = 4
"""Shadow requests under way at the same time."""
_MOST_WAITING = 100
"""Shadow requests that wait; further ones are dropped, so that a burst of traffic stays cheap."""


class Shadow:
    """Repeats requests with all members in the background; never slows or fails the request itself."""

    needs_replies = False

    def __init__(self, state: ServerState, recorder: Recorder) -> None:
        """Shadow the requests of a server.

        Raises:
            ServerConfigError: If a budget is set that cannot be kept, because prices are missing.
        """
        settings = state.settings
        unpriced = state.served.unpriced
        if settings.shadow_max_usd is not None and unpriced:
            raise ServerConfigError(
                f"shadow_max_usd is {settings.shadow_max_usd:g}, and {', '.join(unpriced)} have no prices. "
                "Give them in the pool file (0 where a member is free), or leave shadow_max_usd out."
            )
        self._state = state
        self._recorder = recorder
        self._share = settings.shadow
        self._budget = Budget(settings.shadow_max_usd, 0.0)
        self._most_usd = 0.0
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()
        self._random = random.Random()  # noqa: S311 - a sample, not a secret

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, state: ServerState, recorder: Recorder) -> AsyncIterator["Shadow"]:
        """A shadow whose calls are given up on exit."""
        shadow = cls(state, recorder)
        try:
            yield shadow
        finally:
            await shadow.stop()

    def answered(self, answered: Answered) -> None:
        """Draw whether the request is repeated; returns at once."""
        if not answered.is_outcome or self._random.random() >= self._share:
            return
        if len(self._running) >= _MOST_WAITING:
            self._state.metrics.shadowed("dropped")
            return
        task = asyncio.get_running_loop().create_task(self._repeat(answered))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finished(self) -> None:
        """Return when no shadow call is under way."""
        if self._running:
            await asyncio.wait(self._running)

    async def stop(self) -> None:
        """Give up the calls that are under way."""
        for task in self._running:
            task.cancel()
        await self.finished()

    async def _repeat(self, answered: Answered) -> None:
        async with self._places, self._budget.spend(self._most_usd) as expense:
            if expense is None:
                self._state.metrics.shadowed("over_budget")
                return
            try:
                repeated = await self._call_all(answered)
            except (SelectLLMError, TimeoutError):
                self._state.metrics.shadowed("failed")
                return
            expense.cost_usd += repeated.reported.metadata["cost_usd"] or 0.0
            self._most_usd = max(self._most_usd, expense.cost_usd)
        agrees = repeated.reported.metadata["answer"] == answered.reported.metadata["answer"]
        row = decision_row(
            repeated,
            keep_prompts=self._state.settings.keep_prompts,
            shadow_of=answered.reported.decision_id,
            agrees=agrees,
        )
        self._recorder.add(row)
        self._state.metrics.shadowed("recorded")

    async def _call_all(self, answered: Answered) -> Answered:
        """The same request, answered by all members."""
        replies, start = MemberReplies(), time.perf_counter()
        call = replace(answered.call, callbacks=(replies,), thread=None)
        async with asyncio.timeout(call.settings.deadline_s):
            message = await answered.served.answer_by_all(call)
        reported = Reported(
            decision_id=f"{answered.reported.decision_id}-shadow",
            artefact=answered.reported.artefact,
            policy="all_members",
            metadata=decision_metadata(message) or {},
            elapsed_s=time.perf_counter() - start,
        )
        return Answered(served=answered.served, call=call, reported=reported, replies=replies.messages)
