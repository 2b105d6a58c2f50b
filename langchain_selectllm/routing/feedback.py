"""What users say of replies, as outcomes to learn from: an append-only folder in the interchange format."""

import hashlib
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.outcomes import OutcomeTable
from langchain_selectllm.outcomes.folders import read_lines
from langchain_selectllm.routing.decision import Decision
from langchain_selectllm.routing.feedback_runs import REPLY_FIELDS, RoutedRuns, append_line

_QUERIES = "queries.jsonl"

Given = AIMessage | Mapping[str, Any] | Decision | UUID | str
"""What feedback is about: a router's message or its metadata, a decision for one member, or the id of a run."""


@dataclass(frozen=True)
class Added:
    """What became of feedback records."""

    outcomes: Mapping[str, int]
    """Scores recorded, by member."""
    unknown_runs: tuple[str, ...] = ()
    """Runs that the log did not see; their feedback was left out."""
    without_score: int = 0
    """Records without a score; left out."""
    ambiguous_runs: tuple[str, ...] = ()
    """Runs that held several replies of routers, such as the steps of an agent; their feedback was left out."""


class FeedbackLog(BaseCallbackHandler):
    """Keeps feedback as outcomes in a folder that `OutcomeTable.from_folders` reads.

    A score is about the final answer, so it goes to every member that gave it; see `member_scores`. Every line is appended
    and none is changed: repeated feedback on a prompt is one more sample of the same outcomes, whose score is the mean. One
    process writes into one folder.

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
        (self.folder / _QUERIES).touch()
        self._lock = threading.Lock()
        self._queries = {row["query_id"] for _, row in read_lines(self.folder / _QUERIES)}
        self._runs = RoutedRuns(self.folder / "runs.jsonl")

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Self:
        # Two logs of one folder would not know of each other's lines.
        return self

    def add(self, given: Given, score: float, **fields: Any) -> dict[str, float]:
        """Record a score of a final answer.

        Args:
            given: A router's message or its `response_metadata["selectllm"]`, the decision for one member, or the id of a run
                that this log saw as a callback.
            score: Worth of the answer in [0, 1].
            fields: More to keep beside each outcome, such as `comment`; JSON types.

        Returns:
            The score that each member got.

        Raises:
            OutcomeError: If the score is out of range, or it cannot be told who gave the answer.
        """
        _check(score)
        told = self._told(given)
        scores = member_scores(told, float(score))
        query_id = f"feedback-{hashlib.sha256(told['text'].encode()).hexdigest()[:32]}"
        with self._lock:
            if query_id not in self._queries:
                append_line(self.folder / _QUERIES, {"query_id": query_id, "query": told["text"]})
                self._queries.add(query_id)
            # Samples are numbered by the clock, so that no line needs to know of the others.
            sample = time.time_ns()
            for member, worth in scores.items():
                row = {
                    **fields,
                    "query_id": query_id,
                    "model": member,
                    "sample": sample,
                    "response": None,
                    "score": worth,
                }
                stem = re.sub(r"[^\w.+-]", "_", member)
                append_line(self.folder / "responses" / f"{stem}.jsonl", row)
        return scores

    def add_records(self, records: Iterable[Any], *, key: str | None = None) -> Added:
        """Record feedback as LangSmith keeps it: `run_id`, `score`, and where given `key` and `comment`.

        Args:
            records: Mappings, or the objects of `langsmith.Client.list_feedback`; others' runs among them are left out and
                reported.
            key: Which kind of feedback counts; any when None.

        Raises:
            OutcomeError: If a score is out of range; nothing is recorded then.
        """
        given = [fields for fields in map(dict, records) if key is None or fields.get("key") == key]
        scored = [fields for fields in given if fields.get("score") is not None]
        for fields in scored:
            _check(fields["score"])
        counts: dict[str, int] = {}
        unknown: list[str] = []
        ambiguous: list[str] = []
        for fields in scored:
            run = str(fields.get("run_id"))
            replies = self._runs.replies(run)
            if len(replies) != 1:
                (ambiguous if replies else unknown).append(run)
                continue
            kept = {name: fields[name] for name in ("key", "comment") if fields.get(name) is not None}
            for member in self.add(replies[0], fields["score"], run_id=run, **kept):
                counts[member] = counts.get(member, 0) + 1
        return Added(
            counts,
            unknown_runs=tuple(dict.fromkeys(unknown)),
            without_score=len(given) - len(scored),
            ambiguous_runs=tuple(dict.fromkeys(ambiguous)),
        )

    def outcomes(self, members: Sequence[str] | None = None) -> OutcomeTable:
        """Everything recorded so far.

        Raises:
            OutcomeError: If nothing was recorded yet.
        """
        return OutcomeTable.from_folders(self.folder, members=members)

    def on_chain_end(
        self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Note the answers of a router's run, and of the chains around it."""
        del kwargs
        self._runs.ended(outputs, run_id, parent_run_id)

    def on_llm_end(
        self, response: LLMResult, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Note the answers of a run of the router's chat model."""
        del kwargs
        for generation in response.generations[0] if response.generations else ():
            if isinstance(generation, ChatGeneration):
                self._runs.ended(generation.message, run_id, parent_run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the answers of a router's run that were not sure enough."""
        del kwargs
        self._runs.failed(error, run_id)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the answers of a run of the router's chat model that were not sure enough."""
        del kwargs
        self._runs.failed(error, run_id)

    def _told(self, given: Given) -> Mapping[str, Any]:
        if isinstance(given, AIMessage):
            if "selectllm" not in given.response_metadata:
                raise OutcomeError(
                    "The message is no router's: it has no response_metadata['selectllm']. Pass what it returned."
                )
            given = given.response_metadata["selectllm"]
        if isinstance(given, Mapping):
            if missing := [name for name in REPLY_FIELDS if name not in given]:
                raise OutcomeError(
                    f"The mapping has no {', '.join(map(repr, missing))}. Pass a router's message, or its "
                    "response_metadata['selectllm']."
                )
            return given
        if isinstance(given, Decision):
            if len(given.selected) != 1:
                raise OutcomeError(
                    f"The decision is for {len(given.selected)} members ({', '.join(given.selected_members)}), which does not "
                    "tell who gave the answer. Pass the router's message."
                )
            (winner,) = given.selected_members
            return {"text": given.text, "winner": winner, "answer": None}
        replies = self._runs.replies(str(given))
        if len(replies) != 1:
            seen = f"holds {len(replies)} replies of routers" if replies else "was not seen by this log"
            raise OutcomeError(
                f"Run {given} {seen}. Pass a run of the router that had the log as a callback, or the message."
            )
        return replies[0]


def _check(score: object) -> None:
    if not isinstance(score, (int, float)) or not 0.0 <= score <= 1.0:
        raise OutcomeError(f"The score is {score!r}. Use a number between 0 (wrong) and 1 (right).")


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
