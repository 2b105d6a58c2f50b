"""One request on its way through limits and router, whole or as a stream."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Optional, Self

from langchain_core.messages import AIMessage, AIMessageChunk
from starlette.requests import Request

from langchain_selectllm.collection.budget import Expense
from langchain_selectllm.integrations.server.adapter import RouterCall, ServedRouter
from langchain_selectllm.integrations.server.decision import (
    Reported,
    decision_headers,
    decision_metadata,
    new_decision_id,
)
from langchain_selectllm.integrations.server.errors import ApiError, from_exception
from langchain_selectllm.integrations.server.member_replies import MemberReplies
from langchain_selectllm.integrations.server.served_rows import Answered
from langchain_selectllm.integrations.server.state import ServerState

if TYPE_CHECKING:
    from langchain_selectllm.integrations.server.tracing import RequestTrace

_DIGEST_SHOWN = 12


@dataclass(kw_only=True)
class Exchange:
    """One admitted request: it holds a slot and an account until it is closed."""

    state: ServerState
    served: ServedRouter
    call: RouterCall
    expense: Expense
    replies: MemberReplies | None = None
    """The replies of all members, where an observer needs them."""
    decision_id: str = field(default_factory=new_decision_id)
    started: float = field(default_factory=time.perf_counter)
    reported: Reported | None = None
    """The decision, once it is known."""
    error: Exception | None = None
    """The cause, once the request has failed."""
    trace: Optional["RequestTrace"] = None

    @classmethod
    @asynccontextmanager
    async def admitted(
        cls, state: ServerState, served: ServedRouter, call: RouterCall, request: Request
    ) -> AsyncIterator[Self]:
        """The exchange, once the limits let it pass; its span ends with it.

        Raises:
            ApiError: If a limit is reached.
        """
        started = time.perf_counter()
        async with AsyncExitStack() as stack:
            expense = await stack.enter_async_context(state.accounts.charge(caller_of(request)))
            await stack.enter_async_context(state.in_flight.slot())
            replies = None
            if state.needs_replies:
                replies = MemberReplies()
                call = replace(call, callbacks=(*call.callbacks, replies))
            exchange = cls(
                state=state, served=served, call=call, expense=expense, replies=replies, started=started
            )
            if state.tracing is not None:
                exchange.trace = state.tracing.start(call, request.headers)
                stack.callback(exchange.end_trace)
            yield exchange

    async def answer(self) -> AIMessage:
        """The winning message, with the decision noted.

        Raises:
            ApiError: If there is no answer.
        """
        try:
            with self._traced():
                async with asyncio.timeout(self.call.settings.deadline_s):
                    message = await self.served.answer(self.call)
        except Exception as error:
            raise self._refusal(error) from error
        self._note(message)
        return message

    async def chunks(self) -> AsyncGenerator[AIMessageChunk, None]:
        """The reply in chunks; raises as `answer` does."""
        try:
            with self._traced():
                async with (
                    asyncio.timeout(self.call.settings.deadline_s),
                    aclosing(self.served.stream(self.call)) as chunks,
                ):
                    async for chunk in chunks:
                        self._note(chunk)
                        yield chunk
        except Exception as error:
            raise self._refusal(error) from error

    @property
    def headers(self) -> dict[str, str]:
        """The decision as headers; only the parts that are known before it."""
        if self.reported is not None:
            return self.reported.headers
        return decision_headers(
            {
                "decision-id": self.decision_id,
                "policy": self.call.settings.policy,
                "artefact": self.served.digest[:_DIGEST_SHOWN],
            }
        )

    def first_piece(self) -> None:
        """Note that the first piece of a stream goes out."""
        self.state.metrics.first_token(time.perf_counter() - self.started)

    def end_trace(self) -> None:
        """End the spans of the request and its members."""
        if self.trace is None:
            return
        runs = []
        if self.replies is not None:
            runs = self.replies.runs
        self.trace.end(self.reported, runs, self.error)

    def _traced(self) -> AbstractContextManager[None]:
        if self.trace is None:
            return nullcontext()
        return self.trace.active()

    def _refusal(self, error: Exception) -> ApiError:
        self.error = error
        return from_exception(error, debug=self.state.settings.debug)

    def _note(self, message: AIMessage) -> None:
        metadata = decision_metadata(message)
        if metadata is None:
            return
        self.reported = Reported(
            decision_id=self.decision_id,
            artefact=self.served.digest[:_DIGEST_SHOWN],
            policy=self.call.settings.policy,
            metadata=metadata,
            elapsed_s=time.perf_counter() - self.started,
        )
        self.expense.cost_usd += metadata["cost_usd"] or 0.0
        replies: Mapping[str, AIMessage] = {}
        if self.replies is not None:
            replies = self.replies.messages
        self.state.answered(
            Answered(served=self.served, call=self.call, reported=self.reported, replies=replies)
        )


def caller_of(request: Request) -> str:
    """Name of the API key's owner, as the guard found it."""
    return str(request.scope.get("state", {}).get("caller", ""))
