"""Checks that replies were read the way they were meant, before anything is learned or reported from them."""

from textwrap import shorten

import numpy as np

from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.outcomes.table import AGREEMENT, OutcomeTable

_MIN_QUERIES = 20
"""Queries of a kind below which all replies may well be wrong by chance."""
_MAX_RIGHT_SHARE = 0.01
"""Share of right replies up to which the reading is doubted; the weakest member of the recorded data sets is
right on 18 % of its queries (Llama-2-7b-hf on MMLU-Pro)."""
_SHOWN = 120
"""Characters of a reply in a message."""


def check_readable(table: OutcomeTable, *, allow_unreadable: bool = False) -> None:
    """Refuse outcomes of which (nearly) all replies of a kind are wrong or unreadable.

    Args:
        table: Outcomes; queries without a reference or replies are not checked.
        allow_unreadable: Whether to go on all the same.

    Raises:
        OutcomeError: If of at least 20 queries of a kind at most 1 % of the replies are right.
    """
    if allow_unreadable or table.labels_from == AGREEMENT:
        return
    rows: dict[str, list[int]] = {}
    for i, kind in enumerate(table.answer_types):
        if table.references[i] is not None and any(table.replies[i]):
            rows.setdefault(table.answer or kind or "text", []).append(i)
    for kind, own in rows.items():
        right = float(np.nanmean(table.scores[own]))
        if len(own) >= _MIN_QUERIES and right <= _MAX_RIGHT_SHARE:
            raise OutcomeError(_doubt(table, kind, own, right))


def reading_notice(table: OutcomeTable) -> str | None:
    """One line about kinds of answers that were inferred, for printing; None where all were recorded."""
    counts = table.inferred_types
    if not counts:
        return None
    parts = ", ".join(f"{kind} ({n:,})" for kind, n in sorted(counts.items()))
    return (
        f"{sum(counts.values()):,} of {len(table):,} queries have no answer_type. Inferred from references "
        f"and replies: {parts}."
    )


def _doubt(table: OutcomeTable, kind: str, rows: list[int], right: float) -> str:
    finding = "no member is ever right"
    if right > 0.0:
        finding = f"{100 * right:.1f} % of the replies are right"
    first = rows[0]
    k = next(k for k, replies in enumerate(table.replies[first]) if replies)
    reply = shorten(table.replies[first, k][0], _SHOWN)
    return (
        f"{len(rows)} {kind} queries: {finding}. First reply {reply!r}, read as "
        f"{table.answers[first, k][0]!r}, reference {table.references[first]!r}. Correct the "
        "answer_type of the queries or their references, or allow unreadable replies."
    )
