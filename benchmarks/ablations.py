"""Ablations on recorded data: set size, pool, training data, encoder, calibration, vote.

Usage: python benchmarks/ablations.py DATA_FOLDER [--only zeroeval] [--seed 0] [--write docs/explanation/ablations.md]

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
from langchain_selectllm.evaluation.page.pictures import save_chart

FOLDERS = ("zeroeval", "gsm8k_solutions")
"""Data sets, each with the first of its pools in `trials`: one of similar members, one with a dominant member."""
TITLES = {
    "set_size": "Set size: systems by the number of members they call at most",
    "pool_size": "Pool size: members added best first, worst first, at random",
    "training": "Training data: how many graded queries are needed",
    "encoder": "Encoder",
    "calibration": "Calibration",
    "vote": "Vote: the same three most probable members under each vote",
}


def describe(folder: str, points: list[AblationPoint]) -> Iterator[str]:
    """A chart and a Markdown table per study."""
    for study, title in TITLES.items():
        chosen = [point for point in points if point.study == study]
        yield f"#### {title}\n"
        yield f"![{title}; the numbers are in the table]({chart_name(folder, study)}.svg)\n"
        with_errors = study in {"encoder", "calibration"}
        yield "| variant | series | system | accuracy [95 %] | calls |" + " Brier | ECE |" * with_errors
        yield "|---|---|---|---:|---:|" + "---:|---:|" * with_errors
        for point in chosen:
            low, high = point.ci95
            row = f"| {point.variant} | {point.series} | {point.system} | {100 * point.accuracy:.1f} "
            row += f"[{100 * low:.1f}, {100 * high:.1f}] | {point.calls:.2f} |"
            yield row + f" {point.brier:.3f} | {point.ece:.3f} |" * with_errors
        yield ""


def chart_name(folder: str, study: str) -> str:
    """Name of a chart's file without its ending."""
    return f"ablation-{folder}-{study}".replace("_", "-")


def run(data: Path, folder: str, seed: int, page: Path | None) -> None:
    """All studies on one data set."""
    setting = next(one for one in SETTINGS if one.folder == folder)
    table = OutcomeTable.from_folders(data / folder, members=setting.members, answer=setting.answer)
    points = ablate(table, seed=seed)
    text = "\n".join([f"### {setting.title}\n\n{len(table):,} queries.\n", *describe(folder, points)])
    print(text, flush=True)
    if page is None:
        return
    write_section(page, f"ablations {folder}", text)
    for study in TITLES:
        chosen = [point for point in points if point.study == study]
        save_chart(study_chart(study, chosen), page.parent, chart_name(folder, study), png=False)


def main() -> None:
    """Run all studies, print the tables, write page and charts if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", default=FOLDERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    for folder in given.only:
        run(given.data, folder, given.seed, given.write)


if __name__ == "__main__":
    main()
