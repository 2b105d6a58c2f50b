"""Grading: what recorded replies are worth, as often as one likes, without calling their members again."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_selectllm._progress import Progress, silent
from langchain_selectllm.collection.costs import check_affordable
from langchain_selectllm.collection.graders import GradeFunction, get_grader, grade_row
from langchain_selectllm.collection.inputs import PoolMember, Queries, read_pool, read_queries
from langchain_selectllm.collection.llm_judge import JUDGE_PROMPT, Judge
from langchain_selectllm.collection.open_store import locked, open_store
from langchain_selectllm.collection.rows import GradeRow
from langchain_selectllm.members.pool_file import MemberSpec, PoolFile
from langchain_selectllm.members.registry import ChatModel, Member

if TYPE_CHECKING:
    from langchain_selectllm.collection.store import OutcomeStore

_PAGE = 500


@dataclass(frozen=True)
class MemberGrades:
    """The grades of one member."""

    replies: int
    graded: int
    """Replies with a score; the others have no reference, or the grader could not tell."""
    mean: float | None
    """Mean score; None without any."""


@dataclass(frozen=True)
class Graded:
    """What a run of grading has come to."""

    grading: str
    """Name of the grading in the store."""
    members: Mapping[str, MemberGrades] = field(default_factory=dict)
    failed: int = 0
    """Replies that could not be put to the judge; grading again puts them again."""
    stopped: str | None = None
    """Why replies were left ungraded; None when none was."""

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain JSON."""
        return asdict(self)


def grade_outcomes(
    store: str,
    grader: str | GradeFunction | None = None,
    *,
    name: str | None = None,
    queries: Queries | None = None,
    redo: bool = False,
    progress: Progress = silent,
) -> Graded:
    """Grade the replies of a store from their texts; nobody is called.

    Args:
        store: URL of the store.
        grader: "choice", "number", "text" or "json" against the references; a function of (reply, reference, query) that
            returns a score in [0, 1] or None; each query's own `answer_type` when None.
        name: Name of the grading in the store; the grader's own when None.
        queries: References are read anew from there first.
        redo: Whether replies that have a grade of that name are graded again.
        progress: Called as grading goes on.

    Raises:
        AnswerError: If the kind of answer is unknown, a reference is no such answer, or the function fails.
        StoreError: If the store cannot be opened or written.
    """
    chosen = get_grader(grader)
    grading = name or chosen.name
    with open_store(store) as opened:
        if queries is not None:
            opened.add_queries(read_queries(queries))
            redo = True
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
        return Graded(grading, _summary(opened, grading))


async def ajudge_outcomes(
    store: str,
    judge: ChatModel | Member | tuple[str, MemberSpec],
    *,
    name: str | None = None,
    prompt: str = JUDGE_PROMPT,
    redo: bool = False,
    max_cost_usd: float | None = None,
    stop: asyncio.Event | None = None,
    progress: Progress = silent,
) -> Graded:
    """Put the replies of a store to a chat model that says which are correct.

    Args:
        store: URL of the store.
        judge: A chat model, or name and entry of one in a pool file.
        name: Name of the grading in the store; "judge:" and the model's name when None.
        prompt: What the judge is asked, with {query}, {reference} and {reply}.
        redo: Whether replies that the judge has graded already are graded again.
        max_cost_usd: Nothing is asked that might bring the recorded cost of the whole store above this.
        stop: Set it to end early.
        progress: Called as grading goes on.

    Raises:
        PoolFileError: If a limit on the cost cannot be kept with this judge.
        StoreError: If the store cannot be opened or written, or another process is at work on it.
    """
    member = _judge_member(judge)
    check_affordable([member], max_cost_usd)
    grading = name or f"judge:{member.name}"
    judging = Judge(member, prompt=prompt, max_cost_usd=max_cost_usd)
    with open_store(store) as opened, locked(opened):
        opened.begin_grading(grading, "judge", redo=redo)
        await judging.grade(opened, grading, redo=redo, stop=stop or asyncio.Event(), progress=progress)
        return Graded(grading, _summary(opened, grading), judging.failed, judging.stopped)


def _judge_member(judge: ChatModel | Member | tuple[str, MemberSpec]) -> PoolMember:
    if isinstance(judge, tuple):
        return read_pool(PoolFile(members=dict([judge])))[0]
    (member,) = read_pool({"judge": judge})
    return replace(member, name=member.spec.model)


def _summary(store: "OutcomeStore", grading: str) -> dict[str, MemberGrades]:
    return {member: MemberGrades(*figures) for member, figures in store.grade_summary(grading).items()}
