"""The page on token probabilities: the same router with and without them, on recorded replies and the embedded pool.

Usage: python benchmarks/token_probabilities.py DATA_FOLDER [--write docs/explanation/token-probabilities.md]
       [--seeds 5] [--only NAME] [--json FILE]

Every setting is split by query, trained on one side and replayed on the other, once per seed and once per version of
the training and test outcomes: with token probabilities, and with the same outcomes without them. Misses of a target
are printed as misses.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from markers import write_section
from numpy.typing import NDArray
from trials import Trials, in_words

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.answers.token_probabilities import VERSION
from langchain_selectllm.classifier.metrics import auroc, selective_metrics
from langchain_selectllm.embedded import embedded_models, generate_tasks, sample_outcomes
from langchain_selectllm.evaluation.replay import Recording, Replay
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.outcomes.folders import read_lines
from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.policy_names import parse_policy

TEST_SHARE = 0.3
FOLDER = "mmlu_logprobs"
MODELS = (
    "gemma-2-9b-it",
    "llama-3.1-8b",
    "llama-3.2-11b-vision",
    "mistral-7b-instruct-v0.3",
    "yi-1.5-9b-chat",
)
PRICE_USD = 1e-6
"""Price of an output token in the cascades; input tokens cost nothing there."""
BUDGETS = (0.25, 0.5, 0.75, 1.0, 1.5)
"""Budgets of the cascades, as multiples of the mean cost of the single best member."""
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}
"""Quantile of Student's t by number of splits, two-sided 95 %."""


@dataclass(frozen=True)
class Target:
    """A difference that the signal should make, with against without."""

    system: str
    figure: str
    least: float
    """Least difference; relative where the figure is `aurc`, whose differences are negative."""


@dataclass(frozen=True)
class Setting:
    """Outcomes with token probabilities, the systems replayed on them, and the targets."""

    name: str
    title: str
    read: Callable[[Path], OutcomeTable]
    systems: tuple[str, ...]
    targets: tuple[Target, ...]
    by_cost: bool = False


def read_recorded(data: Path, runs: tuple[str, ...], models: tuple[str, ...] = MODELS) -> OutcomeTable:
    """The recorded replies of some runs of models; their answer letters' probabilities become figures."""
    folder = data / FOLDER
    queries = [fields for _, fields in read_lines(folder / "queries.jsonl.gz")]
    replies = []
    for run in runs:
        for model in models:
            for _, fields in read_lines(folder / "responses" / f"{model}_{run}.jsonl.gz"):
                replies.append(_with_figures(fields))
    return OutcomeTable.from_records(queries, replies)


def _with_figures(fields: Any) -> dict[str, Any]:
    record = {name: value for name, value in fields.items() if name != "answer_probs"}
    record["cost_usd"] = PRICE_USD * (fields.get("output_tokens") or 0)
    shares = fields.get("answer_probs")
    if shares:
        logprobs = {letter: min(math.log(max(share, 1e-9)), 0.0) for letter, share in shares.items()}
        letter = max(logprobs, key=lambda name: logprobs[name])
        record["token_probabilities"] = {"version": VERSION, "answer": letter, "answers": logprobs}
    return record


def read_embedded(_: Path) -> OutcomeTable:
    """Four samples of the embedded pool on 2,400 tasks; one ballot per member, the samples make the labels."""
    models = embedded_models(seed=11, logprobs=True)
    return OutcomeTable.from_records(*sample_outcomes(generate_tasks(2400, seed=11), models, n=4))


def _sizes(family: str, sizes: range) -> tuple[str, ...]:
    return tuple(f"{family}:{size}" for size in sizes)


def _targets(sizes: range, auroc_gain: float, aurc_gain: float) -> Iterator[Target]:
    for size in sizes:
        yield Target(f"selectllm:{size}", "auroc", auroc_gain)
        yield Target(f"selectllm:{size}", "aurc", aurc_gain)


_SYSTEMS = (*_sizes("selectllm", range(1, 6)), *_sizes("learned", range(1, 6)), "single_best", "all_members")
SETTINGS = (
    Setting(
        "mmlu",
        "MMLU, five models of 7B to 11B after reasoning (`:cot`)",
        lambda data: read_recorded(data, ("cot",)),
        _SYSTEMS,
        (
            *(Target(f"selectllm:{size}", "accuracy", 0.01) for size in range(2, 5)),
            *_targets(range(2, 5), 0.05, 0.15),
        ),
    ),
    Setting(
        "embedded",
        "Embedded pool, five members",
        read_embedded,
        _SYSTEMS,
        (
            *_targets(range(1, 6), 0.05, 0.25),
            *(Target(f"selectllm:{size}", "coverage", 0.10) for size in range(1, 6)),
        ),
    ),
    Setting(
        "cascade",
        "MMLU, ten members: a direct answer of three tokens and a reasoned one of each model, priced by output tokens",
        lambda data: read_recorded(data, ("direct", "cot")),
        (),
        (),
        by_cost=True,
    ),
    Setting(
        "cascade-one-model",
        "MMLU, gemma-2-9b-it twice: a direct answer of three tokens and a reasoned one, priced by output tokens",
        lambda data: read_recorded(data, ("direct", "cot"), MODELS[:1]),
        (),
        (),
        by_cost=True,
    ),
)


def without_tokens(table: OutcomeTable) -> OutcomeTable:
    """The same outcomes with every figure unknown."""
    cells = table.token_probabilities.copy()
    for at in np.ndindex(cells.shape):
        cells[at] = (None,) * len(cells[at])
    return replace(table, token_probabilities=cells)


def run(data: Path, setting: Setting, seeds: int) -> Trials:
    """Replays by "SYSTEM with" and "SYSTEM without", once per seed."""
    table = setting.read(data)
    trials = Trials()
    for seed in range(seeds):
        replays: dict[str, Replay] = {}
        for version, outcomes in (("with", table), ("without", without_tokens(table))):
            train, test = outcomes.split(TEST_SHARE, seed=seed)
            classifier = SelectLLMClassifier(seed=seed).fit(train)
            test = test.take(np.flatnonzero(test.observed.all(axis=1)))
            for name, replay in _replays(Recording.of(test, classifier), setting):
                replays[f"{name} {version}"] = replay
        trials.ids.append(test.query_ids)
        trials.categories.append(test.categories)
        trials.replays.append(replays)
        shown = "  ".join(f"{name} {replay.score.mean():.4f}" for name, replay in replays.items())
        print(f"{setting.name}, seed {seed}: {shown}", file=sys.stderr, flush=True)
    return trials


def _replays(recording: Recording, setting: Setting) -> Iterator[tuple[str, Replay]]:
    for name in setting.systems:
        yield name, recording.replay_policy(name, parse_policy(name))
    if not setting.by_cost:
        return
    yield "single_best", recording.replay_policy("single_best", parse_policy("single_best"))
    price = float(recording.pool.costs[recording.pool.single_best])
    for budget in BUDGETS:
        name = f"{budget:g} x single best"
        try:
            yield name, recording.replay_policy(name, Adaptive(cost_usd=budget * price, guarded=True))
        except PolicyError as error:
            print(f"{name}: {error}", file=sys.stderr)


def figures(replay: Replay) -> dict[str, float]:
    """Accuracy, calls and cost, and how well the confidence tells right answers from wrong ones."""
    found = {
        "accuracy": float(replay.score.mean()),
        "calls": float(replay.calls.mean()),
        "cost": float(replay.cost_usd.mean()),
    }
    confidence = replay.confidence
    assert confidence is not None
    selective = selective_metrics(confidence, replay.score)
    found["ece"], found["aurc"] = selective["confidence_ece"], selective["aurc"]
    found["auroc"] = auroc(confidence, (replay.score >= 0.5).astype(np.float64)) or float("nan")
    found["coverage"] = coverage_at(confidence, replay.score, 0.9)
    return found


def coverage_at(confidence: NDArray[np.float64], score: NDArray[np.float64], accuracy: float) -> float:
    """Largest share of the queries, the surest first, that is answered with at least this accuracy."""
    surest = score[np.argsort(-confidence, kind="stable")]
    means = np.cumsum(surest) / np.arange(1, len(surest) + 1)
    enough = np.flatnonzero(means >= accuracy)
    if not len(enough):
        return 0.0
    return float(enough[-1] + 1) / len(surest)


def summary(setting: Setting, trials: Trials) -> dict[str, Any]:
    """Figures of every system and split, and the paired difference in accuracy in words."""
    systems = list(dict.fromkeys(name.rsplit(" ", 1)[0] for name in trials.names))
    rows: dict[str, Any] = {}
    for system in systems:
        names = (f"{system} with", f"{system} without")
        if not all(name in trials.names for name in names):
            continue
        row = {"accuracy_gain": in_words(trials.difference(*names))}
        for name, version in zip(names, ("with", "without"), strict=True):
            row[version] = [figures(replays[name]) for replays in trials.replays]
        rows[system] = row
    n_test = round(float(np.mean([len(ids) for ids in trials.ids])))
    return {"title": setting.title, "n_test": n_test, "seeds": len(trials.replays), "systems": rows}


def _values(row: dict[str, Any], version: str, figure: str) -> NDArray[np.float64]:
    return np.array([split[figure] for split in row[version]])


def _gain(row: dict[str, Any], figure: str) -> tuple[float, float]:
    """Mean difference over the splits and the half width of its interval; relative for `aurc`."""
    given, plain = _values(row, "with", figure), _values(row, "without", figure)
    difference = given - plain
    if figure == "aurc":
        difference = 1.0 - given / plain
    n = len(difference)
    return float(difference.mean()), T_95.get(n, 2.0) * float(difference.std(ddof=1)) / math.sqrt(n)


def table_of(found: dict[str, Any]) -> list[str]:
    """One line per system: each figure without and with token probabilities."""
    lines = [
        f"**{found['title']}** ({found['n_test']:,} test queries per split, {found['seeds']} splits)",
        "",
        "| system | calls | accuracy | difference, points [95 %] | AUROC | AURC | coverage at 90 % | ECE |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for system, row in found["systems"].items():
        cells = [f"`{system}`", _pair(row, "calls", "{:.2f}"), _pair(row, "accuracy", "{:.1f}", 100)]
        cells += [row["accuracy_gain"], _pair(row, "auroc", "{:.3f}"), _pair(row, "aurc", "{:.3f}")]
        cells += [_pair(row, "coverage", "{:.0f} %", 100), _pair(row, "ece", "{:.3f}")]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _pair(row: dict[str, Any], figure: str, form: str, scale: float = 1.0) -> str:
    plain, given = (scale * float(_values(row, version, figure).mean()) for version in ("without", "with"))
    return f"{form.format(plain)} -> {form.format(given)}"


def cascade_of(found: dict[str, Any]) -> list[str]:
    """One line per budget: cost and accuracy without and with token probabilities."""
    price = float(_values(found["systems"]["single_best"], "without", "cost").mean())
    lines = [
        f"**{found['title']}** ({found['n_test']:,} test queries per split, {found['seeds']} splits)",
        "",
        "| budget, mean cost per query | cost used, x single best | calls | accuracy | difference, points [95 %] |",
        "|---|---|---|---|---|",
    ]
    for system, row in found["systems"].items():
        cells = [
            system.replace(" x ", " × "),
            _pair(row, "cost", "{:.2f}", 1 / price),
            _pair(row, "calls", "{:.2f}"),
        ]
        cells += [_pair(row, "accuracy", "{:.1f}", 100), row["accuracy_gain"]]
        lines.append(f"| {' | '.join(cells)} |")
    missed = []
    for system, row in found["systems"].items():
        if system != "single_best" and _gain(row, "accuracy")[0] <= 0:
            missed.append(system.replace(" x ", " × "))
    verdict = "met" if not missed else f"**missed** at {', '.join(missed)}"
    return [*lines, "", f"Target, accuracy above that without at every budget: {verdict}.", ""]


def verdicts(setting: Setting, found: dict[str, Any]) -> list[str]:
    """One line per target: met, or missed."""
    words = {
        "accuracy": ("accuracy", "points"),
        "auroc": ("AUROC of the confidence", ""),
        "aurc": ("AURC lower by", "%"),
        "coverage": ("coverage at 90 % accuracy", "points"),
    }
    lines = ["| target | measured, mean over splits [95 %] | |", "|---|---|---|"]
    for target in setting.targets:
        mean, half = _gain(found["systems"][target.system], target.figure)
        name, unit = words[target.figure]
        scale, form = (1.0, "{:+.3f}") if target.figure == "auroc" else (100.0, "{:+.1f}")
        low, middle, high, least = (
            form.format(scale * value) for value in (mean - half, mean, mean + half, target.least)
        )
        verdict = "met" if mean >= target.least else "**missed**"
        lines.append(
            f"| `{target.system}`: {name} {least} {unit}".rstrip()
            + f" | {middle} [{low}, {high}] | {verdict} |"
        )
    return [*lines, ""]


def page(results: dict[str, Any]) -> str:
    """The section of the page."""
    lines: list[str] = []
    for setting in SETTINGS:
        if setting.name not in results:
            continue
        found = results[setting.name]
        if setting.by_cost:
            lines += cascade_of(found)
        else:
            lines += [*table_of(found), *verdicts(setting, found)]
    return "\n".join(lines).rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--json", type=Path, help="figures of earlier runs are read from it and kept")
    parser.add_argument("--only", choices=[setting.name for setting in SETTINGS])
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    results: dict[str, Any] = {}
    if given.json is not None and given.json.is_file():
        results = json.loads(given.json.read_text())
    for setting in SETTINGS:
        if given.only in (None, setting.name):
            results[setting.name] = summary(setting, run(given.data, setting, given.seeds))
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=1))
    text = page(results)
    print(text)
    if given.write is not None:
        write_section(given.write, "token-probabilities", text)


if __name__ == "__main__":
    main()
