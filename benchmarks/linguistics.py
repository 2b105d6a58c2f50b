"""Linguistic analysis of the recorded data sets: features of queries that go with failures.

Usage: python benchmarks/linguistics.py DATA_FOLDER [--routers FOLDER] [--write docs/explanation/linguistic-analysis.md]

Each data set is split 70 : 30 by query (seed 0); the router is trained on the larger part. Routers are kept in
FOLDER, so that a second run reuses them. With `--write` a chart is written beside the page.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from markers import write_section

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.evaluation.effects import Effect
from langchain_selectllm.evaluation.linguistics import LinguisticAnalysis, analyze_queries
from langchain_selectllm.evaluation.page.linguistics_charts import router_chart
from langchain_selectllm.evaluation.page.pictures import save_chart

DATA_SETS = {
    "mmlu_pro": "MMLU-Pro, 22 members",
    "mmlu_logprobs": "MMLU, 5 models with and without reasoning",
    "zeroeval": "ZeroEval (GSM8K, CRUXEval-O, MATH level 5), 17 members",
    "gsm8k_solutions": "GSM8K, 4 members",
}
POLICY = "selectllm:3"
CHARTED = "mmlu_pro"
"""Data set whose router effects are drawn on the page."""


def analyze(data: Path, name: str, routers: Path) -> LinguisticAnalysis:
    """The analysis of one data set on its test queries."""
    train, test = OutcomeTable.from_folders(data / name).split(0.3, seed=0)
    router = routers / name
    if not router.exists():
        SelectLLMClassifier(seed=0).fit(train).save_pretrained(router)
    return analyze_queries(SelectLLMClassifier.from_pretrained(router), test, policy=POLICY)


def describe(title: str, analysis: LinguisticAnalysis) -> Iterator[str]:
    """Two Markdown tables: the router's failures, and those of all members feature by feature."""
    router = analysis.comparisons[0]
    n_tests = sum(len(one.effects) for one in analysis.comparisons)
    yield f"### {title}\n"
    yield (
        f"{analysis.n_queries:,} test queries, {n_tests} tests. {POLICY} is wrong though some member is right on "
        f"{router.n_first:,} of them; both are right on {router.n_second:,}.\n"
    )
    shown = router.shown()
    if shown:
        yield "| feature | mean, router wrong | mean, both right | Cliff's delta [95 %] | p, corrected | size |"
        yield "|---|---:|---:|---:|---:|---|"
        yield from map(_row, shown)
        yield ""
    else:
        yield "No feature separates the router's failures by more than a negligible effect.\n"
    yield "Members whose wrong answers a feature goes with (shown after correction, more than negligible):\n"
    yield "| feature | members with more | members with less | median delta of all |"
    yield "|---|---:|---:|---:|"
    for one in analysis.features_of_members():
        yield (
            f"| {one.feature} | {one.more} of {one.n_members} | {one.less} of {one.n_members} "
            f"| {one.median_delta:+.2f} |"
        )
    yield ""


def _row(effect: Effect) -> str:
    low, high = effect.ci95
    return (
        f"| {effect.feature} | {effect.mean_first:.2f} | {effect.mean_second:.2f} | {effect.delta:+.2f} "
        f"[{low:+.2f}, {high:+.2f}] | {effect.p_adjusted:.2g} | {effect.size} |"
    )


def main() -> None:
    """Analyse every data set, print the tables, write them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--routers", type=Path)
    parser.add_argument("--only", nargs="*", default=list(DATA_SETS))
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        lines: list[str] = []
        for name in given.only:
            analysis = analyze(given.data, name, given.routers or Path(temporary))
            lines += describe(DATA_SETS[name], analysis)
            if given.write is not None and name == CHARTED:
                chart = router_chart(analysis.comparisons[0])
                save_chart(chart, given.write.parent, "linguistics-router", png=False)
    text = "\n".join(lines)
    print(text)
    if given.write is not None:
        write_section(given.write, "linguistics", text)


if __name__ == "__main__":
    main()
