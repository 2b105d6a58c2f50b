"""`selectllm ask`: one prompt through a saved router, with real calls of its members."""

from pathlib import Path
from typing import Annotated

import typer

from langchain_selectllm.cli import show
from langchain_selectllm.cli.console import print_json
from langchain_selectllm.cli.reading import EncoderModel, Policy


def ask(
    router: Annotated[
        Path, typer.Argument(help="Folder that `selectllm train` or `selectllm demo --out` wrote.")
    ],
    prompt: Annotated[str, typer.Argument(help="The prompt's text.")],
    policy: Policy = None,
    pool: Annotated[
        Path | None, typer.Option(help="Pool file with the router's members, unless they are embedded ones.")
    ] = None,
    encoder_model: EncoderModel = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
) -> None:
    """Answer a prompt: call the members that are predicted to answer it correctly, and vote.

    Embedded members need no further option; other members are described by a pool file (--pool).
    """
    from langchain_selectllm.routing.load_router import load_router

    message = load_router(router, pool, policy=policy, encoder_model=encoder_model).invoke(prompt)
    if as_json:
        print_json({"reply": message.text, **message.response_metadata["selectllm"]})
    else:
        show.print_reply(message)
