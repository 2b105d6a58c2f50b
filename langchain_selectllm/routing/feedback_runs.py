"""Replies of routers by LangChain run, so that feedback can come by run id."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_core.messages import AIMessage

from langchain_selectllm.exceptions import LowConfidenceError

REPLY_FIELDS = ("text", "answer", "answers", "supporters", "winner", "open_ended")
"""Metadata of a router's reply that feedback needs."""


class RoutedRuns:
    """The reply that each run ended with, or the replies of its child runs; kept in a file.

    A run that failed adds no reply to its parent, since another run may have answered in its place.
    """

    def __init__(self, path: Path) -> None:
        """Continue a file of such runs; it is made if it does not exist."""
        from langchain_selectllm.outcomes.folders import read_lines

        path.touch()
        self._path = path
        self._lock = threading.Lock()
        self._ended_in: dict[str, Mapping[str, Any]] = {}
        self._held: dict[str, list[Mapping[str, Any]]] = {}
        for _, row in read_lines(path):
            self._index(row)

    def replies(self, run: str) -> list[Mapping[str, Any]]:
        """Feedback fields of each reply that the run held; none for a run that was not seen."""
        if run in self._ended_in:
            return [self._ended_in[run]]
        return self._held.get(run, [])

    def ended(self, output: Any, run: UUID, parent: UUID | None) -> None:
        """Note the end of a run, with a router's message or something else."""
        row: dict[str, Any] = {"run_id": str(run), "parent_run_id": None}
        if parent is not None:
            row["parent_run_id"] = str(parent)
        message = _routed(output)
        if message is not None:
            metadata = message.response_metadata["selectllm"]
            # The id distinguishes two equal replies from one that was passed on.
            row["message_id"] = message.id
            row.update({name: metadata[name] for name in REPLY_FIELDS})
        with self._lock:
            if message is not None or (parent is not None and row["run_id"] in self._held):
                append_line(self._path, row)
                self._index(row)

    def failed(self, error: BaseException, run: UUID) -> None:
        """Note a failed run, whose answer may have had too low a confidence."""
        if isinstance(error, LowConfidenceError):
            self.ended(error.reply, run, None)

    def _index(self, row: Mapping[str, Any]) -> None:
        run, parent = row["run_id"], row["parent_run_id"]
        reply = {name: value for name, value in row.items() if name not in ("run_id", "parent_run_id")}
        if reply:
            self._ended_in[run] = reply
        if parent is not None:
            held = self._held.setdefault(parent, [])
            for one in self.replies(run):
                if one not in held:
                    held.append(one)


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Add a record to a file of JSON lines."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _routed(output: Any) -> AIMessage | None:
    """The router's message that a run ended with."""
    if isinstance(output, AIMessage):
        if "selectllm" in output.response_metadata:
            return output
        return None
    if not isinstance(output, list):
        return None
    # Middleware has no run of its own; its node ends with commands that update the agent's state.
    for command in output:
        update = getattr(command, "update", None)
        if isinstance(update, Mapping):
            for message in update.get("messages") or ():
                routed = _routed(message)
                if routed is not None:
                    return routed
    return None
