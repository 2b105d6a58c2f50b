"""The pool of like members on the page on token probabilities: five small models of one architecture, trained here.

Usage: python benchmarks/like_members.py [--weights build/like-members] [--queries 2400] [--seeds 5]
       [--write docs/explanation/token-probabilities.md]

Every member is trained on tasks about words, with a seed of its own and without words that have certain letters, which are
others for each member: all are about as often right, each is wrong on other words, and a query does not say who is
wrong. Weights that are already in the folder are not trained again. The members then reply once to held-out tasks, and
the router is trained and replayed with and without the token probabilities of the replies, as token_probabilities.py does.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from markers import write_section
from token_probabilities import Setting, Target, run, summary, table_of, verdicts
from train_embedded_pool import Diet, train
from trials import Trials, in_words

from langchain_selectllm import OutcomeTable
from langchain_selectllm.embedded import EmbeddedChatModel, generate_tasks, sample_outcomes

KINDS = ("sorting", "counting", "spelling")
UNSEEN = ("bcd", "fgh", "klm", "npr", "stv")
"""Letters whose words a member never sees in training, one string per member; 16 consonants are in use."""
DIETS = {
    f"without-{letters}": Diet(
        f"sorting, counting and spelling words without {', '.join(letters)}",
        dict.fromkeys(KINDS, 1.0),
        steps=1500,
        width=96,
        layers=2,
        unseen=letters,
        seed=100 + number,
    )
    for number, letters in enumerate(UNSEEN, start=1)
}
TASKS_SEED, SAMPLING_SEED = 2031, 17
SIZES = range(2, len(DIETS) + 1)
LEAST_GAIN = 0.02
"""Gain in accuracy that token probabilities should bring at equal calls."""
LARGEST_SPREAD, LARGEST_CORRELATION = 0.05, 0.1
"""Members count as close up to this difference of accuracies, as hardly correlated up to this mean correlation of errors."""


def train_members(folder: Path) -> None:
    """Train the members whose weights are not in the folder yet."""
    torch.set_num_threads(1)
    for name, diet in DIETS.items():
        if not (folder / name / "tokenizer.json").is_file():
            start = time.process_time()
            train(name, diet, folder / name)
            print(f"{name}: {time.process_time() - start:.0f} CPU s", flush=True)


def members(folder: Path) -> dict[str, EmbeddedChatModel]:
    """Chat models over the trained weights; their replies carry log-probabilities."""
    return {
        name: EmbeddedChatModel(model=name, folder=folder / name, seed=SAMPLING_SEED + number, logprobs=True)
        for number, name in enumerate(DIETS)
    }


def collect(folder: Path, n_queries: int) -> OutcomeTable:
    """One graded reply of every member to tasks on problems that no member was trained on."""
    tasks = generate_tasks(n_queries, seed=TASKS_SEED, categories=KINDS)
    return OutcomeTable.from_records(*sample_outcomes(tasks, members(folder), n=1), members=list(DIETS))


def likeness(table: OutcomeTable) -> Iterator[str]:
    """Accuracy of every member, correlation of their errors, and whether both are as they should be."""
    accuracies = table.scores.mean(axis=0)
    pairs = np.corrcoef(1.0 - table.scores.T)[np.triu_indices(len(table.members), 1)]
    spread, mean = float(np.ptp(accuracies)), float(pairs.mean())
    shown = ", ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies)
    yield f"- Accuracy of the five members: {shown} %; {_verdict(spread <= LARGEST_SPREAD, 'close')}: they differ by"
    yield f"  {100 * spread:.1f} points at most, allowed are {100 * LARGEST_SPREAD:.0f}."
    words = _verdict(abs(mean) <= LARGEST_CORRELATION, "hardly correlated")
    yield f"- Correlation of the errors of two members: {mean:+.3f} on average ({pairs.min():+.3f} to {pairs.max():+.3f});"
    yield f"  {words}: allowed is {LARGEST_CORRELATION:g} on average."
    yield f"- Some member is right on {100 * table.scores.max(axis=1).mean():.1f} % of the {len(table):,} tasks."
    yield ""


def _verdict(met: bool, aim: str) -> str:
    return aim if met else f"**not {aim}**"


def setting(n_queries: int) -> Setting:
    """The systems and targets; `learned:S` makes exactly S calls with and without token probabilities."""
    families = ("selectllm", "learned", "fixed_best")
    systems = tuple(f"{family}:{size}" for family in families for size in (1, *SIZES))
    targets = tuple(
        Target(f"{family}:{size}", "accuracy", LEAST_GAIN) for family in families[:2] for size in SIZES
    )
    return Setting(
        "like-members",
        "Five like members, trained for this comparison",
        lambda folder: collect(folder, n_queries),
        systems,
        targets,
    )


def calls_compared(found: dict[str, Any]) -> Iterator[str]:
    """Where `selectllm:S` makes more calls with token probabilities than without."""
    more = []
    for size in SIZES:
        row = found["systems"][f"selectllm:{size}"]
        calls = {
            version: np.mean([split["calls"] for split in row[version]]) for version in ("with", "without")
        }
        if calls["with"] > calls["without"] + 0.01:
            more.append(f"`selectllm:{size}` ({calls['with']:.2f} instead of {calls['without']:.2f})")
    yield f"More calls with token probabilities than without: {', '.join(more) or 'nowhere'}."
    yield ""


def against_control(trials: Trials) -> Iterator[str]:
    """Accuracy of `selectllm:S` minus that of `fixed_best:S`, without and with token probabilities."""
    yield "| S | `selectllm:S` above `fixed_best:S` without token probabilities, points [95 %] | with |"
    yield "|---:|---|---|"
    for size in (1, *SIZES):
        cells = []
        for version in ("without", "with"):
            names = (f"selectllm:{size} {version}", f"fixed_best:{size} {version}")
            cells.append(in_words(trials.difference(*names)))
        yield f"| {size} | {' | '.join(cells)} |"


def main() -> None:
    """Train what is missing, measure, and print the section or write it between the markers of a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=Path("build/like-members"))
    parser.add_argument("--queries", type=int, default=2400)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    train_members(given.weights)
    if given.train_only:
        return
    tried = setting(given.queries)
    lines = list(likeness(collect(given.weights, given.queries)))
    print("\n".join(lines), file=sys.stderr)
    trials = run(given.weights, tried, given.seeds)
    found = summary(tried, trials)
    lines += [*table_of(found), *verdicts(tried, found), *calls_compared(found)]
    lines += against_control(trials)
    print("\n".join(lines))
    if given.write is not None:
        write_section(given.write, "like-members", "\n".join(lines).strip())


if __name__ == "__main__":
    main()
