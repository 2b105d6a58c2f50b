"""`selectllm evaluate`: every system on recorded outcomes, as table, JSON, page and plots."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_selectllm._optional import require
from langchain_selectllm._progress import StageProgress
from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.cli.console import print_json, progress_bars
from langchain_selectllm.cli.parser_option import (
    JudgePool,
    JudgeReplies,
    Parser,
    replies_file,
    voting_parser,
)
from langchain_selectllm.cli.reading import (
    AllowUnreadable,
    Answer,
    EncoderModel,
    Grading,
    Json,
    Outcomes,
    Router,
    read_table,
    readable_answer,
)
from langchain_selectllm.cli.report_table import print_report
from langchain_selectllm.exceptions import OutcomeError

if TYPE_CHECKING:
    from langchain_selectllm.evaluation import Report

_ROWS = 200
"""Wrongly answered queries of a page, unless the user asks for another number."""


def evaluate(
    router: Router,
    outcomes: Outcomes,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="System such as weighted_max_conf:3 or fixed_best; may be repeated."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML page.")] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for every chart of the page as PNG and SVG.")
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Wrongly answered queries to list with texts and answers; 200 with --html, otherwise 0.",
        ),
    ] = None,
    texts: Annotated[bool, typer.Option(help="Whether texts of queries may enter the report.")] = True,
    pooled: Annotated[
        bool, typer.Option(help="Let all samples of a member vote, not its first one.")
    ] = False,
    allow_training_queries: Annotated[
        bool, typer.Option(help="Replay queries the router was trained on; such figures prove nothing.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    everything: Annotated[
        bool, typer.Option("--all", help="Print all systems, not only the recommended ones and the controls.")
    ] = False,
    allow_unreadable: AllowUnreadable = False,
    answer: Answer = None,
    grading: Grading = None,
    parser: Parser = None,
    judge_replies: JudgeReplies = None,
    pool: JudgePool = None,
    encoder_model: EncoderModel = None,
    as_json: Json = False,
) -> None:
    """Replay every system on recorded outcomes and compare it with the controls."""
    from langchain_selectllm.evaluation import evaluate as replay

    for file in (report, html):
        if file is not None and not file.parent.is_dir():
            raise OutcomeError(
                f"{file.parent} is no folder: {file} cannot be written. Create the folder first."
            )
    if html is not None or plots is not None:
        # Missing packages are named before minutes of replay.
        require("altair", extra="report", needed_by="A report page")
    voting = replies = None
    if parser is not None:
        voting = voting_parser(parser, answer=answer, pool=pool)
        if parser.startswith("judge:"):
            replies = replies_file(judge_replies, outcomes)
    classifier = SelectLLMClassifier.from_pretrained(router, encoder_model=encoder_model)
    with progress_bars(quiet=as_json) as on_progress:
        table = read_table(
            outcomes,
            members=classifier.members,
            answer=answer or readable_answer(classifier.summary.answer),
            grading=grading,
            progress=on_progress,
        )
        result = replay(
            classifier,
            table,
            policies=policy,
            parser=voting,
            judge_replies=replies,
            pooled=pooled,
            allow_training_queries=allow_training_queries,
            allow_unreadable=allow_unreadable,
            rows=_rows(rows, html, texts=texts),
            seed=seed,
            progress=on_progress,
        )
        _save(result, report, html, plots, on_progress)
    if as_json:
        print_json(result.to_dict())
    else:
        print_report(result, everything=everything or bool(policy))


def _rows(rows: int | None, html: Path | None, *, texts: bool) -> int:
    if not texts or (rows is None and html is None):
        return 0
    if rows is None:
        return _ROWS
    return rows


def _save(
    report: "Report", json: Path | None, html: Path | None, plots: Path | None, progress: StageProgress
) -> None:
    if json is not None:
        report.save(json)
    if html is not None:
        progress("page", 0.0)
        report.save_html(html)
    if plots is not None:
        from langchain_selectllm.evaluation.page.plots import save_plots

        progress("plots", 0.0)
        save_plots(report.to_dict(), plots)
