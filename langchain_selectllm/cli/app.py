"""The commands."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from langchain_selectllm import __version__
from langchain_selectllm.classifier import pseudo_labels
from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.classifier.folder import check_target, read_card, read_config
from langchain_selectllm.cli import show
from langchain_selectllm.cli.ablate import ablate
from langchain_selectllm.cli.analyze import analyze
from langchain_selectllm.cli.answer import answer
from langchain_selectllm.cli.ask import ask
from langchain_selectllm.cli.collect import collect
from langchain_selectllm.cli.compare import compare
from langchain_selectllm.cli.console import err, out, print_json, progress_bars
from langchain_selectllm.cli.demo import demo
from langchain_selectllm.cli.doctor import doctor
from langchain_selectllm.cli.drift import drift, retrain
from langchain_selectllm.cli.evaluate import evaluate
from langchain_selectllm.cli.grade import export, grade
from langchain_selectllm.cli.import_csv import import_csv
from langchain_selectllm.cli.reading import (
    AllowUnreadable,
    Answer,
    Grading,
    Json,
    Outcomes,
    Router,
    read_table,
)
from langchain_selectllm.cli.route import route
from langchain_selectllm.cli.serve import serve
from langchain_selectllm.exceptions import SelectLLMError, reason
from langchain_selectllm.outcomes import split_folder

app = typer.Typer(
    name="selectllm",
    help="Call the few LLMs of a pool that will answer correctly, and vote.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(value: bool) -> None:
    if value:
        out.print(f"langchain-selectllm {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Call the few LLMs of a pool that will answer correctly, and vote."""
    del version


@app.command()
def split(
    outcomes: Annotated[Path, typer.Argument(help="Folder of recorded outcomes.")],
    train: Annotated[Path, typer.Argument(help="New folder for the training side.")],
    test: Annotated[Path, typer.Argument(help="New folder for the test side.")],
    share: Annotated[float, typer.Option("--test", help="Share of the queries on the test side.")] = 0.3,
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 0,
    as_json: Json = False,
) -> None:
    """Split recorded outcomes by query into two folders."""
    with progress_bars(quiet=as_json) as on_progress:
        n_train, n_test = split_folder(outcomes, train, test, share=share, seed=seed, progress=on_progress)
    if as_json:
        print_json(
            {"train": str(train), "n_train": n_train, "test": str(test), "n_test": n_test, "seed": seed}
        )
    else:
        out.print(f"{n_train:,} queries to {train}, {n_test:,} to {test} (seed {seed}).", highlight=False)


@app.command(short_help="Train a router on recorded outcomes.")
def train(
    outcomes: Outcomes,
    router: Annotated[Path, typer.Option("--out", help="Folder to save the router in.")],
    members: Annotated[
        str | None, typer.Option(help="Comma-separated models; all of them when left out.")
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(
            help="lexical, a sentence-transformers model id or folder, fine-tune:MODEL or hidden:MODEL."
        ),
    ] = "lexical",
    validation: Annotated[float, typer.Option(help="Share of the queries held out of each fit.")] = 0.15,
    seed: Annotated[int, typer.Option(help="Seed of folds and solvers.")] = 0,
    answer: Answer = None,
    grading: Grading = None,
    label_from_agreement: Annotated[
        bool, typer.Option(help="Without references: correct is what agrees with the vote of the whole pool.")
    ] = False,
    allow_unreadable: AllowUnreadable = False,
    as_json: Json = False,
) -> None:
    """Train a router: learn from recorded outcomes which members answer which queries correctly."""
    check_target(router)
    with progress_bars(quiet=as_json) as on_progress:
        table = read_table(
            outcomes, members=_names(members), answer=answer, grading=grading, progress=on_progress
        )
        if label_from_agreement:
            table = pseudo_labels.label_from_agreement(table)
        classifier = SelectLLMClassifier(encoder=encoder, validation=validation, seed=seed)
        classifier.fit(table, allow_unreadable=allow_unreadable, progress=on_progress)
        classifier.save_pretrained(router)
    if as_json:
        print_json(read_config(router))
    else:
        show.print_trained(classifier, router)


app.command(short_help="Show which members the router would call, and why.")(route)


@app.command()
def inspect(router: Router, as_json: Json = False) -> None:
    """Show the members and the card of a saved router."""
    config = read_config(router)
    if as_json:
        print_json({**config, "card": read_card(router)})
    else:
        show.print_card(router, read_card(router))


app.command(short_help="Replay every system on recorded outcomes, and compare them.")(evaluate)
app.command(short_help="Show two saved reports side by side.")(compare)
app.command(short_help="Find features of queries that go with failures.")(analyze)
app.command(short_help="Train and replay with one choice varied at a time.")(ablate)
app.command(short_help="Answer a prompt: call members in parallel, and vote.")(ask)
app.command()(answer)
app.command(short_help="Train and try a router over five small language models.")(demo)
app.command(short_help="Show installed versions and extras, and what is missing.")(doctor)
app.command("import", short_help="Write the questions of a CSV file as queries.jsonl.")(import_csv)
app.command()(collect)
app.command(short_help="Grade recorded replies, as often as needed.")(grade)
app.command(short_help="Write a store as a folder of recorded outcomes.")(export)
app.command()(serve)
app.command(short_help="Say whether the served queries call for a new router.")(drift)
app.command(short_help="Fit a new router with the served outcomes.")(retrain)


def main() -> None:
    """Run the command; bad input ends in exit code 2 and one line on stderr."""
    try:
        app(prog_name="selectllm")
    except (SelectLLMError, OSError, ValueError) as error:
        message = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            message = f"{error.filename}: {reason(error)}."
        err.print(
            f"Error: {' '.join(message.split())}",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        sys.exit(2)


def _names(members: str | None) -> list[str] | None:
    if members is None:
        return None
    return [name.strip() for name in members.split(",") if name.strip()]
