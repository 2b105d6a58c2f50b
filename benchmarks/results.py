"""The results page, from recorded replies of real models.

Usage: python benchmarks/results.py DATA_FOLDER [--write docs/explanation/results.md] [--seeds 5]

Every setting is split by query, trained on one side and replayed on the other, once per seed. All figures are means over
the seeds; what is printed is what was measured, losses included.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from markers import write_section
from trials import SETTINGS, Setting, Trials, in_words

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.classifier.metrics import calibration_error, classifier_metrics, selective_metrics
from langchain_selectllm.evaluation.replay import Recording, Replay
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.policy_names import parse_policy
from langchain_selectllm.selection.pool_statistics import PoolStatistics

TEST_SHARE = 0.3
SIZES = (2, 3, 4, 5, 6)
BY_COST = "selectllm, cost of single best"
BY_TASK = "best member of each category"


def run(data: Path, setting: Setting, seeds: int) -> Trials:
    """Train on 70 % of the queries and replay the other 30 %, once per seed."""
    table = OutcomeTable.from_folders(data / setting.folder, members=setting.members, answer=setting.answer)
    trials = Trials()
    for seed in range(seeds):
        train, test = table.split(TEST_SHARE, seed=seed)
        classifier = SelectLLMClassifier(seed=seed).fit(train)
        test = test.take(np.flatnonzero(test.observed.all(axis=1)))
        recording = Recording.of(test, classifier)
        replays = dict(_replay_all(recording))
        if len(set(test.categories)) > 1 and not recording.can_vote:
            replays[BY_TASK] = _best_of_category(recording, train)
        trials.ids.append(test.query_ids)
        trials.categories.append(test.categories)
        trials.replays.append(replays)
        trials.metrics.append(
            classifier_metrics(recording.probabilities, test.labels, classifier.pool.base_rates)
        )
        accuracies = "  ".join(f"{name} {replay.score.mean():.4f}" for name, replay in replays.items())
        print(f"{setting.title}, seed {seed}: {accuracies}", file=sys.stderr, flush=True)
    return trials


def _replay_all(recording: Recording) -> Iterator[tuple[str, Replay]]:
    yield "oracle", recording.replay_oracle("oracle")
    yield "single_best", recording.replay_policy("single_best", parse_policy("single_best"))
    n_members = len(recording.pool.members)
    if recording.can_vote:
        yield "all_members", recording.replay_policy("all_members", parse_policy("all_members"))
        sizes = [size for size in SIZES if size <= n_members]
        families = ("fixed_best", "weighted_max_conf", "selectllm")
        names = [f"{family}:{size}" for size in sizes for family in families]
        names.append(f"selectllm:{n_members}")
    else:
        names = ["max_conf:1", "selectllm:1"]
    for name in dict.fromkeys(names):
        yield name, recording.replay_policy(name, parse_policy(name))
    budget = _price_of_single_best(recording.pool)
    if budget is not None:
        try:
            yield BY_COST, recording.replay_policy(BY_COST, Adaptive(cost_usd=budget, guarded=True))
        except PolicyError as error:
            print(f"{BY_COST}: {error}", file=sys.stderr)


def _price_of_single_best(pool: PoolStatistics) -> float | None:
    cost = float(pool.costs[pool.single_best])
    return None if np.isnan(cost) else cost


def _best_of_category(recording: Recording, train: OutcomeTable) -> Replay:
    """The member with the best training accuracy in the query's own category: a control that is given the category."""
    known = np.array(train.categories)
    best = {
        c: int(np.nanargmax(np.nanmean(train.scores[known == c], axis=0)))
        for c in sorted(set(known.tolist()))
    }
    mask = np.zeros(recording.probabilities.shape, dtype=np.bool_)
    mask[np.arange(len(mask)), [best[c] for c in recording.outcomes.categories]] = True
    score = np.where(mask, recording.member_scores(), 0.0).sum(axis=1)
    nothing = np.full(len(mask), np.nan)
    return Replay(BY_TASK, score, np.ones(len(mask)), nothing, nothing, nothing)


def describe(setting: Setting, trials: Trials) -> str:
    """The Markdown section of one setting."""
    with_cost = not np.isnan(trials.mean("single_best", "cost_usd"))
    by_task = BY_TASK in trials.names
    n_test = round(np.mean([len(ids) for ids in trials.ids]))
    head = ["system", "accuracy", "calls"]
    head += ["cost, 1e-3 USD"] if with_cost else []
    head += ["mean over tasks"] if by_task else []
    control_title = "vs single_best" if by_task else "vs fixed_best, points [95 %]"
    lines = [
        f"**{setting.title}** (`{setting.folder}`, {n_test:,} test queries per seed)",
        "",
        f"| {' | '.join([*head, control_title])} |",
        f"|---{'|---:' * (len(head) - 1)}|---|",
    ]
    for name in trials.names:
        cells = [
            f"`{name}`" if name not in {BY_COST, BY_TASK} else name,
            f"{100 * trials.mean(name, 'score'):.1f}",
        ]
        cells.append(f"{trials.mean(name, 'calls'):.2f}")
        cells += [_price(trials.mean(name, "cost_usd"))] if with_cost else []
        cells += [f"{100 * trials.macro(name):.1f}"] if by_task else []
        lines.append(f"| {' | '.join([*cells, _against(trials, name, by_task=by_task)])} |")
    return "\n".join([*lines, "", *_remarks(trials, by_task=by_task)])


def _price(cost_usd: float) -> str:
    return "-" if np.isnan(cost_usd) else f"{1000 * cost_usd:.3f}"


def _against(trials: Trials, name: str, *, by_task: bool) -> str:
    """Paired difference to the control in the last column; empty for the controls themselves."""
    usual = "single_best" if by_task else f"fixed_best:{name.partition(':')[2]}"
    if name == BY_COST:
        control = "single_best"
    elif name.startswith("selectllm:") and usual not in trials.names:
        control = "all_members"
    else:
        control = usual
    if control not in trials.names or name in {control, "oracle"}:
        return ""
    words = in_words(trials.difference(name, control))
    return words if control == usual else f"{words} (vs {control})"


def _remarks(trials: Trials, *, by_task: bool) -> list[str]:
    aurocs = [metrics["auroc_macro"] for metrics in trials.metrics]
    eces = [metrics["ece"] for metrics in trials.metrics]
    parts = [f"Classifier: macro AUROC {np.mean(aurocs):.3f}, ECE {np.mean(eces):.3f}."]
    last = [name for name in trials.names if name.startswith("selectllm:")][-1]
    single, oracle = (trials.mean(name, "score") for name in ("single_best", "oracle"))
    closed = (trials.mean(last, "score") - single) / (oracle - single)
    words = in_words(trials.difference(last, "single_best"))
    parts.append(
        f"`{last}` against single best: {words}; {100 * closed:.0f} % of the gap to the oracle closed."
    )
    if by_task:
        words = in_words(trials.difference("selectllm:1", BY_TASK, weights="categories"))
        parts.append(f"`selectllm:1` against the {BY_TASK}, mean over tasks: {words}.")
        return [" ".join(parts)]
    n_members = int(last.partition(":")[2])
    half = f"selectllm:{n_members // 2}"
    if half in trials.names:
        words = in_words(trials.difference(half, "all_members"))
        parts.append(f"`{half}` against all {n_members} members: {words}.")
    surest = [_selective(replays[last]) for replays in trials.replays]
    if None not in surest:
        eces, halves = np.mean([pair for pair in surest if pair is not None], axis=0)
        parts.append(
            f"Confidence of `{last}`: ECE {eces:.3f} (a perfectly calibrated confidence shows "
            f"{_chance(trials, last):.3f} by chance on this many queries); accuracy on the half of the queries with the "
            f"highest confidence: {100 * halves:.0f} %."
        )
    return [" ".join(parts)]


def _chance(trials: Trials, name: str) -> float:
    """The calibration error that a perfectly calibrated confidence shows by chance, in the mean over seeds."""
    errors = []
    for seed, replays in enumerate(trials.replays):
        confidence = replays[name].confidence
        if confidence is not None:
            drawn = np.random.default_rng(seed).random((20, len(confidence))) < confidence
            errors += [calibration_error(confidence, row.astype(np.float64)) for row in drawn]
    return float(np.mean(errors))


def _selective(replay: Replay) -> tuple[float, float] | None:
    if replay.confidence is None:
        return None
    metrics = selective_metrics(replay.confidence, replay.score)
    return metrics["confidence_ece"], metrics["accuracy_at_50"]


def explain(seeds: int) -> str:
    """Definitions and procedure, for the end of the page."""
    return (
        "Written by `benchmarks/results.py`; `benchmarks/trials.py` lists the members. Queries are split 70/30 by id, with "
        f"seeds 0 to {seeds - 1}. Encoder, heads, calibration, vote, fixed sets and operating points are fitted on the 70 %; "
        "figures are means over the seeds on the 30 %. Accuracy in per cent, one ballot per member, lexical encoder, default "
        "settings. Differences are paired, to `fixed_best:S` of the same S; intervals are 95 % bootstrap intervals over "
        "queries pooled over the seeds, where a query counts once however many seeds tested it. *Better* and *WORSE* mean "
        "that 0 lies outside the interval."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the results page on recorded outcomes.")
    parser.add_argument(
        "data", type=Path, help="folder with mmlu_pro, gsm8k_solutions, routerbench_train, routerdc_train"
    )
    parser.add_argument("--write", type=Path, help="file whose results section is replaced")
    parser.add_argument("--seeds", type=int, default=5, help="number of splits")
    given = parser.parse_args()
    sections = [describe(setting, run(given.data, setting, given.seeds)) for setting in SETTINGS]
    text = "\n\n".join([*sections, explain(given.seeds)])
    print(text)
    if given.write is not None:
        write_section(given.write, "results", text)


if __name__ == "__main__":
    main()
