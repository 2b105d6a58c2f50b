"""`selectllm import`: questions of a CSV file as a queries file."""

from pathlib import Path
from typing import Annotated

import typer

from langchain_selectllm.cli.console import out, print_json
from langchain_selectllm.cli.reading import Json
from langchain_selectllm.outcomes import import_questions


def import_csv(
    questions: Annotated[Path, typer.Argument(help="CSV file in UTF-8 with a header line.")],
    folder: Annotated[Path, typer.Option("--out", help="New folder for queries.jsonl.")],
    question: Annotated[
        str | None, typer.Option(help="Heading of the questions; recognised when left out.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Heading of the correct answers; recognised when left out.")
    ] = None,
    answer_type: Annotated[
        str | None,
        typer.Option(
            help="Heading of the kinds of answers, or one kind for all: choice, code, json, number, text."
        ),
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="Heading of the categories; recognised when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the questions of a CSV file as queries.jsonl, for `selectllm collect`."""
    imported = import_questions(
        questions, folder, question=question, reference=reference, answer_type=answer_type, category=category
    )
    if as_json:
        print_json(
            {
                "file": str(imported.file),
                "n_queries": imported.n_queries,
                "columns": dict(imported.columns),
            }
        )
        return
    columns = ", ".join(f"{field} from {heading!r}" for field, heading in imported.columns.items())
    out.print(
        f"{imported.n_queries:,} queries in {imported.file} ({columns}). Next: "
        f"selectllm collect --pool pool.yaml --queries {imported.file}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
