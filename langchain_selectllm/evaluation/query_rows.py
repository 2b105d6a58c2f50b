"""Single queries for the report: what was asked, who was called, who answered what."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.evaluation.oracle_gap import ErrorSplit
from langchain_selectllm.evaluation.replay import Recording, Replay
from langchain_selectllm.evaluation.trace import Trace
from langchain_selectllm.voting.ballots import ABSTAIN

_TEXT_CHARACTERS = 240
_ANSWER_CHARACTERS = 80
_OMISSION = " … "


def query_rows(
    recording: Recording,
    replay: Replay,
    split: ErrorSplit,
    member_scores: NDArray[np.float64],
    *,
    most: int,
) -> list[dict[str, Any]]:
    """Up to `most` queries that the system answers wrongly, spread evenly over the recording; texts are cut.

    Args:
        recording: The replayed queries.
        replay: The system's replay, with its trace.
        split: Its errors by cause.
        member_scores: Score of each member's own answer, (n, K).
        most: Rows at most; 0 = none.
    """
    failed = np.flatnonzero(split.total > 0)
    if len(failed) > most:
        failed = failed[np.linspace(0, len(failed) - 1, most).astype(np.int64)]
    rows = []
    for i in np.unique(failed).tolist():
        row = _row(recording, replay, i)
        row["right_members"] = _right_members(recording.pool.members, member_scores[i])
        row["cause"] = split.cause(i)
        rows.append(row)
    return rows


def _row(recording: Recording, replay: Replay, i: int) -> dict[str, Any]:
    assert replay.trace is not None
    outcomes, members = recording.outcomes, recording.pool.members
    called = [members[k] for k in np.flatnonzero(replay.trace.mask[i]).tolist()]
    answers = {}
    for k, name in enumerate(members):
        answers[name] = _cut(_first(outcomes.answers[i, k]), _ANSWER_CHARACTERS)
    return {
        "query_id": outcomes.query_ids[i],
        "category": outcomes.categories[i],
        "text": _cut(outcomes.texts[i], _TEXT_CHARACTERS),
        "called": called,
        "answers": answers,
        "answer": _cut(_winner(recording, replay.trace, i), _ANSWER_CHARACTERS),
        "reference": _cut(outcomes.references[i], _ANSWER_CHARACTERS),
        "score": float(replay.score[i]),
        "confidence": _at(replay.confidence, i),
    }


def _winner(recording: Recording, trace: Trace, i: int) -> str | None:
    code = int(trace.verdict.winners[i])
    if code == ABSTAIN:
        return None
    return recording.votes_of(trace.calls).candidates[i][code]


def _right_members(members: Sequence[str], scores: NDArray[np.float64]) -> list[str]:
    return [name for name, score in zip(members, scores, strict=True) if score >= 0.5]


def _first(answers: Sequence[str | None]) -> str | None:
    if not answers:
        return None
    return answers[0]


def _at(values: NDArray[np.float64] | None, i: int) -> float | None:
    if values is None:
        return None
    return float(values[i])


def _cut(text: str | None, characters: int) -> str | None:
    """At most that many characters; the middle of a longer text is left out.

    Queries often share instructions at their start and differ at their end.
    """
    if text is None or len(text) <= characters:
        return text
    kept = characters - len(_OMISSION)
    start = kept // 2
    return f"{text[:start]}{_OMISSION}{text[start - kept :]}"
