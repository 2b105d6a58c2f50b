"""`selectllm route`: the members that a router would call, for one prompt or a file of prompts."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.cli import show
from langchain_selectllm.cli.console import err, out, print_json
from langchain_selectllm.cli.reading import EncoderModel, Engine, Json, Policy, Router
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.routing.decision import decide_all
from langchain_selectllm.routing.route_file import Decider, RoutedFile, RoutingEngine, route_file
from langchain_selectllm.selection import policies
from langchain_selectllm.selection.policy_names import default_policy, parse_policy, policy_name


def route(
    router: Router,
    prompt: Annotated[
        str | None, typer.Argument(help="The prompt's text; left out if --input is given.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="File (.jsonl[.gz]) or folder of prompts: one JSON object with `query` per line.",
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("--output", help="File (for a folder: folder) for one decision per line; continued."),
    ] = None,
    policy: Policy = None,
    encoder_model: EncoderModel = None,
    engine: Annotated[
        Engine, typer.Option(help="local, or ray to decide for --input on a Ray cluster.")
    ] = Engine.LOCAL,
    as_json: Json = False,
) -> None:
    """Show which members the router would call for a prompt, and why; no model is called."""
    if (prompt is None) == (source is None) or (source is None) != (target is None):
        raise OutcomeError("Give either a prompt, or --input with --output.")
    classifier = SelectLLMClassifier.from_pretrained(router, encoder_model=encoder_model)
    chosen = default_policy(classifier.pool)
    if policy:
        chosen = parse_policy(policy)
    if prompt is not None:
        if engine is Engine.RAY:
            raise OutcomeError("One prompt needs no cluster. Leave --engine out, or give a file by --input.")
        _route_one(classifier, chosen, prompt, as_json=as_json)
    elif source is not None and target is not None:
        decide: RoutingEngine | None = None
        if engine is Engine.RAY:
            from langchain_selectllm.integrations.route_on_ray import RayDecider

            decide = RayDecider(router=router, policy=chosen, encoder_model=encoder_model)
        decider = Decider(classifier=classifier, policy=chosen)
        _route_many(decider, decide, source, target, as_json=as_json)


def _route_one(
    classifier: SelectLLMClassifier, policy: policies.Policy, prompt: str, *, as_json: bool
) -> None:
    decision = decide_all(classifier, policy, [prompt])[0]
    described: dict[str, Any] = {
        "probabilities": dict(zip(decision.members, decision.probabilities.tolist(), strict=True)),
        "selection": list(decision.selected_members),
        "policy": policy_name(policy),
        "reason": decision.reason,
    }
    if as_json:
        print_json(described)
    else:
        show.print_decision(decision, policy_name(policy))


def _route_many(
    decider: Decider, engine: RoutingEngine | None, source: Path, target: Path, *, as_json: bool
) -> None:
    columns = (TextColumn("{task.completed:,} prompts"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=as_json) as progress:
        task = progress.add_task("route", total=None)
        routed = route_file(
            decider,
            source,
            target,
            engine=engine,
            on_progress=lambda n_lines: progress.update(task, completed=n_lines),
        )
    if as_json:
        print_json({**vars(routed), "policy": policy_name(decider.policy), "output": str(target)})
    else:
        _print_routed(routed, target, policy_name(decider.policy))
    if routed.n_unreadable:
        raise typer.Exit(1)


def _print_routed(routed: RoutedFile, target: Path, policy: str) -> None:
    earlier = ""
    if routed.n_earlier:
        earlier = f", {routed.n_earlier:,} of them by an earlier run"
    out.print(f"{routed.n_lines:,} lines in {target} by {policy}{earlier}.", highlight=False, markup=False)
    if routed.n_unreadable:
        err.print(
            f"{routed.n_unreadable:,} lines of this run hold no prompt; the output holds the error in their "
            f"place. The first: {routed.first_error}.",
            style="yellow",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
