"""Ablations on recorded data: set size, pool, training data, encoder, calibration, vote.

Usage: python benchmarks/ablations.py DATA_FOLDER [--seed 0] [--write docs/explanation/ablations.md]

One split (70 : 30 by query) per data set. With `--write` a chart per study is written beside the page.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from markers import write_section
from trials import SETTINGS

from langchain_selectllm import OutcomeTable
from langchain_selectllm.evaluation.ablation import AblationPoint, ablate
from langchain_selectllm.evaluation.page.ablation_charts import study_chart
from langchain_selectllm.evaluation.page.plots import save_chart

FOLDER = "gsm8k_solutions"
TITLES = {
    "set_size": "Set size: systems by the number of members they call at most",
    "pool_size": "Pool size: members added best first, worst first, at random",
    "training": "Training data: how many graded queries are needed",
    "encoder": "Encoder",
    "calibration": "Calibration",
    "vote": "Vote: the same three most probable members under each vote",
}


def describe(points: list[AblationPoint]) -> Iterator[str]:
    """A chart and a Markdown table per study."""
    for study, title in TITLES.items():
        chosen = [point for point in points if point.study == study]
        yield f"### {title}\n"
        yield f"![{title}; the numbers are in the table](ablation-{study.replace('_', '-')}.svg)\n"
        with_errors = study in {"encoder", "calibration"}
        yield "| variant | series | system | accuracy [95 %] | calls |" + " Brier | ECE |" * with_errors
        yield "|---|---|---|---:|---:|" + "---:|---:|" * with_errors
        for point in chosen:
            low, high = point.ci95
            row = f"| {point.variant} | {point.series} | {point.system} | {100 * point.accuracy:.1f} "
            row += f"[{100 * low:.1f}, {100 * high:.1f}] | {point.calls:.2f} |"
            yield row + f" {point.brier:.3f} | {point.ece:.3f} |" * with_errors
        yield ""


def main() -> None:
    """Run all studies, print the tables, write page and charts if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    setting = next(one for one in SETTINGS if one.folder == FOLDER)
    table = OutcomeTable.from_folders(given.data / FOLDER, members=setting.members, answer=setting.answer)
    points = ablate(table, seed=given.seed)
    text = "\n".join([f"{setting.title}; {len(table):,} queries.\n", *describe(points)])
    print(text)
    if given.write is None:
        return
    write_section(given.write, "ablations", text)
    for study in TITLES:
        chosen = [point for point in points if point.study == study]
        save_chart(
            study_chart(study, chosen), given.write.parent, f"ablation-{study.replace('_', '-')}", png=False
        )


if __name__ == "__main__":
    main()
