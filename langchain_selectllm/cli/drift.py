"""`selectllm drift` and `selectllm retrain`: from served requests to the next router."""

import time
from pathlib import Path
from typing import Annotated

import typer

from langchain_selectllm._optional import require
from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.classifier.folder import check_target
from langchain_selectllm.cli.console import out, print_json
from langchain_selectllm.outcomes import OutcomeTable

_DAY_S = 24 * 3600.0
REFUSED = 1
"""Exit code of a new router that is worse than the old one."""

Store = Annotated[str, typer.Argument(help="Store that `selectllm serve --store` wrote.")]
Router = Annotated[Path, typer.Argument(help="Folder of the router that serves.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


def drift(
    store: Store,
    router: Router,
    days: Annotated[
        float | None, typer.Option(help="Go back this many days; over the whole store when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare served queries with training, and say whether a new router is due."""
    require("sqlalchemy", extra="serve", needed_by="selectllm drift")

    from langchain_selectllm.integrations.server.drift import describe, measure_drift
    from langchain_selectllm.integrations.server.served_store import ServedStore

    since = 0.0
    if days is not None:
        since = time.time() - days * _DAY_S
    with ServedStore(store, create=False) as opened:
        measured = measure_drift(opened.read(since=since), SelectLLMClassifier.from_pretrained(router))
    if as_json:
        print_json(measured.to_dict())
        return
    for line in describe(measured):
        out.print(line, highlight=False, markup=False)


def retrain(
    store: Store,
    router: Router,
    new: Annotated[Path, typer.Option("--out", help="Folder to save the new router in.")],
    training: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of the outcomes the old router was trained on; may be repeated."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="Policy of both routers in the comparison; the default of each when left out."),
    ] = None,
    held_out: Annotated[
        float, typer.Option(help="Share of the recent queries, the newest, to compare on.")
    ] = 0.3,
    seed: Annotated[int, typer.Option(help="Seed of the fit and the bootstrap.")] = 0,
    as_json: Json = False,
) -> None:
    """Fit a new router with the served outcomes; it is saved unless it is worse on recent queries."""
    for module, extra in (("sqlalchemy", "serve"), ("sklearn", "train")):
        require(module, extra=extra, needed_by="selectllm retrain")

    from langchain_selectllm.integrations.server.recent_outcomes import read_recent_outcomes, reader_of
    from langchain_selectllm.integrations.server.retraining import retrain as fit_and_compare
    from langchain_selectllm.integrations.server.served_store import ServedStore

    check_target(new)
    old = SelectLLMClassifier.from_pretrained(router)
    with ServedStore(store, create=False) as opened:
        recent = read_recent_outcomes(opened, old)
    table = None
    if training:
        table = OutcomeTable.from_folders(*training, members=old.members, answer=reader_of(old))
    classifier, comparison = fit_and_compare(
        old, recent, training=table, policy=policy, held_out=held_out, seed=seed
    )
    if comparison.accepted:
        classifier.save_pretrained(new)
    if as_json:
        print_json(comparison.to_dict())
    else:
        _print_comparison(comparison.to_dict(), new)
    if not comparison.accepted:
        raise typer.Exit(REFUSED)


def _print_comparison(figures: dict[str, float], new: Path) -> None:
    out.print(
        f"Fitted on {figures['n_training']:,} queries, {figures['n_recent']:,} of them served; compared on "
        f"the newest {figures['n_held_out']:,} ({figures['policy']}), labelled by the vote of all members.",
        highlight=False,
    )
    for name in ("old", "new"):
        accuracy, calls = figures[f"{name}_accuracy"], figures[f"{name}_calls"]
        out.print(f"{name}: accuracy {accuracy:.3f}, {calls:.2f} calls per query", highlight=False)
    out.print(
        f"Difference {100 * figures['difference']:+.1f} points "
        f"(95 % interval {100 * figures['low']:+.1f} to {100 * figures['high']:+.1f}).",
        highlight=False,
    )
    if figures["accepted"]:
        out.print(f"Saved in {new}. A server that serves this folder takes it at SIGHUP.", highlight=False)
    else:
        out.print("Refused: the new router is worse on recent queries. Nothing was saved.", highlight=False)
