"""What users say of replies, as outcomes to learn from: an append-only folder in the interchange format."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_selectllm.decision import Decision
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.outcomes.folders import read_lines

_RUNS = "runs.jsonl"
_QUERIES = "queries.jsonl"

Given = AIMessage | Decision | UUID | str
"""What feedback is about: a router's message, a decision for one member, or the id of a run that the log saw."""


@dataclass(frozen=True)
class Added:
    """What became of feedback records."""

    outcomes: Mapping[str, int]
    """Outcomes recorded, by member."""
    unknown_runs: tuple[str, ...] = ()
    """Runs that the log did not see; their feedback was left out."""
    without_score: int = 0
    """Records without a score; left out."""


class FeedbackLog(BaseCallbackHandler):
    """Keeps feedback as outcomes in a folder that `OutcomeTable.from_folders` reads.

    A score is about the final answer, so it goes to every member that gave it; see `member_scores`. Every line is appended
    and none is changed: repeated feedback counts as one more sample. One process writes into one folder.

    As a callback (`router.invoke(prompt, {"callbacks": [log]})`) it notes which run gave which answers, so that feedback
    can come later and by run id, as LangSmith keeps it.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open the folder, or make it.

        Args:
            folder: A folder that this log wrote before, an empty one, or one that does not exist.

        Raises:
            OutcomeError: If a file of it is malformed.
        """
        self.folder = Path(folder)
        (self.folder / "responses").mkdir(parents=True, exist_ok=True)
        for name in (_QUERIES, _RUNS):
            (self.folder / name).touch()
        self._lock = threading.Lock()
        self._queries = {row["query_id"] for _, row in read_lines(self.folder / _QUERIES)}
        self._runs: dict[str, list[Mapping[str, Any]]] = {}
        for _, row in read_lines(self.folder / _RUNS):
            self._index(row)

    def add(self, given: Given, score: float, **fields: Any) -> dict[str, float]:
        """Record a score of a final answer.

        Args:
            given: A router's message, the decision for one member, or the id of a run that this log saw as a callback.
            score: Worth of the answer in [0, 1].
            fields: More to keep beside each outcome, such as `comment`; JSON types.

        Returns:
            The score that each member got.

        Raises:
            OutcomeError: If the score is out of range, or it cannot be told who gave the answer.
        """
        value: object = score
        if not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
            raise OutcomeError(f"The score is {score!r}. Use a number between 0 (wrong) and 1 (right).")
        told = self._told(given)
        scores = member_scores(told, float(value))
        query_id = f"feedback-{hashlib.sha256(told['text'].encode()).hexdigest()[:32]}"
        with self._lock:
            if query_id not in self._queries:
                self._append(_QUERIES, {"query_id": query_id, "query": told["text"]})
                self._queries.add(query_id)
            # Samples are numbered by the clock, so that no line needs to know of the others.
            sample = time.time_ns()
            for member, worth in scores.items():
                row = {**fields, "query_id": query_id, "model": member, "sample": sample, "response": None, "score": worth}
                stem = re.sub(r"[^\w.+-]", "_", member)
                self._append(f"responses/{stem}.jsonl", row)
        return scores

    def add_records(self, records: Iterable[Mapping[str, Any]], *, key: str | None = None) -> Added:
        """Record feedback as LangSmith keeps it: mappings with `run_id`, `score`, and where given `key` and `comment`.

        Args:
            records: Feedback records; others' runs among them are left out and reported.
            key: Which kind of feedback counts; any when None.

        Raises:
            OutcomeError: If a score is out of range.
        """
        counts: dict[str, int] = {}
        unknown, without_score = [], 0
        for record in records:
            if key is not None and record.get("key") != key:
                continue
            run = str(record.get("run_id"))
            if record.get("score") is None:
                without_score += 1
            elif run not in self._runs:
                unknown.append(run)
            else:
                kept = {name: record[name] for name in ("key", "comment") if record.get(name) is not None}
                for member in self.add(run, record["score"], run_id=run, **kept):
                    counts[member] = counts.get(member, 0) + 1
        return Added(counts, tuple(dict.fromkeys(unknown)), without_score)

    def outcomes(self, members: Sequence[str] | None = None) -> OutcomeTable:
        """Everything recorded so far.

        Raises:
            OutcomeError: If nothing was recorded yet.
        """
        return OutcomeTable.from_folders(self.folder, members=members)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        """Note the answers of a router's run."""
        del kwargs
        self._note(outputs, run_id, parent_run_id)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        """Note the answers of a run of the router's chat model."""
        del kwargs
        for generation in response.generations[0] if response.generations else ():
            self._note(generation.message if isinstance(generation, ChatGeneration) else None, run_id, parent_run_id)

    def _note(self, output: Any, run_id: UUID, parent_run_id: UUID | None) -> None:
        if not isinstance(output, AIMessage) or "selectllm" not in output.response_metadata:
            return
        told = output.response_metadata["selectllm"]
        kept = {name: told[name] for name in ("text", "answer", "answers", "supporters", "winner", "open_ended")}
        row = {
            "run_id": str(run_id),
            "parent_run_id": None if parent_run_id is None else str(parent_run_id),
            **kept,
        }
        with self._lock:
            self._append(_RUNS, row)
            self._index(row)

    def _index(self, row: Mapping[str, Any]) -> None:
        """Remember a run under its own id, and under its parent's for chains that end in something else than the reply."""
        self._runs[row["run_id"]] = [row]
        if row["parent_run_id"] is not None:
            self._runs.setdefault(row["parent_run_id"], []).append(row)

    def _told(self, given: Given) -> Mapping[str, Any]:
        if isinstance(given, AIMessage):
            if "selectllm" not in given.response_metadata:
                raise OutcomeError(
                    "The message is no router's: it has no response_metadata['selectllm']. Pass what it returned."
                )
            told: Mapping[str, Any] = given.response_metadata["selectllm"]
            return told
        if isinstance(given, Decision):
            if len(given.selected) != 1:
                raise OutcomeError(
                    f"The decision is for {len(given.selected)} members ({', '.join(given.selected_members)}), which does not "
                    "tell who gave the answer. Pass the router's message."
                )
            (winner,) = given.selected_members
            return {"text": given.text, "winner": winner, "answer": None}
        rows = self._runs.get(str(given), [])
        if len(rows) != 1:
            seen = "was not seen by this log" if not rows else f"holds {len(rows)} replies of routers"
            raise OutcomeError(f"Run {given} {seen}. Pass a run of the router that had the log as a callback, or the message.")
        return rows[0]

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=False) + "\n"
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(line)


def member_scores(told: Mapping[str, Any], score: float) -> dict[str, float]:
    """What a score of the final answer says of each member; members that it says nothing of are left out.

    - The members that gave the answer get the score; where nobody gave a readable one, the member whose reply stood in.
    - When the answer is wholly right (1) and a question has one right answer, the members that gave another one, or none,
      get 0. Of a wrong answer nothing follows for those that gave another one.

    Members are thus observed more often when they agree with the others, so outcomes from feedback are no random sample.

    Args:
        told: `response_metadata["selectllm"]` of a router's message.
        score: Worth of the final answer in [0, 1].
    """
    if told["answer"] is None:
        return {told["winner"]: score}
    scores = dict.fromkeys(told["supporters"], score)
    if score == 1.0 and not told["open_ended"]:
        scores |= {member: 0.0 for member in told["answers"] if member not in scores}
    return scores
