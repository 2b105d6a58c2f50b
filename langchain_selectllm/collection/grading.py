"""Grading of recorded replies, as often as needed, without calling their members again."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from langchain_selectllm._progress import StageProgress, silent
from langchain_selectllm.collection.budget import check_affordable
from langchain_selectllm.collection.export import read_as_graded
from langchain_selectllm.collection.graders import GradeFunction, get_grader, grade_row
from langchain_selectllm.collection.inputs import (
    PoolMember,
    Queries,
    described_member,
    read_pool,
    read_queries,
)
from langchain_selectllm.collection.llm_judge import JUDGE_PROMPT, Judge
from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.collection.rows import GradeRow, MemberGrades, query_values
from langchain_selectllm.collection.store_lock import locked
from langchain_selectllm.members.pool_file import MemberSpec
from langchain_selectllm.members.registry import ChatModel, Member
from langchain_selectllm.outcomes import check_readable

_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Graded:
    """Result of grading."""

    grading: str
    """Name of the grading in the store."""
    members: Mapping[str, MemberGrades] = field(default_factory=dict)
    failed: int = 0
    """Replies that the judge could not be called for; grading again calls it for them again."""
    stopped: str | None = None
    """Why replies are left ungraded; None when none is."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures as plain JSON."""
        return asdict(self)


def grade_outcomes(
    store: str,
    grader: str | GradeFunction | None = None,
    *,
    name: str | None = None,
    queries: Queries | None = None,
    redo: bool = False,
    allow_unreadable: bool = True,
    progress: StageProgress = silent,
) -> Graded:
    """Grades the replies of a store from their texts; no model is called.

    Args:
        store: URL of the store.
        grader: "choice", "code", "json", "number" or "text" against the references; a function of (reply,
            reference, query) that returns a score in [0, 1] or None; each query's own `answer_type` when
            None.
        name: Name of the grading in the store; the grader's own when None.
        queries: References are read from there first.
        redo: Whether replies that have a grade of that name are graded again.
        allow_unreadable: Whether replies are graded even if (nearly) all of a kind are wrong or unreadable;
            the scores of a function are not checked.
        progress: Called as grading goes on.

    Raises:
        OutcomeError: If replies cannot be read and this is not allowed; nothing is written then.
        AnswerError: If the kind of answer is unknown, a reference is no such answer, or the function fails.
        StoreError: If the store cannot be opened or written.
    """
    chosen = get_grader(grader)
    grading = name or chosen.name
    with open_store(store, create=False) as opened:
        records = []
        if queries is not None:
            records = read_queries(queries)
            redo = True
        if not allow_unreadable and not callable(grader):
            changed = [query_values(record)["fields"] for record in records]
            check_readable(read_as_graded(opened, chosen.kind, changed))
        opened.add_queries(records)
        opened.begin_grading(grading, chosen.kind, redo=redo)
        total, rows = max(opened.count_ungraded(grading, redo=redo), 1), list[GradeRow]()
        done = 0
        for reply in opened.read_ungraded(grading, redo=redo):
            rows.append(grade_row(grading, reply, *chosen.grade(reply)))
            if len(rows) == _PAGE:
                opened.save_grades(rows)
                done, rows = done + len(rows), []
                progress("grade", done / total)
        if rows:
            opened.save_grades(rows)
        return Graded(grading=grading, members=opened.grade_summary(grading))


async def ajudge_outcomes(
    store: str,
    judge: ChatModel | Member | tuple[str, MemberSpec],
    *,
    name: str | None = None,
    prompt: str = JUDGE_PROMPT,
    redo: bool = False,
    max_cost_usd: float | None = None,
    stop: asyncio.Event | None = None,
    progress: StageProgress = silent,
) -> Graded:
    """Grades the replies of a store by a chat model.

    Args:
        store: URL of the store.
        judge: A chat model, or name and entry of one in a pool file.
        name: Name of the grading in the store; "judge:" and the model's name when None.
        prompt: The judge's prompt, with {query}, {reference} and {reply}.
        redo: Whether replies that the judge has graded already are graded again.
        max_cost_usd: No call is made that might raise the recorded cost of the whole store above this.
        stop: Set it to end early.
        progress: Called as grading goes on.

    Raises:
        PoolFileError: If a limit on the cost cannot be kept with this judge.
        StoreError: If the store cannot be opened or written, or another process is collecting into it.
    """
    member = _judge_member(judge)
    check_affordable([member], max_cost_usd)
    grading = name or f"judge:{member.name}"
    judging = Judge(member, prompt=prompt, max_cost_usd=max_cost_usd)
    with open_store(store, create=False) as opened, locked(opened) as lock:
        opened.begin_grading(grading, "judge", redo=redo)
        await judging.grade(
            opened, grading, redo=redo, stop=stop or asyncio.Event(), lock=lock, progress=progress
        )
        return Graded(
            grading=grading,
            members=opened.grade_summary(grading),
            failed=judging.failed,
            stopped=judging.stopped,
        )


def _judge_member(judge: ChatModel | Member | tuple[str, MemberSpec]) -> PoolMember:
    if isinstance(judge, tuple):
        name, spec = judge
        return described_member(name, spec)
    (member,) = read_pool({"judge": judge})
    return replace(member, name=member.spec.model)
