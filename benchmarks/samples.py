"""Several samples of a member on the embedded pool, and patience with stragglers on recorded outcomes.

Usage: python benchmarks/samples.py DATA_FOLDER [--queries 2400] [--seeds 3] [--write docs/explanation/several-samples.md]
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from markers import write_section
from numpy.typing import NDArray
from trials import ZEROEVAL_EIGHT

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.patience import last_arrivals, replay_arrivals, waiting_times
from langchain_selectllm.selection.policies import top
from langchain_selectllm.selection.policy_names import parse_policy
from langchain_selectllm.selection.pool_statistics import Patience
from langchain_selectllm.voting.cross_fitting import CrossFittedVotes

N_SAMPLES = 10
SIZES = range(1, 6)
CONTROLS = ("self_consistency", "routed_self_consistency", "fixed_best")
POOLS = {
    "mmlu_pro": ("MMLU-Pro", None),
    "zeroeval": ("ZeroEval, eight members of like strength", ZEROEVAL_EIGHT.members),
}
TAIL = 1.0
"""Standard deviation of the logarithm of a call's latency, median 1 s: a 95th percentile of 5.2 medians."""
PATIENCE_SIZES = (3, 5, 8)
TRAINING_DRAW = 1000
"""Seed of the latencies of training; those of the test have seeds from 0."""


def several_samples(n_queries: int, seeds: int) -> Iterator[str]:
    """Systems at equal calls on the embedded pool; differences paired by query, over all splits together."""
    from langchain_selectllm.embedded import embedded_models, generate_tasks, sample_outcomes

    tasks = generate_tasks(n_queries, seed=0)
    records = sample_outcomes(tasks, embedded_models(seed=0), n=N_SAMPLES)
    outcomes = OutcomeTable.from_records(*records)
    scores: dict[str, list[NDArray[np.float64]]] = {}
    rows: list[NDArray[np.float64]] = []
    for seed in range(seeds):
        train, test = outcomes.split(0.5, seed=seed)
        recording = Recording.of(test, SelectLLMClassifier(seed=seed).fit(train))
        rows.append(np.array(test.query_ids))
        for family in ("selectllm", *CONTROLS):
            for size in SIZES:
                name = f"{family}:{size}"
                scores.setdefault(name, []).append(_score(recording, name, len(test)))
    yield from _sample_table(scores, rows)


def _score(recording: Recording, name: str, n: int) -> NDArray[np.float64]:
    try:
        return recording.replay_policy(name, parse_policy(name)).score
    except PolicyError:
        return np.full(n, np.nan)


def _sample_table(
    scores: dict[str, list[NDArray[np.float64]]], rows: list[NDArray[np.float64]]
) -> Iterator[str]:
    ids, query = np.unique(np.concatenate(rows), return_inverse=True)
    n_seen = np.bincount(query)
    # Resampled by query, since a query may be in the test part of several splits.
    bootstrap = Bootstrap(len(ids), seed=0)
    yield "| S | selectllm:S | " + " | ".join(f"{name}:S | difference [95 %]" for name in CONTROLS) + " |"
    yield "|---:|---:|" + "---:|---:|" * len(CONTROLS)
    missed = []
    for size in SIZES:
        ours = np.concatenate(scores[f"selectllm:{size}"])
        cells = [f"{size}", f"{100 * ours.mean():.1f}"]
        for control in CONTROLS:
            theirs = np.concatenate(scores[f"{control}:{size}"])
            difference = np.bincount(query, weights=ours - theirs) / n_seen
            low, high = bootstrap.interval(difference)
            cells += [
                f"{100 * theirs.mean():.1f}",
                f"{100 * (ours - theirs).mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]",
            ]
            if not low > 0:
                missed.append(f"{control}:{size}")
        yield "| " + " | ".join(cells) + " |"
    yield ""
    if missed:
        yield f"**Missed**: not shown to be above {', '.join(missed)}.\n"


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One rule for stragglers on n queries; means over draws."""

    score: NDArray[np.float64]
    seconds: NDArray[np.float64]
    replies: float


def wait(recording: Recording, size: int, given: Patience | None, *, draws: int) -> Waiting:
    """`learned:size` against members with heavy-tailed latencies, waited for as patience says; for all when None."""
    called = top(recording.probabilities, size)
    pool, votes = recording.pool, recording.votes
    assert pool.vote is not None
    level, after_s = np.inf, 0.0
    if given is not None:
        level, after_s = given.level, given.after_s
    n = len(called)
    # One vote for all queries: they were not among those that it was fitted on.
    learned = CrossFittedVotes(final=pool.vote, by_fold=[pool.vote], folds=np.zeros(n, dtype=np.int64))
    score, seconds, replies = np.zeros((draws, n)), np.zeros((draws, n)), np.zeros(draws)
    for draw in range(draws):
        arrivals = np.where(called, latencies(called.shape, seed=draw), np.inf)
        replayed = replay_arrivals(votes, recording.probabilities, pool.latencies, learned, arrivals, size)
        ends = last_arrivals(replayed.times, replayed.lead, level=level, after_s=after_s)
        score[draw] = replayed.score[ends, np.arange(n)]
        seconds[draw] = waiting_times(replayed.times, ends, after_s=after_s)
        replies[draw] = (ends + 1).mean()
    return Waiting(score=score.mean(axis=0), seconds=seconds.ravel(), replies=float(replies.mean()))


def latencies(shape: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    """Heavy-tailed latencies with median 1 s."""
    return np.random.default_rng(seed).lognormal(0.0, TAIL, shape)


def _trained(table: OutcomeTable) -> SelectLLMClassifier:
    """A classifier of outcomes whose calls took latencies of the same distribution, drawn apart from the test's."""
    timed = replace(table, latencies=latencies(table.scores.shape, seed=TRAINING_DRAW))
    return SelectLLMClassifier(seed=0).fit(timed)


def _level(level: float, after_s: float = 0.0) -> Patience:
    return Patience(level=level, after_s=after_s, loss=float("nan"), limit=float("nan"))


def patience(data: Path, *, draws: int) -> Iterator[str]:
    """The tuned level and two others against waiting for all, on the recorded pools."""
    yield (
        "| pool | S | patience | accuracy | difference [95 %] | replies waited for | 95th percentile | change | mean | "
        "change |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    missed = []
    for folder, (title, members) in POOLS.items():
        train, test = OutcomeTable.from_folders(data / folder, members=members).split(0.3, seed=0)
        classifier = _trained(train)
        complete = test.take(np.flatnonzero(test.observed.all(axis=1)))
        recording = Recording.of(complete, classifier)
        tuned = classifier.pool.patience
        bootstrap = Bootstrap(len(complete), seed=0)
        for size in PATIENCE_SIZES:
            if size > len(complete.members):
                continue
            base = wait(recording, size, None, draws=draws)
            levels = [
                ("none", None),
                ("0.8", _level(0.8)),
                ("0.95", _level(0.95)),
                ("0.7 after 5 s", _level(0.7, 5.0)),
            ]
            if tuned is not None:
                levels.append((f"tuned, {tuned.level:g} after {tuned.after_s:.1f} s", tuned))
            for label, level in levels:
                one = base if level is None else wait(recording, size, level, draws=draws)
                low, high = bootstrap.interval(one.score - base.score)
                p95, base95 = np.percentile(one.seconds, 95), np.percentile(base.seconds, 95)
                difference = float((one.score - base.score).mean())
                if label.startswith("tuned") and (p95 / base95 > 0.6 or difference < -0.003):
                    missed.append(f"{title}, S = {size}")
                yield (
                    f"| {title} | {size} | {label} | {100 * one.score.mean():.1f} | {100 * difference:+.2f} "
                    f"[{100 * low:+.2f}, {100 * high:+.2f}] | {one.replies:.2f} | {p95:.2f} s | "
                    f"{100 * (p95 / base95 - 1):+.0f} % | {one.seconds.mean():.2f} s | "
                    f"{100 * (one.seconds.mean() / base.seconds.mean() - 1):+.0f} % |"
                )
        if tuned is None:
            missed.append(f"{title} (no level costs at most 0.3 points)")
    yield ""
    if missed:
        yield (
            "**Missed** by the tuned level (95th percentile at least 40 % lower at no more than 0.3 points): "
            f"{'; '.join(missed)}.\n"
        )


def main() -> None:
    """Print both sections, or write them between the markers of a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--queries", type=int, default=2400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--only", choices=("samples", "patience"))
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    sections = {
        "samples": lambda: several_samples(given.queries, given.seeds),
        "patience": lambda: patience(given.data, draws=given.draws),
    }
    for name, section in sections.items():
        if given.only not in (None, name):
            continue
        lines = list(section())
        print("\n".join(lines))
        if given.write:
            write_section(given.write, name, "\n".join(lines).strip())


if __name__ == "__main__":
    main()
