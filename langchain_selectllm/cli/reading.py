"""Arguments that several commands share, and the outcomes that they name."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from langchain_selectllm._progress import StageProgress
from langchain_selectllm.answers import get_extractor
from langchain_selectllm.answers.auto import EXTRACTOR_NAMES
from langchain_selectllm.cli.console import err
from langchain_selectllm.collection.export import read_outcomes
from langchain_selectllm.collection.open_store import is_store_url
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.outcomes import OutcomeTable, reading_notice


class Engine(StrEnum):
    """Places where work is done."""

    LOCAL = "local"
    RAY = "ray"


Outcomes = Annotated[
    list[str],
    typer.Argument(
        help="Folders of recorded outcomes (queries.jsonl[.gz], responses/), or one store such as "
        "sqlite:///outcomes.db."
    ),
]
Grading = Annotated[
    str | None, typer.Option("--grade", help="Grading of a store to use, where it holds several.")
]
Router = Annotated[Path, typer.Argument(help="Folder that `selectllm train` wrote.")]
Policy = Annotated[
    str | None,
    typer.Option(
        help="Policy such as max_conf:2; selectllm:3 when left out, or weighted_max_conf:3 for a router "
        "without operating points."
    ),
]
EncoderModel = Annotated[
    str | None,
    typer.Option(
        help="Model under the encoder, as id or folder; needed for a router over hidden states, which never "
        "loads a model that only its own folder names."
    ),
]
AllowUnreadable = Annotated[
    bool,
    typer.Option(
        "--allow-unreadable",
        help="Continue even if (nearly) every reply of a kind is wrong or cannot be read.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Answer = Annotated[
    str | None,
    typer.Option(
        help="Read replies as choice, code, json, number or text; each query's own answer_type when left out."
    ),
]


def read_table(
    sources: Sequence[str],
    *,
    members: Sequence[str] | None,
    answer: str | None,
    grading: str | None,
    progress: StageProgress,
) -> OutcomeTable:
    """Returns the outcomes of some folders, or of one store; inferred kinds of answers are named on stderr.

    Args:
        sources: Folders, or one address of a store.
        members: Members to keep; all of them when None.
        answer: Name of the extractor that reads replies; each query's own answer type when None.
        grading: Grading of a store, where it holds several.
        progress: Called when reading starts and ends.

    Raises:
        OutcomeError: If a store is named beside other sources, or the outcomes cannot be read.
    """
    if answer is not None:
        get_extractor(answer)
    progress("read outcomes", 0.0)
    if any(is_store_url(source) for source in sources):
        if len(sources) > 1:
            raise OutcomeError(
                f"{', '.join(sources)}: a store stands alone. Give one store, or folders only."
            )
        table = read_outcomes(sources[0], members=members, answer=answer, grade=grading)
    else:
        table = OutcomeTable.from_folders(*sources, members=members, answer=answer)
    progress("read outcomes", 1.0)
    notice = reading_notice(table)
    if notice is not None:
        err.print(notice, style="yellow", highlight=False, markup=False, soft_wrap=True)
    return table


def readable_answer(answer: str | None) -> str | None:
    """The extractor of the training outcomes by name; None for one that only its author has."""
    if answer in EXTRACTOR_NAMES:
        return answer
    return None
