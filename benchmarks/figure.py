"""The figure of the README, drawn from the first table of the results page; the file's description holds the figures.

Usage: python benchmarks/figure.py docs/explanation/results.md docs/results.svg
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

from result_tables import read_results

# Colour, marker and label per family.
LINES = {
    "selectllm": ("#0b6e4f", "o", "selectllm:S (this package)"),
    "weighted_max_conf": ("#c8963e", "s", "weighted_max_conf:S (the paper)"),
    "fixed_best": ("#6b7280", "^", "fixed_best:S (one set for every query)"),
}
POINTS = {"single_best": "single best", "all_members": "all members, majority"}


def read_table(page: Path) -> tuple[str, dict[str, tuple[float, float]]]:
    """Title of the first table of the results, and accuracy and mean calls of each of its systems."""
    table = read_results(page)[0]
    return table.title, {name: (row.accuracy, row.calls) for name, row in table.systems.items()}


def draw(title: str, systems: dict[str, tuple[float, float]], target: Path) -> None:
    """Plot accuracy over mean calls, one line per family."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "results", "font.size": 11, "svg.fonttype": "path"})
    figure, axes = plt.subplots(figsize=(7.2, 4.2), facecolor="white")
    families: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for name, (accuracy, calls) in systems.items():
        families[name.partition(":")[0]].append((calls, accuracy))
    for family, (colour, marker, label) in LINES.items():
        calls, accuracies = zip(*sorted(families[family]), strict=True)
        axes.plot(calls, accuracies, color=colour, marker=marker, label=label, linewidth=2, markersize=6)
    for name, label in POINTS.items():
        accuracy, calls = systems[name]
        axes.plot([calls], [accuracy], marker="D", color="#111827", markersize=6, linestyle="none")
        offset, side = ((-8, -14), "right") if calls > 4 else ((8, 5), "left")
        axes.annotate(label, (calls, accuracy), offset, textcoords="offset points", ha=side)
    axes.set(xlabel="mean calls per query", ylabel="accuracy, %", title=title)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.08))
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None, "Description": json.dumps(systems)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the first table of the results.")
    parser.add_argument("results", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    draw(*read_table(arguments.results), arguments.target)
