"""The replies of all members to one prompt, as LangChain's callbacks show them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from typing_extensions import override

TAG = "selectllm:member:"
"""Beginning of the tag of a member's run."""


@dataclass(kw_only=True)
class MemberRun:
    """One call of a member, under way or ended."""

    member: str
    started_ns: int = field(default_factory=time.time_ns)
    """Nanoseconds since 1970."""
    ended_ns: int | None = None
    message: AIMessage | None = None
    """The reply; None while there is none, and when the call failed."""
    error: str | None = None
    """Class of the error that the call failed with."""


class MemberReplies(AsyncCallbackHandler):
    """Keeps the reply of each member's run; wrappers of a model count as one run."""

    # On the event loop, since nothing here waits.
    run_inline = True

    def __init__(self) -> None:
        """Nobody has replied yet."""
        self._runs: dict[UUID, MemberRun] = {}
        self._inner: set[UUID] = set()

    @property
    def runs(self) -> list[MemberRun]:
        """The calls of members, in the order they began."""
        return list(self._runs.values())

    @property
    def messages(self) -> dict[str, AIMessage]:
        """The replies by member."""
        found = {}
        for run in self._runs.values():
            if run.message is not None:
                found[run.member] = run.message
        return found

    @override
    async def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: dict[str, Any],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self._begin(run_id, parent_run_id, tags)

    @override
    async def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self._begin(run_id, parent_run_id, tags)

    @override
    async def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._end(run_id, outputs)

    @override
    async def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        generations = response.generations
        if generations and generations[0] and isinstance(generations[0][0], ChatGeneration):
            self._end(run_id, generations[0][0].message)

    @override
    async def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._fail(run_id, error)

    @override
    async def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._fail(run_id, error)

    def _begin(self, run: UUID, parent: UUID | None, tags: Sequence[str] | None) -> None:
        if parent in self._runs or parent in self._inner:
            self._inner.add(run)
            return
        for tag in tags or ():
            if tag.startswith(TAG):
                self._runs[run] = MemberRun(member=tag.removeprefix(TAG))

    def _end(self, run: UUID, output: Any) -> None:
        found = self._runs.get(run)
        if found is not None and isinstance(output, AIMessage):
            found.ended_ns = time.time_ns()
            found.message = output

    def _fail(self, run: UUID, error: BaseException) -> None:
        found = self._runs.get(run)
        if found is not None:
            found.ended_ns = time.time_ns()
            found.error = type(error).__name__
