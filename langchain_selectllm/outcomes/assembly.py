"""From query and reply records to the columns of a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.answers import (
    AnswerExtractor,
    ComparesAnswers,
    get_extractor,
    gold_answer,
    read_answer,
)
from langchain_selectllm.answers.inference import infer_answer_type
from langchain_selectllm.exceptions import AnswerError, OutcomeError
from langchain_selectllm.outcomes.labels import grade
from langchain_selectllm.outcomes.records import (
    QueryRecord,
    ReplyRecord,
    members_of,
    merge_queries,
    merge_replies,
)

AnswerSpec = str | Callable[[str], str | None] | AnswerExtractor
"""How replies are read: the name of a kind of answer, a callable from reply to answer, or an extractor."""

_Cells = Mapping[tuple[int, int], Sequence[ReplyRecord]]
"""Records of each observed pair of row and column, in order of sample."""


def assemble(
    queries: Sequence[QueryRecord],
    replies: Sequence[ReplyRecord],
    *,
    members: Sequence[str] | None,
    answer: AnswerSpec | None,
) -> dict[str, Any]:
    """The fields of an `OutcomeTable`, by name.

    Args:
        queries: Records of the queries; the same query may stand in them several times.
        replies: Records of the replies of the members to keep.
        members: Members in order of the columns; all of them, sorted by name, when None.
        answer: How replies are read; each query's own `answer_type` when None, inferred where it has none.

    Raises:
        OutcomeError: If records contradict each other, a member is unknown, or a reference cannot be read.
    """
    by_id = merge_queries(queries)
    merged = merge_replies(replies, by_id)
    names = member_names(members, members_of(merged))
    records = tuple(by_id.values())
    given = None
    if answer is not None:
        given = get_extractor(answer)
    cells = _cells(by_id, names, merged)
    kinds = _kinds(records, merged, infer=given is None)
    extractors = [given or get_extractor(kind or "text") for kind in kinds]
    fields = _query_fields(records, kinds, extractors) | _empty_cells(len(records), len(names))
    comparer = None
    if isinstance(given, ComparesAnswers):
        comparer = given
    for (i, k), cell in cells.items():
        _fill(fields, (i, k), cell, extractors[i], comparer)
    return fields | {"members": names, "answer": getattr(given, "name", None), "comparer": comparer}


def member_names(members: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """The members to keep: `members`, or all that are known.

    Raises:
        OutcomeError: If there is none, or one is unknown or named twice.
    """
    names = tuple(known)
    if members is not None:
        names = tuple(members)
    if not names:
        raise OutcomeError(
            "There is no member: no reply was recorded. At least one member with replies is needed."
        )
    missing = [name for name in names if name not in known]
    if missing:
        raise OutcomeError(
            f"No outcome of {', '.join(map(repr, missing))} was recorded. Known members: {', '.join(known)}."
        )
    if len(set(names)) != len(names):
        raise OutcomeError(f"The members {names} name one twice. Name each member once.")
    return names


def _kinds(
    records: Sequence[QueryRecord], replies: Sequence[ReplyRecord], *, infer: bool
) -> list[str | None]:
    """The `answer_type` of each query; with `infer` it is inferred where a query with replies has none."""
    texts: dict[str, list[str]] = {}
    for reply in replies:
        if reply.text is not None:
            texts.setdefault(reply.query_id, []).append(reply.text)
    kinds: list[str | None] = []
    for query in records:
        kind, own = query.answer_type, texts.get(query.query_id, [])
        if kind is None and infer and own:
            kind = infer_answer_type(query.text, query.reference, own)
        kinds.append(kind)
    return kinds


def _query_fields(
    records: Sequence[QueryRecord], kinds: Sequence[str | None], extractors: Sequence[AnswerExtractor]
) -> dict[str, Any]:
    fields: dict[str, list[Any]] = {"answer_types": list(kinds)}
    for query, kind, extractor in zip(records, kinds, extractors, strict=True):
        fields.setdefault("query_ids", []).append(query.query_id)
        fields.setdefault("texts", []).append(query.text)
        fields.setdefault("references", []).append(_gold(query, extractor))
        fields.setdefault("types_inferred", []).append(kind != query.answer_type)
        fields.setdefault("categories", []).append(query.category)
    return {name: tuple(column) for name, column in fields.items()}


def _gold(query: QueryRecord, extractor: AnswerExtractor) -> str | None:
    if query.reference is None:
        return None
    try:
        return gold_answer(query.reference, extractor)
    except AnswerError as error:
        raise OutcomeError(
            f"{query.where}: {error} Correct it, or set the query's answer_type to what it is."
        ) from error


def _empty_cells(n: int, n_members: int) -> dict[str, NDArray[Any]]:
    cells: dict[str, NDArray[Any]] = {}
    for name in ("replies", "answers", "token_probabilities"):
        cells[name] = np.empty((n, n_members), dtype=np.object_)
        cells[name].fill(())
    for name in ("scores", "labels", "costs", "latencies"):
        cells[name] = np.full((n, n_members), np.nan)
    return cells


def _cells(query_ids: Mapping[str, Any], members: Sequence[str], replies: Sequence[ReplyRecord]) -> _Cells:
    rows = {query_id: i for i, query_id in enumerate(query_ids)}
    columns = {name: k for k, name in enumerate(members)}
    cells: dict[tuple[int, int], list[ReplyRecord]] = {}
    for reply in replies:
        cells.setdefault((rows[reply.query_id], columns[reply.member]), []).append(reply)
    return cells


def _fill(
    fields: Mapping[str, Any],
    at: tuple[int, int],
    cell: Sequence[ReplyRecord],
    extractor: AnswerExtractor,
    comparer: ComparesAnswers | None,
) -> None:
    """Write the records of one cell into the arrays."""
    text, gold = fields["texts"][at[0]], fields["references"][at[0]]
    answers: list[str | None] = []
    costs, latencies, scores = [], [], []
    for reply in cell:
        costs.append(reply.cost_usd)
        latencies.append(reply.latency_s)
        if reply.score is not None:
            scores.append(reply.score)
        if reply.text is not None:
            fields["replies"][at] += (reply.text,)
            fields["token_probabilities"][at] += (reply.token_probabilities,)
            answers.append(read_answer(extractor, reply.text, text, finish_reason=reply.finish_reason))
    fields["answers"][at] = tuple(answers)
    fields["costs"][at], fields["latencies"][at] = _mean(costs), _mean(latencies)
    if scores:
        fields["scores"][at] = np.mean(scores)
        fields["labels"][at] = float(fields["scores"][at] >= 0.5)
    elif gold is not None and answers:
        fields["labels"][at], fields["scores"][at] = grade(answers, gold, comparer)


def _mean(values: Sequence[float]) -> float:
    """Mean of the values that are not NaN; NaN without any."""
    observed = np.asarray(values)
    observed = observed[~np.isnan(observed)]
    if not len(observed):
        return float("nan")
    return float(observed.mean())
