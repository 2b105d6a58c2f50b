"""Accuracy on categories of MMLU-Pro that training did not see: trained on ten, tested on the other four.

Usage: python benchmarks/out_of_distribution.py DATA_FOLDER [--seeds 2] [--write docs/explanation/out-of-distribution.md]

Each seed shuffles the categories and takes three groups of four out, one after the other.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from markers import write_section
from trials import SETTINGS, Setting, Trials, in_words

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.evaluation.replay import Recording, Replay
from langchain_selectllm.selection.policy_names import parse_policy

TEST_CATEGORIES = 4
POOLS = [setting for setting in SETTINGS if setting.folder == "mmlu_pro"]


def groups(categories: list[str], seed: int) -> Iterator[list[str]]:
    """Disjoint groups of four categories, as many as there are."""
    shuffled = np.random.default_rng(seed).permutation(sorted(categories)).tolist()
    for start in range(0, len(shuffled) - TEST_CATEGORIES + 1, TEST_CATEGORIES):
        yield sorted(shuffled[start : start + TEST_CATEGORIES])


def run(table: OutcomeTable, seeds: int) -> Trials:
    """Every system on every group of categories that training did not see."""
    trials, names = Trials(), np.array(table.categories)
    for seed in range(seeds):
        for left_out in groups(list(set(table.categories)), seed):
            unseen = np.isin(names, left_out)
            test = table.take(np.flatnonzero(unseen & table.observed.all(axis=1)))
            classifier = SelectLLMClassifier(seed=seed).fit(table.take(np.flatnonzero(~unseen)))
            recording = Recording.of(test, classifier)
            trials.ids.append(test.query_ids)
            trials.categories.append(test.categories)
            trials.replays.append(dict(_replay_all(recording)))
            print(f"seed {seed}, without {', '.join(left_out)}", file=sys.stderr, flush=True)
    return trials


def _replay_all(recording: Recording) -> Iterator[tuple[str, Replay]]:
    yield "oracle", recording.replay_oracle("oracle")
    sizes = range(1, len(recording.pool.members) + 1)
    for name in (
        "single_best",
        "all_members",
        *(f"{kind}:{size}" for size in sizes for kind in ("fixed_best", "selectllm")),
    ):
        yield name, recording.replay_policy(name, parse_policy(name))


def describe(setting: Setting, trials: Trials) -> str:
    """Two Markdown tables: every system over all groups, and the groups one by one."""
    lines = [
        f"**{setting.title}**",
        "",
        "| system | accuracy | calls | vs single_best, points [95 %] | vs fixed_best:S |",
    ]
    lines.append("|---|---:|---:|---|---|")
    for name in trials.names:
        cells = [f"{100 * trials.mean(name, 'score'):.1f}", f"{trials.mean(name, 'calls'):.2f}"]
        for control in ("single_best", f"fixed_best:{name.partition(':')[2]}"):
            plain = name in {control, "oracle"} or control not in trials.names
            cells.append("" if plain else in_words(trials.difference(name, control)))
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    half = f"selectllm:{len(setting.members or ()) // 2}"
    lines += [
        "",
        f"| categories that training did not see | queries | `single_best` | `{half}` | difference, points [95 %] |",
    ]
    lines.append("|---|---:|---:|---:|---|")
    for i, (categories, replays) in enumerate(zip(trials.categories, trials.replays, strict=True)):
        alone = Trials([trials.ids[i]], [categories], [replays])
        figures = [f"{100 * alone.mean(name, 'score'):.1f}" for name in ("single_best", half)]
        row = [", ".join(sorted(set(categories))), f"{len(categories):,}", *figures]
        lines.append(f"| {' | '.join(row)} | {in_words(alone.difference(half, 'single_best'))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Test routers on categories of MMLU-Pro that they were not trained on."
    )
    parser.add_argument("data", type=Path, help="folder with mmlu_pro")
    parser.add_argument("--seeds", type=int, default=2, help="number of ways to shuffle the categories")
    parser.add_argument("--write", type=Path, help="file whose section is replaced")
    given = parser.parse_args()
    tables = (OutcomeTable.from_folders(given.data / pool.folder, members=pool.members) for pool in POOLS)
    text = "\n\n".join(
        describe(pool, run(table, given.seeds)) for pool, table in zip(POOLS, tables, strict=True)
    )
    print(text)
    if given.write is not None:
        write_section(given.write, "out-of-distribution", text)


if __name__ == "__main__":
    main()
