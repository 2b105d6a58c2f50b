"""`selectllm grade` and `selectllm export`: scores of recorded replies, and the store as a folder."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from langchain_selectllm.cli.console import out, print_json, progress_bars
from langchain_selectllm.cli.interrupts import INTERRUPTED, run_until_interrupted
from langchain_selectllm.cli.parser_option import judge_entry
from langchain_selectllm.cli.reading import AllowUnreadable
from langchain_selectllm.cli.report_table import figure
from langchain_selectllm.collection.export import export_outcomes
from langchain_selectllm.collection.graders import GradeFunction, import_function
from langchain_selectllm.collection.grading import Graded, ajudge_outcomes, grade_outcomes
from langchain_selectllm.exceptions import AnswerError

Store = Annotated[
    str, typer.Argument(help="Store that `selectllm collect` wrote, such as sqlite:///outcomes.db.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


def grade(
    store: Store,
    answer: Annotated[
        str | None,
        typer.Option(
            help="Read replies as choice, code, json, number or text; each query's own answer_type when "
            "left out."
        ),
    ] = None,
    function: Annotated[
        str | None,
        typer.Option(
            help="Score replies with package.module:name or file.py:name, of (reply, reference, query)."
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            help="Grade by a chat model: a member of --pool, or a provider string such as openai:gpt-4o."
        ),
    ] = None,
    pool: Annotated[Path | None, typer.Option(help="Pool file with the judge's entry.")] = None,
    queries: Annotated[
        Path | None, typer.Option(help="Read the references anew from this file, then grade everything.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the grading in the store.")] = None,
    redo: Annotated[bool, typer.Option(help="Grade again what has a grade of that name.")] = False,
    max_cost_usd: Annotated[
        float | None,
        typer.Option(help="Stop the judge before the recorded cost of the whole store passes this."),
    ] = None,
    allow_unreadable: AllowUnreadable = False,
    as_json: Json = False,
) -> None:
    """Grade recorded replies, as often as needed: their members are not called again."""
    if sum(way is not None for way in (answer, function, judge)) > 1:
        raise AnswerError("--answer, --function and --judge are three ways to grade. Give one of them.")
    with progress_bars(quiet=as_json) as on_progress:
        if judge is not None:
            entry = judge, judge_entry(judge, pool)

            async def run(stop: asyncio.Event) -> Graded:
                return await ajudge_outcomes(
                    store,
                    entry,
                    name=name,
                    redo=redo,
                    max_cost_usd=max_cost_usd,
                    stop=stop,
                    progress=on_progress,
                )

            graded = run_until_interrupted(run)
        else:
            graded = grade_outcomes(
                store,
                _grader(answer, function),
                name=name,
                queries=queries,
                redo=redo,
                allow_unreadable=allow_unreadable,
                progress=on_progress,
            )
    if as_json:
        print_json(graded.to_dict())
    else:
        _print_graded(graded)
    if graded.stopped is not None or graded.failed:
        raise typer.Exit(INTERRUPTED if graded.stopped == "interrupted" else 1)


def export(
    store: Store,
    folder: Annotated[Path, typer.Argument(help="New folder in the interchange format.")],
    grading: Annotated[
        str | None,
        typer.Option("--grade", help="Grading whose columns are written, where there are several."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a store as a folder of recorded outcomes (queries.jsonl.gz, responses/)."""
    counts = export_outcomes(store, folder, grade=grading)
    if as_json:
        print_json({"folder": str(folder), "replies": counts})
        return
    counted = ", ".join(f"{member} {count:,}" for member, count in counts.items())
    out.print(
        f"Replies in {folder}: {counted}. Next: selectllm split {folder} TRAIN TEST",
        highlight=False,
        soft_wrap=True,
    )


def _grader(answer: str | None, function: str | None) -> str | GradeFunction | None:
    if function is None:
        return answer
    return import_function(function)


def _print_graded(graded: Graded) -> None:
    table = Table(title=f"grading {graded.grading!r}")
    table.add_column("member")
    for title in ("replies", "with a score", "mean score"):
        table.add_column(title, justify="right")
    for member, grades in graded.members.items():
        table.add_row(member, f"{grades.replies:,}", f"{grades.graded:,}", figure(grades.mean))
    out.print(table)
    if graded.failed:
        out.print(
            f"{graded.failed:,} replies could not be graded: the judge's calls failed. "
            "Run the command again.",
            highlight=False,
        )
    if graded.stopped is not None:
        out.print(f"Stopped: {graded.stopped}. Run the same command again to go on.", highlight=False)
