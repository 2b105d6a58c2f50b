"""The option `--parser` of `selectllm evaluate`: votes by meaning, or by a judge, on recorded replies."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_selectllm.collection.open_store import is_store_url
from langchain_selectllm.exceptions import OutcomeError, PolicyError, PoolFileError
from langchain_selectllm.members.pool_file import MemberSpec, read_pool_file

if TYPE_CHECKING:
    from langchain_selectllm.routing.output_parser import VotingOutputParser

REPLIES_FILE = "judge-replies.jsonl"
"""File of a judge's replies in the first folder of outcomes."""

Parser = Annotated[
    str | None,
    typer.Option(
        help="Vote on the replies in another way: semantic:MODEL (a sentence-transformers model) or "
        "judge:MODEL (a member of --pool, or a provider string such as openai:gpt-4o)."
    ),
]
JudgeReplies = Annotated[
    Path | None,
    typer.Option(
        help="File of the judge's replies: missing ones are requested and paid for once, recorded ones are "
        f"replayed; {REPLIES_FILE} in the first folder of outcomes when left out."
    ),
]
JudgePool = Annotated[Path | None, typer.Option(help="Pool file with the judge's entry.")]


def voting_parser(name: str, *, answer: str | None, pool: Path | None) -> "VotingOutputParser":
    """Returns the parser that the option names.

    Args:
        name: "semantic:MODEL" or "judge:MODEL".
        answer: Extractor of the candidates of a judge; whole texts when None.
        pool: Pool file with the judge's entry; a provider string when None.

    Raises:
        PolicyError: If the name is of another form.
        PoolFileError: If the pool file lacks the judge, or its provider refuses it.
        MissingDependencyError: If a package is missing.
    """
    from langchain_selectllm.answers.semantic import SemanticAnswers
    from langchain_selectllm.routing.judge import JudgeVote
    from langchain_selectllm.routing.output_parser import VotingOutputParser

    kind, _, model = name.partition(":")
    if kind == "semantic" and model:
        return VotingOutputParser(answer=SemanticAnswers(model))
    if kind == "judge" and model:
        from langchain_selectllm.members.registry import connect_member

        judge = connect_member(model, judge_entry(model, pool))
        return VotingOutputParser(answer=answer or "text", vote=JudgeVote(judge))
    raise PolicyError(f"--parser {name} is unknown. Use semantic:MODEL or judge:MODEL.")


def judge_entry(judge: str, pool: Path | None) -> MemberSpec:
    """Returns the pool file's entry of a judge; without a file, the one of a provider string.

    Raises:
        PoolFileError: If the file has no such member.
    """
    if pool is None:
        return MemberSpec(model=judge)
    members = read_pool_file(pool).members
    if judge not in members:
        raise PoolFileError(f"{pool} has no member {judge!r}. Its members: {', '.join(members)}.")
    return members[judge]


def replies_file(path: Path | None, outcomes: Sequence[str]) -> Path:
    """Returns the file of the judge's replies: the given one, or the one beside the outcomes.

    Raises:
        OutcomeError: If the outcomes are in a store and no file is given.
    """
    if path is not None:
        return path
    if is_store_url(outcomes[0]):
        raise OutcomeError("Outcomes in a store have no folder for a judge's replies. Give --judge-replies.")
    return Path(outcomes[0]) / REPLIES_FILE
