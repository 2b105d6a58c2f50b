"""Linguistic features of queries: length, readability, numbers, negation, clauses, options, category."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm._optional import require
from langchain_selectllm.answers.options import read_options

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
_OPERATION = re.compile(
    r"(?<=[\w)\s])[-+*/×÷=^<>≤≥](?=[\s\w(])"
    r"|\b(?:plus|minus|times|divided|multiplied|squared?|cubed?|sums?|differences?|products?|quotients?"
    r"|percent|ratios?|twice|half|double|total)\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|except|cannot|false|incorrect|least"
    r"|\w+n't)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"\b(?:because|although|though|unless|until|while|whereas|whether|if|when|whenever|where|who|whom|whose"
    r"|which|that|since|after|before|so)\b",
    re.IGNORECASE,
)
_SPACY_MODEL = "en_core_web_sm"
_FEWEST_OF_CATEGORY = 20
"""Queries below which a category is no feature: its share in either group would be chance."""


@dataclass(frozen=True, kw_only=True)
class QueryFeatures:
    """Features of n queries."""

    names: tuple[str, ...]
    definitions: tuple[str, ...]
    """One definition per feature, in words."""
    values: NDArray[np.float64]
    """One row per query, (n, n_features)."""


DEFINITIONS = {
    "words": "number of words",
    "words per sentence": "words per sentence",
    "readability": "school grade by the Coleman-Liau index (1975), from letters and sentences per word",
    "rare words": "share of words outside the list of 3,000 easy words by Dale and Chall (1995)",
    "numbers": "number of numerals",
    "operations": "number of arithmetic signs and words",
    "negations": "number of negating words",
    "clauses": "number of words that open a subordinate clause",
    "options": "number of answer options",
}
"""Features of every query; all but the options are of the text before the options."""
SYNTAX_DEFINITIONS = {
    "depth": "depth of the deepest syntax tree (spaCy)",
    "subordinate clauses": "number of clauses that depend on another one (spaCy)",
    "named entities": "number of named entities (spaCy)",
}
"""Further features where spaCy and its small English model are installed."""


def query_features(texts: Sequence[str], categories: Sequence[str]) -> QueryFeatures:
    """Features of queries; categories of at least 20 queries are features of value 0 or 1.

    Args:
        texts: Queries as users send them, (n,).
        categories: Category of each query, "" where there is none, (n,).

    Raises:
        MissingDependencyError: If the extra `analyze` is not installed.
    """
    stems = [read_options(text).stem for text in texts]
    parts = [np.array(list(map(_text_features, stems, texts)))]
    definitions = dict(DEFINITIONS)
    parser = _syntax_parser()
    if parser is not None:
        parts.append(np.array(list(map(syntax_features, parser(stems)))))
        definitions |= SYNTAX_DEFINITIONS
    names = np.array(categories)
    for category in sorted(set(categories) - {""}):
        member = names == category
        if _FEWEST_OF_CATEGORY <= member.sum() < len(names):
            parts.append(member[:, None].astype(np.float64))
            definitions[f"category {category}"] = f"whether the category is {category}"
    return QueryFeatures(
        names=tuple(definitions), definitions=tuple(definitions.values()), values=np.hstack(parts)
    )


def _text_features(stem: str, text: str) -> list[float]:
    """Values in the order of `DEFINITIONS`."""
    textstat = require("textstat", extra="analyze", needed_by="The linguistic analysis")
    words = _WORD.findall(stem.lower())
    rare = len([word for word in words if not _is_easy(word)])
    return [
        float(textstat.lexicon_count(stem)),
        float(textstat.words_per_sentence(stem)),
        float(textstat.coleman_liau_index(stem)),
        rare / max(len(words), 1),
        float(len(_NUMBER.findall(stem))),
        float(len(_OPERATION.findall(stem))),
        float(len(_NEGATION.findall(stem))),
        float(len(_CLAUSE.findall(stem))),
        float(len(read_options(text).texts)),
    ]


@cache
def _easy_words() -> frozenset[str]:
    """The list that textstat ships; its own test of a word would download a pronouncing dictionary."""
    textstat = require("textstat", extra="analyze", needed_by="The linguistic analysis")
    text = files(textstat).joinpath("resources/en/easy_words.txt").read_text(encoding="utf-8")
    return frozenset(text.lower().split())


def _is_easy(word: str) -> bool:
    """Whether the word, or the word without a regular ending, is in the list."""
    easy = _easy_words()
    if word in easy:
        return True
    for ending in ("s", "es", "d", "ed", "ing", "ly", "'s"):
        if word.endswith(ending) and word.removesuffix(ending) in easy:
            return True
    return False


def syntax_features(doc: Any) -> list[float]:
    """Values in the order of `SYNTAX_DEFINITIONS`.

    Args:
        doc: A parsed spaCy document.
    """
    depth = 0
    for token in doc:
        depth = max(depth, sum(1 for _ in token.ancestors) + 1)
    clauses = sum(token.dep_ in {"advcl", "acl", "relcl", "ccomp", "csubj"} for token in doc)
    return [float(depth), float(clauses), float(len(doc.ents))]


def _syntax_parser() -> Callable[[Sequence[str]], Any] | None:
    """The parser of spaCy's small English model; None where either is not installed."""
    try:
        import spacy
    except ModuleNotFoundError:
        return None
    if not spacy.util.is_package(_SPACY_MODEL):
        return None
    parse: Callable[[Sequence[str]], Any] = spacy.load(_SPACY_MODEL).pipe
    return parse
