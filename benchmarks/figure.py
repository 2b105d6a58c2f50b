"""The figure of the README, drawn from the first table of its results, which it carries in its description.

Usage: python benchmarks/figure.py README.md docs/results.svg
"""

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path

from markers import read_section

# One look for each family, whatever else is drawn.
LINES = {
    "selectllm": ("#0b6e4f", "o", "selectllm:S (this package)"),
    "weighted_max_conf": ("#c8963e", "s", "weighted_max_conf:S (the paper)"),
    "fixed_best": ("#6b7280", "^", "fixed_best:S (one set for every query)"),
}
POINTS = {"single_best": "single best", "all_members": "all members, majority"}


def read_table(readme: Path) -> tuple[str, dict[str, tuple[float, float]]]:
    """Title of the first table of the results, and accuracy and mean calls of each of its systems."""
    section = read_section(readme, "results")
    title, _, rest = section.partition("**")[2].partition("**")
    table = rest.partition("Classifier:")[0]
    rows = re.findall(r"^\| `([\w:]+)` \| ([\d.]+) \| ([\d.]+) \|", table, flags=re.MULTILINE)
    return title, {name: (float(accuracy), float(calls)) for name, accuracy, calls in rows}


def draw(title: str, systems: dict[str, tuple[float, float]], target: Path) -> None:
    """Accuracy over mean calls, one line a family."""
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
    axes.set(xlabel="mean calls a query", ylabel="accuracy, %", title=title)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.08))
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None, "Description": json.dumps(systems)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the first table of the results.")
    parser.add_argument("readme", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    draw(*read_table(arguments.readme), arguments.target)
