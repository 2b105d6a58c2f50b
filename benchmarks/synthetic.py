"""Synthetic outcomes of any size: prompts of about 80 words in 12 topics, and members that know some topics better."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

N_TOPICS = 12
N_WORDS = 80
LETTERS = "ABCD"
_VOCABULARY = 20_000
_TOPIC_WORDS = 400


def texts(n: int, *, seed: int) -> list[str]:
    """Prompts, each with words of one topic among words of a common vocabulary whose frequencies follow Zipf's law."""
    return [text for text, _ in _prompts(n, np.random.default_rng(seed))]


def write_outcomes(folder: Path, *, n_queries: int, n_members: int, seed: int = 0) -> None:
    """Write multiple-choice queries and one reply per member in the interchange format."""
    rng = np.random.default_rng(seed)
    skills = rng.uniform(0.35, 0.9, (n_members, N_TOPICS))
    (folder / "responses").mkdir(parents=True)
    with (folder / "queries.jsonl").open("w") as queries:
        topics, gold = np.empty(n_queries, dtype=np.intp), rng.integers(0, len(LETTERS), n_queries)
        for number, (text, topic) in enumerate(_prompts(n_queries, rng)):
            topics[number] = topic
            _write(
                queries,
                query_id=f"q{number:06d}",
                query=text,
                reference=LETTERS[gold[number]],
                answer_type="choice",
                category=f"topic{topic}",
            )
    for member in range(n_members):
        right = rng.random(n_queries) < skills[member][topics]
        letters = np.where(right, gold, (gold + rng.integers(1, len(LETTERS), n_queries)) % len(LETTERS))
        with (folder / "responses" / f"m{member:02d}.jsonl").open("w") as replies:
            for number, letter in enumerate(letters):
                _write(
                    replies,
                    query_id=f"q{number:06d}",
                    model=f"m{member:02d}",
                    response=f"Let me think. The answer is ({LETTERS[letter]}).",
                    cost_usd=0.001,
                    latency_s=1.0,
                )


def _write(file: Any, **record: object) -> None:
    file.write(json.dumps(record) + "\n")


def _prompts(n: int, rng: np.random.Generator) -> Iterator[tuple[str, int]]:
    words = np.array([_word(number) for number in range(_VOCABULARY + N_TOPICS * _TOPIC_WORDS)])
    shares = 1.0 / np.arange(1, _VOCABULARY + 1)
    cumulative = np.cumsum(shares / shares.sum())
    for _ in range(n):
        topic = int(rng.integers(N_TOPICS))
        chosen = np.searchsorted(cumulative, rng.random(N_WORDS))
        own = rng.random(N_WORDS) < 0.15
        chosen[own] = _VOCABULARY + topic * _TOPIC_WORDS + rng.integers(0, _TOPIC_WORDS, own.sum())
        yield (
            " ".join(words[np.minimum(chosen, len(words) - 1)]) + "?\nA) one\nB) two\nC) three\nD) four",
            topic,
        )


def _word(number: int) -> str:
    """A pronounceable word per number: frequent ones are short, and words share their syllables."""
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    word = ""
    while number or not word:
        number, rest = divmod(number, len(syllables))
        word += syllables[rest]
    return word
