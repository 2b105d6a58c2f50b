"""`selectllm ablate`: one choice of the method varied at a time, on recorded outcomes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from langchain_selectllm._optional import require
from langchain_selectllm.cli.console import out, print_json, progress_bars
from langchain_selectllm.cli.reading import Answer, Grading, Json, Outcomes, read_table
from langchain_selectllm.evaluation.ablation import AblationPoint
from langchain_selectllm.evaluation.ablation import ablate as run_studies


def ablate(
    outcomes: Outcomes,
    study: Annotated[
        list[str] | None,
        typer.Option(
            help="set_size, pool_size, training, encoder, calibration or vote; may be repeated; else all."
        ),
    ] = None,
    encoder: Annotated[
        list[str] | None, typer.Option(help="Encoder of the study of encoders; may be repeated.")
    ] = None,
    members: Annotated[
        str | None, typer.Option(help="Comma-separated models; all of them when left out.")
    ] = None,
    test: Annotated[float, typer.Option(help="Share of the queries that is never trained on.")] = 0.3,
    seed: Annotated[int, typer.Option(help="Seed of the split and the fits.")] = 0,
    plots: Annotated[Path | None, typer.Option(help="Folder for a chart per study, PNG and SVG.")] = None,
    answer: Answer = None,
    grading: Grading = None,
    as_json: Json = False,
) -> None:
    """Train and replay with one choice varied at a time: set size, pool, training data, encoder, vote."""
    if plots is not None:
        # Missing packages are named before minutes of training.
        require("altair", extra="report", needed_by="Plots")
    names = None
    if members is not None:
        names = [name.strip() for name in members.split(",")]
    with progress_bars(quiet=as_json) as progress:
        table = read_table(outcomes, members=names, answer=answer, grading=grading, progress=progress)
        points = run_studies(
            table, studies=study, encoders=encoder or ("lexical",), test=test, seed=seed, progress=progress
        )
    if plots is not None:
        from langchain_selectllm.evaluation.page.ablation_charts import save_ablation_plots

        save_ablation_plots(points, plots)
    if as_json:
        print_json({"seed": seed, "test": test, "points": [point.to_dict() for point in points]})
    else:
        _print_points(points)


def _print_points(points: Sequence[AblationPoint]) -> None:
    for study in dict.fromkeys(point.study for point in points):
        table = Table(title=study)
        for title in ("variant", "series", "system"):
            table.add_column(title, no_wrap=True)
        for title in ("accuracy [95 %]", "calls", "Brier", "ECE"):
            table.add_column(title, justify="right", no_wrap=True)
        for point in points:
            if point.study == study:
                low, high = point.ci95
                table.add_row(
                    point.variant,
                    point.series,
                    point.system,
                    f"{point.accuracy:.3f} [{low:.3f}, {high:.3f}]",
                    f"{point.calls:.2f}",
                    f"{point.brier:.3f}",
                    f"{point.ece:.3f}",
                )
        out.print(table)
    out.print("One split; intervals cover queries, not splits. Repeat with other seeds.", highlight=False)
