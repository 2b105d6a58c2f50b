"""One call and what came of it, as the store keeps them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One sample to draw: a query put to a member."""

    query_id: str
    sample: int
    prompt: str


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """What came of one call: a reply, or the error that ended its last attempt."""

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
    """The model as the provider names it in the reply."""
    reply_id: str | None = None
    """The provider's id of the reply."""
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    """None without prices or usage."""
    latency_s: float | None = None
    """Of the attempt that brought the reply."""


@dataclass(frozen=True, slots=True)
class GradeRow:
    """What one reply was worth to one grader."""

    grading: str
    """Name of the grading."""
    member: str
    parameters: str
    query_id: str
    sample: int
    answer: str | None
    """None when the reply abstains, or the grader reads no answers."""
    score: float | None
    """In [0, 1]; None where the grader could not tell."""
    cost_usd: float | None = None
    """What a judge took for it."""


@dataclass(frozen=True, slots=True)
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


def parameters_digest(settings: Mapping[str, Any]) -> str:
    """A short name for sampling parameters, equal for equal parameters."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def storable(text: str | None) -> str | None:
    """The text with what no database keeps replaced: NUL characters and lone surrogates."""
    if text is None:
        return None
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
