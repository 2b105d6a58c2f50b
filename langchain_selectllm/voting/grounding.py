"""How far the reasoning of a reply, its conclusion aside, arrives at each candidate answer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.answers.options import parse_options
from langchain_selectllm.answers.statements import cue, own_part
from langchain_selectllm.answers.words import COMMON, words

N_GROUNDS = 3

# Bounds the work on a reply of any length, and on an answer that is itself a long text.
_REASONING = 8_000
_STATEMENT = 2_000

_CONCLUSION = cue(["answer"])


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a reply says before it concludes."""

    words: frozenset[str]
    """Its words and numbers, folded."""
    last_number: str | None
    """The number that it mentions last."""


def read_reasoning(reply: str) -> Reasoning:
    """The reasoning of a reply: its own part up to its last statement of an answer."""
    text = own_part(reply)[:_REASONING]
    end = len(text)
    for conclusion in _CONCLUSION.finditer(text):
        end = conclusion.start()
    said = words(text[:end])
    return Reasoning(frozenset(said), next((word for word in reversed(said) if word[0].isdigit()), None))


def grounding(
    query: str | None, reasons: Sequence[Reasoning | None], candidates: Sequence[str]
) -> NDArray[np.float64]:
    """How far each reasoning arrives at each candidate answer.

    A candidate stands for a statement: the text of that option where the query shows options, otherwise itself. The three
    figures, each in [0, 1]: the share of the statement's words that the reasoning mentions, weighted by inverse document
    frequency over the query's statements, so that what all options share says nothing; whether it mentions a number of the
    statement that some other statement lacks; and whether such a number is the last one that it mentions.

    Args:
        query: The prompt's text; None when unknown.
        reasons: The reasoning behind each of n_slots ballots; None without a reply.
        candidates: The candidate answers.

    Returns:
        (n_slots, n_candidates, 3); 0 where there is no reasoning.
    """
    weights = _statement_weights(_statements(query, candidates))
    grounds = np.zeros((len(reasons), len(candidates), N_GROUNDS))
    for i, reason in enumerate(reasons):
        if reason is None:
            continue
        for j, candidate in enumerate(candidates):
            statement = weights.get(candidate, {})
            total = sum(statement.values())
            if total <= 0:
                continue
            mentioned = [word for word, weight in statement.items() if weight > 0 and word in reason.words]
            grounds[i, j, 0] = sum(statement[word] for word in mentioned) / total
            grounds[i, j, 1] = any(word[0].isdigit() for word in mentioned)
            grounds[i, j, 2] = statement.get(reason.last_number or "", 0.0) > 0
    return grounds


def _statements(query: str | None, candidates: Sequence[str]) -> tuple[tuple[str, str], ...]:
    options = {} if query is None else parse_options(query)
    if any(candidate in options for candidate in candidates):
        return tuple(options.items())
    return tuple((candidate, candidate[:_STATEMENT]) for candidate in candidates)


@lru_cache(maxsize=256)
def _statement_weights(statements: tuple[tuple[str, str], ...]) -> dict[str, dict[str, float]]:
    """Inverse document frequency of every word of every statement, by candidate."""
    said = {candidate: sorted(set(words(text)) - COMMON) for candidate, text in statements}
    n_with = Counter(word for own in said.values() for word in own)
    n = max(len(said), 2)
    return {candidate: {word: log(n / n_with[word]) for word in own} for candidate, own in said.items()}
