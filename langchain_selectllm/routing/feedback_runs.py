"""Which replies of routers the runs of LangChain held, so that feedback can come by run."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_core.messages import AIMessage

from langchain_selectllm.exceptions import LowConfidenceError
from langchain_selectllm.outcomes.folders import read_lines

REPLY_FIELDS = ("text", "answer", "answers", "supporters", "winner", "open_ended")
"""What feedback needs to know of a router's reply."""


class RoutedRuns:
    """The reply that a run ended with, or those of the runs in it where it ended in something else; kept in a file.

    A run that failed tells its parent nothing, since another run may have answered in its place.
    """

    def __init__(self, path: Path) -> None:
        """Go on with a file of such runs; it is made if it does not exist."""
        path.touch()
        self._path = path
        self._lock = threading.Lock()
        self._ended_in: dict[str, Mapping[str, Any]] = {}
        self._held: dict[str, list[Mapping[str, Any]]] = {}
        for _, row in read_lines(path):
            self._index(row)

    def replies(self, run: str) -> list[Mapping[str, Any]]:
        """What is kept of each reply that the run held; nothing for a run that was not seen."""
        return [self._ended_in[run]] if run in self._ended_in else self._held.get(run, [])

    def ended(self, output: Any, run: UUID, parent: UUID | None) -> None:
        """A run ended, with a router's message or something else."""
        row: dict[str, Any] = {"run_id": str(run), "parent_run_id": None if parent is None else str(parent)}
        message = _routed(output)
        if message is not None:
            told = message.response_metadata["selectllm"]
            # The id tells two replies that say the same from one that was handed on.
            row |= {"message_id": message.id, **{name: told[name] for name in REPLY_FIELDS}}
        with self._lock:
            if message is not None or (parent is not None and row["run_id"] in self._held):
                append_line(self._path, row)
                self._index(row)

    def failed(self, error: BaseException, run: UUID) -> None:
        """A run failed, perhaps because the answer was not sure enough."""
        if isinstance(error, LowConfidenceError):
            self.ended(error.reply, run, None)

    def _index(self, row: Mapping[str, Any]) -> None:
        run, parent = row["run_id"], row["parent_run_id"]
        reply = {name: value for name, value in row.items() if name not in ("run_id", "parent_run_id")}
        if reply:
            self._ended_in[run] = reply
        if parent is not None:
            held = self._held.setdefault(parent, [])
            held.extend(one for one in self.replies(run) if one not in held)


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Add a record to a file of JSON lines."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _routed(output: Any) -> AIMessage | None:
    """The router's message that a run ended with."""
    if isinstance(output, list):
        # Middleware has no run of its own, and the node that it stands in ends with commands that update the agent's state.
        updates = [
            command.update for command in output if isinstance(getattr(command, "update", None), Mapping)
        ]
        found = [_routed(message) for update in updates for message in update.get("messages") or ()]
        return next((message for message in found if message is not None), None)
    return output if isinstance(output, AIMessage) and "selectllm" in output.response_metadata else None
