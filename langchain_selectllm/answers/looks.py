"""How the options of a multiple choice look beside one another, whatever they mean."""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from functools import lru_cache
from math import log, log1p

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.answers.options import Options, read_options
from langchain_selectllm.answers.words import COMMON, words

N_LOOKS = 47
"""Figures of an option; the first is the number of options, 0 where there are none."""

# Bound the work on a prompt of any length.
_OPTION = 400
_STEM = 2_000

_GRAM = 4
_SHAPE = 40
_NUMBER = re.compile(r"[-−]?\d[\d,]{0,20}(?:\.\d{1,20})?(?:e[-−]?\d{1,3})?")
_ALL = re.compile(r"\b(?:all|both|each|any) (?:of )?(?:the|these|them)\b")
_NONE = re.compile(r"\b(?:none of|not enough|insufficient|cannot be|neither|no answer)\b")
_ABSOLUTE = re.compile(r"\b(?:always|never|only|all|every|must|none|no|cannot|any)\b")
_HEDGE = re.compile(r"\b(?:may|can|could|might|some|often|usually|generally|most|likely|unless|if)\b")
_NEGATED = re.compile(r"\b(?:not|except|least|false|incorrect)\b")
_DIGITS, _LETTERS = re.compile(r"\d+"), re.compile(r"[^\W\d_]+")
# What one slips by: a forgotten factor, a percentage, a decimal point.
_FACTORS = np.log([1.0, 2.0, 3.0, 4.0, 10.0, 100.0, 1000.0, 1 / 2, 1 / 3, 1 / 4, 0.1, 0.01, 0.001])


def candidate_looks(query: str | None, candidates: Sequence[str]) -> NDArray[np.float64]:
    """Looks of the options that candidate answers name, (n_candidates, N_LOOKS); 0 for what is no option of the query."""
    looks = np.zeros((len(candidates), N_LOOKS))
    if query is not None:
        places = {letter: i for i, letter in enumerate(read_options(query).texts)}
        offered = option_looks(query)
        for i, candidate in enumerate(candidates):
            if candidate in places:
                looks[i] = offered[places[candidate]]
    return looks


@lru_cache(maxsize=64)
def option_looks(query: str) -> NDArray[np.float64]:
    """How each option of a query looks beside the others.

    Whoever makes up wrong answers starts from the right one: varies its wording, its numbers, its length. So the right one
    tends to lie in their middle. The figures are those of the question (number of options, their lengths, how many are
    numbers, whether these are in order, numbers in the question, whether it asks for what is *not*), of the option itself
    (place, longest, shortest, "all of them", "none of them", made of the question's numbers, rank of its number and distance
    to the median), and, standardised over the options, of its words: its length, what it shares with the other options
    (words, numbers, 4-grams of characters, first and last words, shape), what with the question, its sweeping and hedging
    words, its punctuation, its digits, and how many other numbers are a usual factor away from its own.

    Returns:
        (n_options, N_LOOKS), rows as the options of `read_options`.
    """
    options = read_options(query)
    texts = [text[:_OPTION] for text in options.texts.values()]
    if not texts:
        return np.zeros((0, N_LOOKS))
    stem = frozenset(words(options.stem[-_STEM:]))
    said = [words(text) for text in texts]
    found = [_NUMBER.search(text) for text in texts]
    spelt = [match[0] if match else "" for match in found]
    values = np.array([_value(number) for number in spelt])
    rank, distance, near = _numbers(values)
    relative = [*_wording(texts, said, stem), *_digits(texts, said, spelt, stem), near]
    standardised = _standardised(np.array(relative, dtype=np.float64).T)
    lengths = [len(text) for text in texts]
    absolute = [
        np.linspace(-1, 1, len(texts)),
        [length == max(lengths) for length in lengths],
        [length == min(lengths) for length in lengths],
        [_ALL.search(text) is not None for text in texts],
        [_NONE.search(text) is not None for text in texts],
        [bool(own) and own <= stem for own in map(_numbers_of, said)],
        [_is_number(text) for text in texts],
        rank,
        4 * rank**2,
        distance,
    ]
    own = np.array(absolute, dtype=np.float64).T
    return np.hstack([_of_the_question(options, texts, values, stem), own, standardised, np.abs(standardised[:, :1])])


def _of_the_question(
    options: Options, texts: Sequence[str], values: NDArray[np.float64], stem: frozenset[str]
) -> NDArray[np.float64]:
    lengths = np.log1p([len(text) for text in texts])
    known = not np.isnan(values).any()
    figures = [
        len(texts),
        lengths.mean(),
        lengths.std(),
        np.mean([_is_number(text) for text in texts]),
        abs(np.sign(np.diff(values)).mean()) if known else 0.0,
        log1p(len(_numbers_of(stem))),
        _NEGATED.search(options.stem[-_STEM:].lower()) is not None,
    ]
    return np.tile(np.array(figures, dtype=np.float64), (len(texts), 1))


def _wording(texts: Sequence[str], said: Sequence[Sequence[str]], stem: frozenset[str]) -> list[Sequence[float]]:
    n = len(texts)
    sets = [set(own) for own in said]
    telling = [own - COMMON for own in sets]
    n_with = Counter(word for own in sets for word in own)
    similar = _similarity(texts)
    return [
        [log1p(len(text)) for text in texts],
        [len(text.split()) for text in texts],
        [sum(1 < n_with[word] < n for word in own) for own in sets],
        [sum(n_with[word] == 1 for word in own) for own in sets],
        [_mean([n_with[word] - 1 for word in own]) for own in telling],
        [_mean([log(n_with[word]) for word in own]) for own in sets],
        _frequency([own[0] if own else "" for own in said]),
        _frequency([own[-1] if own else "" for own in said]),
        _frequency([tuple(own[:2]) for own in said]),
        _frequency([_LETTERS.sub("a", _DIGITS.sub("0", text))[:_SHAPE] for text in texts]),
        [len(own & stem) / max(len(own), 1) for own in telling],
        [sum(log(n / n_with[word]) for word in own & stem) for own in telling],
        [len(_ABSOLUTE.findall(text)) for text in texts],
        [len(_HEDGE.findall(text)) for text in texts],
        [text.count(",") for text in texts],
        [text.count("(") for text in texts],
        [list(own).count("and") for own in said],
        [len(text) / max(len(text.split()), 1) for text in texts],
        similar.sum(axis=1).tolist(),
        similar.max(axis=1).tolist(),
    ]


def _digits(
    texts: Sequence[str], said: Sequence[Sequence[str]], spelt: Sequence[str], stem: frozenset[str]
) -> list[Sequence[float]]:
    sets = [_numbers_of(own) for own in said]
    n_with = Counter(number for own in sets for number in own)
    decimals = [len(number.partition(".")[2]) for number in spelt]
    return [
        [_mean([n_with[number] - 1 for number in own]) for own in sets],
        [len(own) for own in sets],
        [len(own & stem) for own in sets],
        decimals,
        _frequency(decimals),
        [text.count("-") + text.count("−") for text in texts],
        [len(number.replace(",", "").replace(".", "").strip("-−0")) for number in spelt],
        [number.endswith("0") and "." not in number for number in spelt],
    ]


def _numbers(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Rank in [-1/2, 1/2], log distance to the median, and share of the others a usual factor away; 0 for no numbers."""
    rank, distance, near = np.zeros((3, len(values)))
    known = ~np.isnan(values)
    own = values[known]
    if known.sum() >= max(3, 0.7 * len(values)) and len(set(own.tolist())) > 2:
        rank[known] = (own[:, None] > own).mean(axis=1) + (own[:, None] == own).mean(axis=1) / 2 - 0.5
        distance[known] = np.minimum(np.abs(np.log1p(np.abs(own)) - np.log1p(np.abs(np.median(own)))), 3.0)
        logs = np.log(np.maximum(np.abs(own), 1e-9))
        apart = np.abs((logs[:, None] - logs)[:, :, None] - _FACTORS).min(axis=2)
        near[known] = ((apart < 1e-3).sum(axis=1) - 1) / (len(own) - 1)
    return rank, distance, near


def _similarity(texts: Sequence[str]) -> NDArray[np.float64]:
    """Jaccard similarity of the sets of 4-grams of characters, (n, n), 0 on the diagonal."""
    grams = [{f" {text} "[i : i + _GRAM] for i in range(max(len(text) + 3 - _GRAM, 1))} for text in texts]
    similar = np.zeros((len(texts), len(texts)))
    for i, own in enumerate(grams):
        for j in range(i):
            shared = len(own & grams[j])
            similar[i, j] = similar[j, i] = shared / (len(own) + len(grams[j]) - shared)
    return similar


def _standardised(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = columns.std(axis=0)
    varies = spread > 1e-9
    return np.where(varies, (columns - columns.mean(axis=0)) / np.where(varies, spread, 1.0), 0.0)


def _frequency(keys: Sequence[Hashable]) -> list[float]:
    counts = Counter(keys)
    return [counts[key] for key in keys]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _numbers_of(said: Sequence[str] | frozenset[str]) -> set[str]:
    return {word for word in said if word[0].isdigit()}


def _is_number(text: str) -> bool:
    return text[:1].isdigit() or text[:1] in tuple("$-−")


def _value(number: str) -> float:
    value = float(number.replace(",", "").replace("−", "-")) if number else np.nan
    return value if np.isfinite(value) else np.nan
