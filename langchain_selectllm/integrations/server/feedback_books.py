"""Feedback on decisions of this process for the library's own log of outcomes."""

import asyncio
from typing import Any

from langchain_selectllm.integrations.server.served_rows import Answered
from langchain_selectllm.routing.feedback import FeedbackLog
from langchain_selectllm.routing.feedback_runs import REPLY_FIELDS

_REMEMBERED = 10_000
"""Decisions that feedback may still name; older ones are forgotten, so that memory stays bounded."""


class LoggedFeedback:
    """Scores of the last decisions, written to a `FeedbackLog` with their prompts."""

    needs_replies = False

    def __init__(self, log: FeedbackLog) -> None:
        """Write to a log."""
        self._log = log
        self._decisions: dict[str, dict[str, Any]] = {}

    def answered(self, answered: Answered) -> None:
        """Remember an answered request, and forget the oldest one beyond the bound."""
        reported = answered.reported
        fields = {name: reported.metadata[name] for name in REPLY_FIELDS}
        self._decisions[reported.decision_id] = fields
        if len(self._decisions) > _REMEMBERED:
            del self._decisions[next(iter(self._decisions))]

    async def feedback(self, decision_id: str, score: float) -> dict[str, float] | None:
        """Log a score; the score of each member, or None for a decision that is not remembered."""
        decision = self._decisions.get(decision_id)
        if decision is None:
            return None
        return await asyncio.to_thread(self._log.add, decision, score, decision_id=decision_id)

    async def flush(self) -> None:
        """Return at once: the log is written with each score."""
