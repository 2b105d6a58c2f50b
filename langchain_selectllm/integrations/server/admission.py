"""Admission of requests that call members, and their answer, unless the client hangs up first."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from langchain_core.messages import AIMessage
from starlette.requests import Request
from starlette.responses import Response

from langchain_selectllm.integrations.server.adapter import RouterCall, ServedRouter
from langchain_selectllm.integrations.server.decision import Reported
from langchain_selectllm.integrations.server.event_stream import ChunkQueue, EventStream
from langchain_selectllm.integrations.server.exchange import Exchange
from langchain_selectllm.integrations.server.hangup import Hangup
from langchain_selectllm.integrations.server.state import state_of

Writer = Callable[[ChunkQueue], AsyncIterator[bytes]]


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A request that the limits let pass, watched for a hang-up."""

    exchange: Exchange
    hangup: Hangup

    async def answer(self) -> tuple[AIMessage, Reported]:
        """The winning message and its decision.

        Raises:
            ApiError: If there is no answer.
            ClientGoneError: If the client hangs up first; the members are cancelled.
        """
        message = await self.hangup.race(self.exchange.answer())
        if self.exchange.reported is None:
            raise RuntimeError("The router's message has no metadata.")
        return message, self.exchange.reported

    async def stream(self, writer: Writer, stack: AsyncExitStack) -> Response:
        """The stream of events, once its headers are known; it takes over what the stack holds.

        Raises:
            ApiError: If there is an error before the first chunk.
            ClientGoneError: If the client hangs up before it.
        """
        settings = self.exchange.state.settings
        queue = ChunkQueue(self.exchange)
        stack.push_async_callback(queue.close)
        await self.hangup.race(queue.head(settings.vote_wait_s))
        return EventStream(
            writer(queue),
            headers=self.exchange.headers,
            hangup=self.hangup,
            closing=stack.pop_all(),
            send_timeout_s=settings.deadline_s,
            on_first=self.exchange.first_piece,
        )


async def admit(request: Request, served: ServedRouter, call: RouterCall, stack: AsyncExitStack) -> Admitted:
    """The request with a slot of its own, which the stack gives back.

    Raises:
        ApiError: If a limit is reached.
        ClientGoneError: If the client hangs up while it waits.
    """
    hangup = await stack.enter_async_context(Hangup(request.receive))
    admission = Exchange.admitted(state_of(request), served, call, request)
    exchange = await hangup.race(stack.enter_async_context(admission))
    return Admitted(exchange=exchange, hangup=hangup)
