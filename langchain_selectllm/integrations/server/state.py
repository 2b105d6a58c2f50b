"""Everything that the endpoints of one server share."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Optional, Protocol

from starlette.requests import Request

from langchain_selectllm.integrations.server.adapter import ServedRouter
from langchain_selectllm.integrations.server.decision import Reported
from langchain_selectllm.integrations.server.limits import Accounts, InFlight
from langchain_selectllm.integrations.server.metrics import Metrics
from langchain_selectllm.integrations.server.served_rows import Answered, kept_metadata
from langchain_selectllm.integrations.server.settings import ServerSettings

_RECENT = 1000


if TYPE_CHECKING:
    from langchain_selectllm.integrations.server.tracing import Tracing


class Observer(Protocol):
    """Something that hears of every answered request, such as the store."""

    @property
    def needs_replies(self) -> bool:
        """Whether it needs the replies of all members."""

    def answered(self, answered: Answered) -> None:
        """Note an answered request; returns at once."""


class FeedbackStore(Protocol):
    """Something that keeps the scores of answers."""

    async def feedback(self, decision_id: str, score: float) -> dict[str, float] | None:
        """Save a score; the score of each member, or None for an unknown decision."""

    async def flush(self) -> None:
        """Return when everything that waited is written."""


class RecentDecisions:
    """The last decisions of this process, without prompts and replies, for the page."""

    def __init__(self, size: int = _RECENT) -> None:
        """Remember nothing yet."""
        self._known: deque[Reported] = deque(maxlen=size)

    def add(self, reported: Reported) -> None:
        """Remember a decision, and forget the oldest one beyond the size."""
        kept = kept_metadata(reported.metadata, keep_answers=False)
        self._known.append(replace(reported, metadata=kept))

    def last(self, n: int) -> list[Reported]:
        """The last decisions, the newest first."""
        return list(islice(reversed(self._known), n))


@dataclass(kw_only=True)
class ServerState:
    """The current router with the limits and books around it."""

    settings: ServerSettings
    served: ServedRouter
    """Replaced as a whole by a reload; a request keeps the one that it began with."""
    load: Callable[[], ServedRouter] | None = None
    """Loads artefact and pool again; a reload is not possible when None."""
    in_flight: InFlight = field(init=False)
    accounts: Accounts = field(init=False)
    metrics: Metrics = field(init=False)
    recent: RecentDecisions = field(default_factory=RecentDecisions)
    observers: list[Observer] = field(default_factory=list)
    feedback_books: list[FeedbackStore] = field(default_factory=list)
    """Keep the scores of answers: the store and the library's log, as far as the operator has them."""
    tracing: Optional["Tracing"] = None
    """Makes OpenTelemetry spans; None without telemetry."""
    draining: bool = False
    """Whether the server is about to stop: it is not ready, and closes connections."""
    loading: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Make the limits and metrics of the settings."""
        self.in_flight = InFlight(self.settings.max_in_flight, self.settings.max_queued)
        self.accounts = Accounts(self.settings)
        self.metrics = Metrics(self.in_flight)

    @property
    def needs_replies(self) -> bool:
        """Whether the replies of all members are needed, and not the winner's only."""
        return self.tracing is not None or any(observer.needs_replies for observer in self.observers)

    def answered(self, answered: Answered) -> None:
        """Note an answered request in all books."""
        self.recent.add(answered.reported)
        self.metrics.decided(answered.reported)
        for observer in self.observers:
            observer.answered(answered)

    def reload(self) -> str:
        """Swap in the artefact and pool as they are on disk now; the digest of the new artefact.

        Raises:
            SelectLLMError: If they cannot be loaded; the old ones stay.
        """
        if self.load is None:
            raise RuntimeError("This server was made without a way to load its router again.")
        with self.loading:
            try:
                self.served = self.load()
            except Exception:
                self.metrics.reloaded(accepted=False)
                raise
            self.metrics.reloaded(accepted=True)
            return self.served.digest


def state_of(request: Request) -> ServerState:
    """The state of the server that a request came to."""
    state: ServerState = request.app.state.selectllm
    return state
