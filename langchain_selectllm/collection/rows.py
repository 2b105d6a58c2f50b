"""Rows of the store: calls, replies, grades, queries."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from langchain_selectllm.outcomes.records import QueryRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One sample to draw: one query to one member."""

    query_id: str
    sample: int
    prompt: str
    reference: str | None = None
    answer_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRow:
    """Result of one call: a reply, or the error that ended its last attempt."""

    query_id: str
    member: str
    sample: int
    parameters: str
    """Digest of the sampling parameters."""
    text: str | None
    """None exactly when `error` is set."""
    error: str | None
    attempts: int
    finished_at: float
    """Seconds since 1970."""
    model_name: str | None = None
    """Name of the model in the provider's reply."""
    reply_id: str | None = None
    """The provider's id of the reply."""
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    """None without prices or usage."""
    latency_s: float | None = None
    """Duration of the attempt that brought the reply."""
    token_probabilities: Mapping[str, Any] | None = None
    """Figures as `TokenProbabilities.to_fields` gives them; None without log-probabilities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeRow:
    """Grade of one reply by one grader."""

    grading: str
    """Name of the grading."""
    member: str
    parameters: str
    query_id: str
    sample: int
    answer: str | None
    """None when the reply abstains, or the grader reads no answers."""
    score: float | None
    """In [0, 1]; None where the grader could not decide."""
    cost_usd: float | None = None
    """Cost of a judge's call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A reply of the store beside its query, for graders."""

    member: str
    parameters: str
    query_id: str
    sample: int
    text: str
    query: str
    reference: str | None
    answer_type: str | None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberGrades:
    """Summary of one member's grades."""

    replies: int
    graded: int
    """Replies with a score; the others have no reference, or the grader could not decide."""
    mean: float | None
    """Mean score; None without any."""


def parameters_digest(settings: Mapping[str, Any]) -> str:
    """Returns a short name for sampling parameters, equal for equal parameters."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def storable(text: str | None) -> str | None:
    """Returns the text without NUL characters and lone surrogates, which databases refuse."""
    if text is None:
        return None
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def row_values(row: ReplyRow | GradeRow) -> dict[str, Any]:
    """Returns the columns of a reply or grade."""
    values = {}
    for field in fields(row):
        value = getattr(row, field.name)
        if isinstance(value, str):
            value = storable(value)
        values[field.name] = value
    return values


def query_values(query: QueryRecord) -> dict[str, Any]:
    """Returns the columns of a query, its record with unknown fields included."""
    return {
        "query_id": query.query_id,
        "text": storable(query.text),
        "reference": storable(query.reference),
        "answer_type": query.answer_type,
        "category": query.category,
        "fields": {name: _plain(value) for name, value in query.fields.items()},
    }


def _plain(value: Any) -> Any:
    """Returns the value as JSON knows it; records may come from a DataFrame."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value
