"""`selectllm answer`: a file of prompts answered by a router, into a store."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from langchain_selectllm.cli.console import err, out, print_json
from langchain_selectllm.cli.interrupts import INTERRUPTED, run_until_interrupted
from langchain_selectllm.cli.reading import Engine, Json, Policy, Router

if TYPE_CHECKING:
    from langchain_selectllm.integrations.answer_file import AnsweredFile


def answer(
    router: Router,
    pool: Annotated[Path, typer.Option(help="Pool file with the router's members.")],
    source: Annotated[
        Path,
        typer.Option(
            "--input",
            help="File (.jsonl[.gz]) or folder of prompts: one JSON object with `query` per line.",
        ),
    ],
    target: Annotated[
        Path,
        typer.Option("--output", help="File (for a folder: folder) for one answer per line; continued."),
    ] = Path("answers.jsonl"),
    store: Annotated[
        str, typer.Option(help="SQLite file or PostgreSQL database that keeps the replies.")
    ] = "sqlite:///answers.db",
    policy: Policy = None,
    max_cost_usd: Annotated[
        float | None, typer.Option(help="Stop before the recorded cost of the whole store passes this.")
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="local, or ray for a Ray cluster (the store then on PostgreSQL).")
    ] = Engine.LOCAL,
    as_json: Json = False,
) -> None:
    """Answer a file of prompts. Run it again to continue where it stopped; no reply is bought twice."""
    from langchain_selectllm.integrations.answer_file import answer_file

    columns = (TextColumn("{task.completed:,} prompts"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=as_json) as progress:
        task = progress.add_task("answer", total=None)

        async def run(stop: asyncio.Event) -> "AnsweredFile":
            return await answer_file(
                router,
                pool,
                source,
                target,
                store,
                policy=policy,
                max_cost_usd=max_cost_usd,
                engine=engine.value,
                stop=stop,
                on_progress=lambda n_lines: progress.update(task, completed=n_lines),
            )

        answered = run_until_interrupted(run)
    if as_json:
        print_json({**vars(answered), "output": str(target), "store": store})
    else:
        _print_answered(answered, target)
    if answered.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if answered.stopped is not None or answered.n_errors:
        raise typer.Exit(1)


def _print_answered(answered: "AnsweredFile", target: Path) -> None:
    earlier = ""
    if answered.n_earlier:
        earlier = f", {answered.n_earlier:,} of them by an earlier run"
    out.print(f"{answered.n_lines:,} lines in {target}{earlier}.", highlight=False, markup=False)
    out.print(f"Recorded cost of the store: {answered.cost_usd:.6f} USD.", highlight=False)
    if answered.n_errors:
        out.print(
            f"{answered.n_errors:,} lines of this run have no answer; the output holds the error in their "
            "place.",
            highlight=False,
        )
    if answered.stopped is not None:
        out.print(f"Stopped ({answered.stopped}). Run the same command again to go on.", highlight=False)
