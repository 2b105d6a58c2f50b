"""Feedback of users as outcomes to learn from: an append-only folder in the interchange format."""

import hashlib
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.routing.decision import Decision
from langchain_selectllm.routing.feedback_runs import REPLY_FIELDS, RoutedRuns, append_line
from langchain_selectllm.voting.call_numbers import member_of_label

if TYPE_CHECKING:
    from langchain_selectllm.outcomes import OutcomeTable

_QUERIES = "queries.jsonl"

FeedbackTarget = AIMessage | Mapping[str, Any] | Decision | UUID | str
"""Subject of feedback: a router's message or its metadata, a decision for one member, or the id of a run."""


@dataclass(frozen=True)
class Added:
    """Result of adding feedback records."""

    outcomes: Mapping[str, int]
    """Scores recorded, by member."""
    unknown_runs: tuple[str, ...] = ()
    """Runs that the log did not see; their feedback was left out."""
    without_score: int = 0
    """Records without a score; left out."""
    ambiguous_runs: tuple[str, ...] = ()
    """Runs that held several replies, such as the steps of an agent; their feedback was left out."""


class FeedbackLog(BaseCallbackHandler):
    """Keeps feedback as outcomes in a folder that `OutcomeTable.from_folders` reads.

    A score is about the final answer, so it goes to every member that gave it; see `member_scores`. Lines are
    appended and never changed: repeated feedback on a prompt is one more sample of the same outcomes, whose
    score is the mean. One process writes into one folder.

    As a callback (`router.invoke(prompt, {"callbacks": [log]})`) it notes the answers of each run, so that
    feedback can come later and by run id, as LangSmith keeps it.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open the folder, or make it.

        Args:
            folder: A folder that this log wrote before, an empty one, or one that does not exist.

        Raises:
            OutcomeError: If a file of it is malformed.
        """
        from langchain_selectllm.outcomes.folders import read_lines

        self.folder = Path(folder)
        (self.folder / "responses").mkdir(parents=True, exist_ok=True)
        (self.folder / _QUERIES).touch()
        self._lock = threading.Lock()
        self._queries = {row["query_id"] for _, row in read_lines(self.folder / _QUERIES)}
        self._runs = RoutedRuns(self.folder / "runs.jsonl")

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Self:
        # Two logs of one folder would not know of each other's lines.
        return self

    def add(self, target: FeedbackTarget, score: float, **fields: Any) -> dict[str, float]:
        """Record a score of a final answer.

        Args:
            target: A router's message or its `response_metadata["selectllm"]`, the decision for one member,
                or the id of a run that this log saw as a callback.
            score: Score of the answer in [0, 1].
            fields: Further fields of each outcome, such as `comment`; JSON types.

        Returns:
            The score that each member got.

        Raises:
            OutcomeError: If the score is out of range, or the member that answered cannot be identified.
        """
        _check(score)
        metadata = self._metadata(target)
        scores = member_scores(metadata, float(score))
        text = metadata["text"]
        query_id = f"feedback-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        with self._lock:
            if query_id not in self._queries:
                append_line(self.folder / _QUERIES, {"query_id": query_id, "query": text})
                self._queries.add(query_id)
            # Samples are numbered by the clock, so that no line needs to know of the others.
            outcome = {**fields, "query_id": query_id, "sample": time.time_ns(), "response": None}
            for member, member_score in scores.items():
                stem = re.sub(r"[^\w.+-]", "_", member)
                file = self.folder / "responses" / f"{stem}.jsonl"
                append_line(file, {**outcome, "model": member, "score": member_score})
        return scores

    def add_records(self, records: Iterable[Any], *, key: str | None = None) -> Added:
        """Record feedback as LangSmith keeps it: `run_id`, `score`, and where present `key` and `comment`.

        Args:
            records: Mappings, or the objects of `langsmith.Client.list_feedback`; records of other runs are
                left out and reported.
            key: Kind of feedback that counts; any when None.

        Raises:
            OutcomeError: If a score is out of range; nothing is recorded then.
        """
        scored: list[dict[str, Any]] = []
        without_score = 0
        for fields in map(dict, records):
            if key is not None and fields.get("key") != key:
                continue
            if fields.get("score") is None:
                without_score += 1
                continue
            _check(fields["score"])
            scored.append(fields)
        counts: dict[str, int] = {}
        unknown: dict[str, None] = {}
        ambiguous: dict[str, None] = {}
        for fields in scored:
            run = str(fields.get("run_id"))
            replies = self._runs.replies(run)
            if not replies:
                unknown[run] = None
            elif len(replies) > 1:
                ambiguous[run] = None
            else:
                kept = {name: fields[name] for name in ("key", "comment") if fields.get(name) is not None}
                for member in self.add(replies[0], fields["score"], run_id=run, **kept):
                    counts[member] = counts.get(member, 0) + 1
        return Added(
            counts,
            unknown_runs=tuple(unknown),
            without_score=without_score,
            ambiguous_runs=tuple(ambiguous),
        )

    def outcomes(self, members: Sequence[str] | None = None) -> "OutcomeTable":
        """Everything recorded so far.

        Raises:
            OutcomeError: If nothing was recorded yet.
        """
        from langchain_selectllm.outcomes import OutcomeTable

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
        if not response.generations:
            return
        for generation in response.generations[0]:
            if isinstance(generation, ChatGeneration):
                self._runs.ended(generation.message, run_id, parent_run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the answers of a router's run whose confidence was too low."""
        del kwargs
        self._runs.failed(error, run_id)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the answers of a run of the router's chat model whose confidence was too low."""
        del kwargs
        self._runs.failed(error, run_id)

    def _metadata(self, target: FeedbackTarget) -> Mapping[str, Any]:
        """Text, answers and winner of the reply that feedback is about."""
        if isinstance(target, AIMessage):
            if "selectllm" not in target.response_metadata:
                raise OutcomeError(
                    "The message does not come from a router: it has no response_metadata['selectllm']. Pass "
                    "the message that the router returned."
                )
            return _checked_fields(target.response_metadata["selectllm"])
        if isinstance(target, Mapping):
            return _checked_fields(target)
        if isinstance(target, Decision):
            return _sole_winner(target)
        replies = self._runs.replies(str(target))
        if len(replies) == 1:
            return replies[0]
        seen = "was not seen by this log"
        if replies:
            seen = f"holds {len(replies)} replies of routers"
        raise OutcomeError(
            f"Run {target} {seen}. Pass a run of the router that had the log as a callback, or the message."
        )


def _checked_fields(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    missing = [name for name in REPLY_FIELDS if name not in metadata]
    if missing:
        raise OutcomeError(
            f"The mapping has no {', '.join(map(repr, missing))}. Pass a router's message, or its "
            "response_metadata['selectllm']."
        )
    return metadata


def _sole_winner(decision: Decision) -> Mapping[str, Any]:
    if len(set(decision.selected)) != 1:
        raise OutcomeError(
            f"The decision is for {len(decision.selected)} members ({', '.join(decision.selected_members)}), "
            "so the member that answered cannot be identified. Pass the router's message."
        )
    winner = decision.selected_members[0]
    return {"text": decision.text, "winner": winner, "answer": None}


def _check(score: object) -> None:
    if not isinstance(score, (int, float)) or not 0.0 <= score <= 1.0:
        raise OutcomeError(f"The score is {score!r}. Use a number between 0 (wrong) and 1 (right).")


def member_scores(metadata: Mapping[str, Any], score: float) -> dict[str, float]:
    """Score per member that follows from a score of the final answer; the other members are left out.

    - The members that gave the answer get the score; where no answer could be read, the member whose reply
      was returned.
    - When the answer is wholly right (1) and only one answer can be right, the members that gave another one,
      or none, get 0. Nothing follows from a wrong answer for the members that gave another one.

    A member that was called several times gets the mean over its ballots. Members are thus observed more
    often when they agree with the others, so outcomes from feedback are no random sample.

    Args:
        metadata: `response_metadata["selectllm"]` of a router's message.
        score: Score of the final answer in [0, 1].
    """
    if metadata["answer"] is None:
        return {metadata["winner"]: score}
    ballots = dict.fromkeys(metadata["supporters"], score)
    if score == 1.0 and not metadata["open_ended"]:
        for ballot in metadata["answers"]:
            ballots.setdefault(ballot, 0.0)
    by_member: dict[str, list[float]] = {}
    for ballot, one in ballots.items():
        by_member.setdefault(member_of_label(ballot, metadata["answers"]), []).append(one)
    return {member: fsum(scores) / len(scores) for member, scores in by_member.items()}
