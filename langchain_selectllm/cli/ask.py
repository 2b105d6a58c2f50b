"""`selectllm ask`: one prompt through a saved router, its members called for real."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_selectllm.classifier.folder import read_config
from langchain_selectllm.cli import show
from langchain_selectllm.cli.console import print_json
from langchain_selectllm.exceptions import MemberMismatchError

if TYPE_CHECKING:
    from langchain_selectllm.routing.router import SelectLLMRouter


def ask(
    router: Annotated[
        Path, typer.Argument(help="Folder that `selectllm train` or `selectllm demo --out` wrote.")
    ],
    prompt: Annotated[str, typer.Argument(help="The prompt's text.")],
    policy: Annotated[str, typer.Option(help="Policy such as weighted_max_conf:3.")] = "weighted_max_conf",
    pool: Annotated[
        Path | None, typer.Option(help="Pool file with the router's members, unless they are embedded ones.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
) -> None:
    """Answer a prompt: ask the members that will be right, and vote."""
    members = read_config(router)["members"]
    asked = (
        _embedded_router(router, members, policy)
        if pool is None
        else _pool_router(router, members, policy, pool)
    )
    message = asked.invoke(prompt)
    if as_json:
        print_json({"reply": message.text, **message.response_metadata["selectllm"]})
    else:
        show.print_reply(message)


def _embedded_router(router: Path, members: list[str], policy: str) -> "SelectLLMRouter":
    # Before torch is loaded for nothing.
    check_embedded(members)

    from langchain_selectllm.embedded import embedded_models, read_answer
    from langchain_selectllm.routing.output_parser import VotingOutputParser
    from langchain_selectllm.routing.router import SelectLLMRouter

    parser = VotingOutputParser(answer=read_answer)
    return SelectLLMRouter.from_pretrained(router, embedded_models(members), policy=policy, parser=parser)


def _pool_router(router: Path, members: list[str], policy: str, pool: Path) -> "SelectLLMRouter":
    from langchain_selectllm.members.registry import ModelRegistry
    from langchain_selectllm.routing.router import SelectLLMRouter

    models = ModelRegistry.from_file(pool)
    # A pool file may hold more, such as a judge.
    known = [name for name in models if name in members] or list(models)
    return SelectLLMRouter.from_pretrained(router, models.subset(known), policy=policy)


def check_embedded(members: list[str]) -> None:
    """Whether every member is an embedded one.

    Raises:
        MemberMismatchError: If another model is among them; this command could not call it.
    """
    from langchain_selectllm.embedded import EMBEDDED_PREFIX

    others = [name for name in members if not name.startswith(EMBEDDED_PREFIX)]
    if others:
        raise MemberMismatchError(
            f"This router's members {', '.join(map(repr, others))} are not embedded models. Give the pool file that describes "
            "them (--pool pool.yaml), or make a router of the embedded pool: selectllm demo --out FOLDER."
        )
