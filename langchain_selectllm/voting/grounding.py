"""Grounding: the share of each candidate answer that the reasoning of a reply arrives at by itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.answers.options import parse_options
from langchain_selectllm.answers.statements import cue, own_part
from langchain_selectllm.answers.words import COMMON, words

N_GROUNDS = 3

_REASONING = 8_000
"""Characters of a reply that are read, from its start. Bounds the work; not searched."""
_STATEMENT = 2_000
"""Characters of an answer that are compared. Bounds the work on an answer that is a long text; not
searched."""

_CONCLUSION = cue(["answer"])


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Part of a reply before its conclusion."""

    words: frozenset[str]
    """Its words and numbers, folded."""
    last_number: str | None
    """The number that it mentions last."""


def read_reasoning(reply: str) -> Reasoning:
    """Reasoning of a reply: its own part up to its last statement of an answer."""
    text = own_part(reply)[:_REASONING]
    end = len(text)
    for conclusion in _CONCLUSION.finditer(text):
        end = conclusion.start()
    mentioned = words(text[:end])
    return Reasoning(frozenset(mentioned), _last_number(mentioned))


def _last_number(mentioned: Sequence[str]) -> str | None:
    for word in reversed(mentioned):
        if word[0].isdigit():
            return word
    return None


def grounding(
    query: str | None, reasons: Sequence[Reasoning | None], candidates: Sequence[str]
) -> NDArray[np.float64]:
    """Grounding of each candidate answer in each reasoning, as three figures in [0, 1].

    A candidate stands for a statement: the text of that option where the query shows options, otherwise
    itself. The figures, in this order:

    - the share of the statement's words that the reasoning mentions, weighted by inverse document frequency
      over the query's statements, so that words common to all options weigh nothing;
    - 1 where the reasoning mentions a number of the statement that some other statement lacks;
    - 1 where such a number is the last one that the reasoning mentions.

    Args:
        query: The prompt's text; None when unknown.
        reasons: Reasoning behind each of n_slots ballots; None without a reply.
        candidates: The candidate answers.

    Returns:
        (n_slots, n_candidates, 3); 0 where there is no reasoning.
    """
    weights = _statement_weights(_statements(query, candidates))
    grounds = np.zeros((len(reasons), len(candidates), N_GROUNDS))
    for i, reason in enumerate(reasons):
        for j, candidate in enumerate(candidates):
            statement = weights.get(candidate)
            if reason is not None and statement:
                grounds[i, j] = _figures(reason, statement)
    return grounds


def _figures(reason: Reasoning, statement: dict[str, float]) -> tuple[float, float, float]:
    total = mentioned = 0.0
    number = False
    for word, weight in statement.items():
        total += weight
        if weight > 0 and word in reason.words:
            mentioned += weight
            number |= word[0].isdigit()
    if total <= 0:
        return 0.0, 0.0, 0.0
    return mentioned / total, float(number), float(statement.get(reason.last_number or "", 0.0) > 0)


def _statements(query: str | None, candidates: Sequence[str]) -> tuple[tuple[str, str], ...]:
    options: Mapping[str, str] = {}
    if query is not None:
        options = parse_options(query)
    if not options.keys().isdisjoint(candidates):
        return tuple(options.items())
    return tuple((candidate, candidate[:_STATEMENT]) for candidate in candidates)


@lru_cache(maxsize=256)
def _statement_weights(statements: tuple[tuple[str, str], ...]) -> dict[str, dict[str, float]]:
    """Inverse document frequency of each word of each statement, by candidate."""
    own_words: dict[str, list[str]] = {}
    n_with: Counter[str] = Counter()
    for candidate, text in statements:
        own_words[candidate] = sorted(set(words(text)) - COMMON)
    for own in own_words.values():
        n_with.update(own)
    n = max(len(own_words), 2)
    weights: dict[str, dict[str, float]] = {}
    for candidate, own in own_words.items():
        weights[candidate] = {word: log(n / n_with[word]) for word in own}
    return weights
