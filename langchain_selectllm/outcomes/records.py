"""One query and one reply as they stand in the interchange format, validated field by field."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, SupportsInt

from langchain_selectllm.answers.token_probabilities import TokenProbabilities, TokenProbabilitiesError
from langchain_selectllm.exceptions import OutcomeError

ANSWER_TYPES = ("choice", "code", "json", "number", "text")


@dataclass(frozen=True, slots=True)
class QueryRecord:
    """One query as recorded."""

    query_id: str
    text: str
    reference: str | None
    """Gold answer; None when the outcome is known by score only."""
    answer_type: str | None
    category: str
    where: str
    """Place of the record, for errors: "FILE:LINE" or "queries[3]"."""
    fields: Mapping[str, Any]
    """The record as read, unknown fields included, so that it can be written again without loss."""


@dataclass(frozen=True, slots=True)
class ReplyRecord:
    """One reply of one member to one query as recorded."""

    query_id: str
    member: str
    sample: int
    text: str | None
    score: float | None
    """Score of the reply in [0, 1]; None when it is to be graded against the reference."""
    cost_usd: float
    """NaN when not recorded."""
    latency_s: float
    """NaN when not recorded."""
    finish_reason: str | None
    """The provider's word for the end of the reply; None when not recorded."""
    token_probabilities: TokenProbabilities | None
    """Figures from the log-probabilities of its tokens; None when unknown."""
    where: str
    fields: Mapping[str, Any]


def parse_query(fields: Mapping[str, Any], where: str) -> QueryRecord:
    """The validated query record.

    Raises:
        OutcomeError: If a required field is missing or a value has the wrong type.
    """
    reference = fields.get("reference")
    if isinstance(reference, (int, float)) and not isinstance(reference, bool):
        reference = None if isinstance(reference, float) and math.isnan(reference) else str(reference)
    answer_type = _text_or_none(fields, "answer_type", where)
    if answer_type is not None and answer_type not in ANSWER_TYPES:
        raise OutcomeError(
            f"{where}: answer_type is {answer_type!r}. Use one of {', '.join(ANSWER_TYPES)}, or leave it out."
        )
    if not (reference is None or isinstance(reference, str)):
        raise OutcomeError(f"{where}: reference is {reference!r}. Use a string, a number or null.")
    return QueryRecord(
        query_id=_text(fields, "query_id", where),
        text=_text(fields, "query", where),
        reference=reference,
        answer_type=answer_type,
        category=_text_or_none(fields, "category", where) or "",
        where=where,
        fields=fields,
    )


def parse_reply(fields: Mapping[str, Any], where: str) -> ReplyRecord:
    """The validated reply record.

    Raises:
        OutcomeError: If a required field is missing, or a value has the wrong type or range.
    """
    sample = fields.get("sample")
    sample = 0 if _is_null(sample) else sample
    if (
        isinstance(sample, (bool, str))
        or not isinstance(sample, SupportsInt)
        or int(sample) != sample
        or sample < 0
    ):
        raise OutcomeError(f"{where}: sample is {sample!r}. Use an integer from 0.")
    score = _number_or_none(fields, "score", where)
    if score is not None and not 0.0 <= score <= 1.0:
        raise OutcomeError(
            f"{where}: score is {score!r}. Use a number between 0 and 1, or null when unobserved."
        )
    return ReplyRecord(
        query_id=_text(fields, "query_id", where),
        member=_text(fields, "model", where),
        sample=int(sample),
        text=_text_or_none(fields, "response", where),
        score=score,
        cost_usd=_non_negative(fields, "cost_usd", where),
        latency_s=_non_negative(fields, "latency_s", where),
        finish_reason=_finish_reason(fields),
        token_probabilities=_token_probabilities(fields, where),
        where=where,
        fields=fields,
    )


def parse_queries(records: Iterable[Mapping[str, Any]]) -> list[QueryRecord]:
    """The validated records of queries that stand in no file.

    Raises:
        OutcomeError: If one is malformed; names its position.
    """
    return [parse_query(fields, f"queries[{i}]") for i, fields in enumerate(records)]


def parse_replies(records: Iterable[Mapping[str, Any]]) -> list[ReplyRecord]:
    """The validated records of replies that stand in no file.

    Raises:
        OutcomeError: If one is malformed; names its position.
    """
    return [parse_reply(fields, f"replies[{i}]") for i, fields in enumerate(records)]


def members_of(replies: Iterable[ReplyRecord]) -> list[str]:
    """Names of the members that replied, sorted."""
    return sorted({reply.member for reply in replies})


def merge_queries(queries: Iterable[QueryRecord]) -> dict[str, QueryRecord]:
    """Queries by id, in order of id.

    The same query may stand in several folders (one per member, for instance) when text, reference, answer
    type and category agree.

    Raises:
        OutcomeError: If two records of one id disagree.
    """
    merged: dict[str, QueryRecord] = {}
    for query in queries:
        known = merged.setdefault(query.query_id, query)
        if _same_text(query.text, known.text) and len(query.text) < len(known.text):
            known = merged[query.query_id] = query
        for name in ("text", "reference", "answer_type", "category"):
            ours, theirs = getattr(known, name), getattr(query, name)
            if ours != theirs and not (name == "text" and _same_text(ours, theirs)):
                raise OutcomeError(
                    f"{query.where}: query_id {query.query_id!r} was recorded before at {known.where} with "
                    f"another {name}. Give different queries different ids."
                )
    return dict(sorted(merged.items()))


def merge_replies(replies: Iterable[ReplyRecord], queries: Mapping[str, QueryRecord]) -> list[ReplyRecord]:
    """Replies in order of (query, member, sample), each to a known query and recorded once.

    Raises:
        OutcomeError: If a reply names an unknown query, or a (query, member, sample) stands twice.
    """
    seen: dict[tuple[str, str, int], ReplyRecord] = {}
    for reply in replies:
        if reply.query_id not in queries:
            raise OutcomeError(
                f"{reply.where}: query_id {reply.query_id!r} is in no queries file. Add the query, or drop "
                "the reply."
            )
        key = (reply.query_id, reply.member, reply.sample)
        known = seen.setdefault(key, reply)
        # The same reply once with and once without its score: the one without adds nothing.
        if known.text == reply.text and (known.score is None) != (reply.score is None):
            seen[key] = known if reply.score is None else reply
        elif known is not reply:
            raise OutcomeError(
                f"{reply.where}: {reply.member!r} already has a reply to {reply.query_id!r} with sample "
                f"{reply.sample} at {known.where}. Keep one, or number repeated samples with the field "
                "'sample'."
            )
    return [seen[key] for key in sorted(seen)]


def _same_text(one: str, other: str) -> bool:
    """Whether two texts are equal, or one is the other written twice (as some prompts of RouterBench)."""
    short, long = sorted((one, other), key=len)
    half = len(short)
    return one == other or (long[:half] == short and long[half:].strip() == short.strip())


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _text(fields: Mapping[str, Any], name: str, where: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise OutcomeError(f"{where}: {name} is {value!r}. It is required, as a string that is not empty.")
    return value


def _text_or_none(fields: Mapping[str, Any], name: str, where: str) -> str | None:
    value = fields.get(name)
    if _is_null(value):
        return None
    if not isinstance(value, str):
        raise OutcomeError(f"{where}: {name} is {value!r}. Use a string or null.")
    return value


def _finish_reason(fields: Mapping[str, Any]) -> str | None:
    value = fields.get("finish_reason")
    if isinstance(value, str):
        return value
    return None


def _token_probabilities(fields: Mapping[str, Any], where: str) -> TokenProbabilities | None:
    value = fields.get("token_probabilities")
    if _is_null(value):
        return None
    try:
        return TokenProbabilities.from_fields(value)
    except TokenProbabilitiesError as error:
        raise OutcomeError(f"{where}: token_probabilities: {error}.") from error


def _number_or_none(fields: Mapping[str, Any], name: str, where: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    # A DataFrame spells a missing number NaN, a JSON file spells it null; a JSON NaN is refused
    # as a mistake.
    if isinstance(value, str) or (math.isnan(number) and ":" in where):
        raise OutcomeError(f"{where}: {name} is {value!r}. Use a number or null.")
    return None if math.isnan(number) else number


def _non_negative(fields: Mapping[str, Any], name: str, where: str) -> float:
    value = _number_or_none(fields, name, where)
    if value is None:
        return math.nan
    if not 0.0 <= value < math.inf:
        raise OutcomeError(f"{where}: {name} is {value!r}. Use a finite number from 0, or null.")
    return value
