"""`selectllm analyze`: features of queries that separate failures from successes."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from langchain_selectllm._optional import require
from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.cli.console import out, print_json, progress_bars
from langchain_selectllm.cli.reading import Answer, Grading, Json, Outcomes, read_table, readable_answer
from langchain_selectllm.evaluation.linguistics import GroupComparison, LinguisticAnalysis, analyze_queries


def analyze(
    outcomes: Outcomes,
    router: Annotated[Path, typer.Option(help="Folder that `selectllm train` wrote.")],
    policy: Annotated[str, typer.Option(help="Policy whose failures are analysed.")] = "selectllm:3",
    plots: Annotated[Path | None, typer.Option(help="Folder for the charts as PNG and SVG.")] = None,
    allow_training_queries: Annotated[
        bool, typer.Option(help="Analyse queries the router was trained on; no evidence of anything.")
    ] = False,
    answer: Answer = None,
    grading: Grading = None,
    as_json: Json = False,
) -> None:
    """Find features of queries that separate failures of the router and of each member from successes."""
    require("textstat", extra="analyze", needed_by="selectllm analyze")
    classifier = SelectLLMClassifier.from_pretrained(router)
    with progress_bars(quiet=as_json) as progress:
        table = read_table(
            outcomes,
            members=classifier.members,
            answer=answer or readable_answer(classifier.summary.answer),
            grading=grading,
            progress=progress,
        )
        analysis = analyze_queries(
            classifier,
            table,
            policy=policy,
            allow_training_queries=allow_training_queries,
            progress=progress,
        )
    if plots is not None:
        require("altair", extra="report", needed_by="Plots")
        from langchain_selectllm.evaluation.page.linguistics_charts import save_linguistics_plots

        save_linguistics_plots(analysis, plots)
    if as_json:
        print_json(analysis.to_dict())
    else:
        _print_analysis(analysis)


def _print_analysis(analysis: LinguisticAnalysis) -> None:
    router = analysis.comparisons[0]
    if router.effects:
        out.print(_effects_table(router))
    out.print(router.sentence(), highlight=False, markup=False)
    out.print(_members_table(analysis))
    n_tests = sum(len(one.effects) for one in analysis.comparisons)
    out.print(
        f"{n_tests} tests on {analysis.n_queries:,} queries, corrected by Benjamini and Hochberg; effects "
        "below 0.147 are called negligible. Features go together with failures; they need not cause them. "
        "Each member in words: --json.",
        highlight=False,
    )


def _effects_table(comparison: GroupComparison) -> Table:
    table = Table(title=f"{comparison.first}, against {comparison.second}")
    table.add_column("feature", no_wrap=True)
    for title in ("mean, first", "mean, second", "Cliff's delta [95 %]", "p, corrected", "size"):
        table.add_column(title, justify="right", no_wrap=True)
    for effect in sorted(comparison.effects, key=lambda effect: -abs(effect.delta)):
        low, high = effect.ci95
        table.add_row(
            effect.feature,
            f"{effect.mean_first:.2f}",
            f"{effect.mean_second:.2f}",
            f"{effect.delta:+.2f} [{low:+.2f}, {high:+.2f}]",
            "<0.001" if effect.p_adjusted < 0.001 else f"{effect.p_adjusted:.3f}",
            effect.size,
        )
    return table


def _members_table(analysis: LinguisticAnalysis) -> Table:
    table = Table(title="members whose wrong answers have more, or less, of a feature")
    table.add_column("feature", no_wrap=True)
    for title in ("more", "less", "median Cliff's delta"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in analysis.features_of_members():
        more, less = f"{one.more} of {one.n_members}", f"{one.less} of {one.n_members}"
        table.add_row(one.feature, more, less, f"{one.median_delta:+.2f}")
    return table
