"""Systems replayed on several splits of recorded outcomes, and their paired differences."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.replay import Replay


@dataclass(frozen=True)
class Setting:
    """Recorded outcomes and the pool that is tried on them."""

    title: str
    folder: str
    members: tuple[str, ...] | None = None
    answer: str | None = None


ZEROEVAL_EIGHT = Setting(
    "ZeroEval (GSM8K, CRUXEval-O, MATH level 5), eight members of similar strength",
    "zeroeval",
    (
        "gemma-2-9b-it",
        "gpt-3.5-turbo-0125",
        "Yi-1.5-34B-Chat",
        "Meta-Llama-3.1-8B-Instruct",
        "Phi-3.5-mini-instruct",
        "Qwen2-7B-Instruct",
        "Yi-1.5-9B-Chat",
        "claude-3-haiku-20240307",
    ),
)

SETTINGS = (
    Setting(
        "MMLU-Pro, eight members of 4B to 47B",
        "mmlu_pro",
        (
            "Phi-3-mini-4k-instruct",
            "mathstral-7B",
            "Meta-Llama-3_1-8B-Instruct",
            "Mixtral-8x7B-Instruct-v0.1",
            "Yi-34B",
            "c4ai-command-r-v01",
            "Meta-Llama-3-8B",
            "gemma-7b",
        ),
    ),
    Setting(
        "MMLU-Pro, seven members of 7B to 13B, one specialist dominates",
        "mmlu_pro",
        (
            "gemma-7b",
            "Llama-2-13b-hf",
            "Llama-2-7b-hf",
            "Mistral-7B-v0.1",
            "Mistral-7B-Instruct-v0.2",
            "mathstral-7B",
            "Meta-Llama-3-8B",
        ),
    ),
    ZEROEVAL_EIGHT,
    Setting(
        "ZeroEval, seven large models (70B and API models)",
        "zeroeval",
        (
            "Athene-70B",
            "Meta-Llama-3-70B-Instruct",
            "Meta-Llama-3.1-70B-Instruct",
            "Qwen2-72B-Instruct",
            "claude-3-opus-20240229",
            "gemini-1.5-flash",
            "reka-core-20240501",
        ),
    ),
    Setting("GSM8K, four solvers", "gsm8k_solutions"),
    Setting(
        "RouterBench (ARC-C, WinoGrande), eleven members with real prices",
        "routerbench_train",
        answer="choice",
    ),
    Setting("RouterDC, seven members of 7B to 8B, five tasks, scores without replies", "routerdc_train"),
)


@dataclass
class Trials:
    """Replays of every system on the test queries of every seed."""

    ids: list[tuple[str, ...]] = field(default_factory=list)
    categories: list[tuple[str, ...]] = field(default_factory=list)
    replays: list[dict[str, Replay]] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Systems that were replayed in every seed."""
        return [name for name in self.replays[0] if all(name in replays for replays in self.replays)]

    def mean(self, name: str, what: str) -> float:
        """Mean over seeds of a system's mean score, calls or cost."""
        return float(np.mean([getattr(replays[name], what).mean() for replays in self.replays]))

    def macro(self, name: str) -> float:
        """Mean over seeds of the mean over categories of the mean score."""
        means = []
        for categories, replays in zip(self.categories, self.replays, strict=True):
            names = np.array(categories)
            means.append(np.mean([replays[name].score[names == c].mean() for c in sorted(set(categories))]))
        return float(np.mean(means))

    def difference(
        self, name: str, control: str, weights: str = "queries"
    ) -> tuple[float, tuple[float, float]]:
        """Mean paired difference and its 95 % bootstrap interval over queries.

        A query is one unit, however many of the seeds tested it. With `weights="categories"` every category counts the
        same.
        """
        places = {query: i for i, query in enumerate(sorted({query for ids in self.ids for query in ids}))}
        total, count = np.zeros(len(places)), np.zeros(len(places))
        for ids, categories, replays in zip(self.ids, self.categories, self.replays, strict=True):
            rows = [places[query] for query in ids]
            share = _category_weights(categories) if weights == "categories" else np.ones(len(ids))
            total[rows] += share * (replays[name].score - replays[control].score)
            count[rows] += share
        mean = float(total.sum() / count.sum())
        # A ratio of two sums over queries, made linear around its value.
        linear = mean + (total - mean * count) / count.mean()
        return mean, Bootstrap(len(linear), seed=0).interval(linear)


def in_words(difference: tuple[float, tuple[float, float]]) -> str:
    """A difference of accuracies in points, its interval, and what it shows."""
    mean, (low, high) = difference
    word = "better" if low > 0 else "WORSE" if high < 0 else "no difference shown"
    return f"{100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] {word}"


def _category_weights(categories: Sequence[str]) -> NDArray[np.float64]:
    names, places, counts = np.unique(np.array(categories), return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = len(categories) / (len(names) * counts[places])
    return weights
