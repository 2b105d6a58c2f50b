"""`selectllm serve`: a saved router as an OpenAI-compatible server."""

import logging
import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from langchain_selectllm._optional import require
from langchain_selectllm.cli.console import err
from langchain_selectllm.cli.reading import Policy


def serve(
    router: Annotated[
        Path, typer.Argument(help="Folder that `selectllm train` or `selectllm demo --out` wrote.")
    ],
    pool: Annotated[
        Path | None, typer.Option(help="Pool file with the router's members, unless they are embedded ones.")
    ] = None,
    policy: Policy = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 127.0.0.1 when left out. Others need API keys.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 8000 when left out.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with further settings.")] = None,
    store: Annotated[
        str | None, typer.Option(help="Store of decisions and outcomes, such as sqlite:///served.db.")
    ] = None,
    keep_prompts: Annotated[
        bool | None, typer.Option(help="Write prompts and replies to the store too.")
    ] = None,
    feedback_log: Annotated[
        Path | None,
        typer.Option(help="Folder of the outcomes that feedback makes, with the prompts it is about."),
    ] = None,
    shadow: Annotated[
        float | None, typer.Option(help="Share of the requests for which all members are called afterwards.")
    ] = None,
    shadow_max_usd: Annotated[
        float | None, typer.Option(help="Most US dollars for all shadow calls of this process.")
    ] = None,
) -> None:
    """Serve a router to any client of OpenAI's API.

    API keys are read from SELECTLLM_API_KEYS or the file named by SELECTLLM_API_KEYS_FILE. SIGHUP loads the
    router and the pool again; SIGTERM finishes the requests in flight.
    """
    for module in ("starlette", "uvicorn", "prometheus_client", "pydantic_settings", "orjson"):
        require(module, extra="serve", needed_by="selectllm serve")

    from langchain_selectllm.integrations.server.access import ApiKeys, check_host
    from langchain_selectllm.integrations.server.adapter import load_served
    from langchain_selectllm.integrations.server.app import create_app
    from langchain_selectllm.integrations.server.running import run_server
    from langchain_selectllm.integrations.server.settings import ServerSettings
    from langchain_selectllm.integrations.server.state import ServerState

    settings = ServerSettings.load(
        config,
        policy=policy,
        host=host,
        port=port,
        store=store,
        keep_prompts=keep_prompts,
        feedback_log=feedback_log,
        shadow=shadow,
        shadow_max_usd=shadow_max_usd,
    )
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("langchain_selectllm.server").setLevel(logging.INFO)
    keys = ApiKeys.from_environment(os.environ)
    # Before anything is loaded for nothing.
    check_host(keys, settings)
    load = partial(load_served, router, pool, settings)
    state = ServerState(settings=settings, served=load(), load=load)
    app = create_app(state, keys)

    def announce(url: str) -> None:
        err.print(f"Serving {router} on {url}", highlight=False)

    run_server(app, state, announce)
