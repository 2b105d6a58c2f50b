"""`selectllm collect`: sample the members of a pool file on queries, into a store."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from langchain_selectllm.cli.console import err, out, print_json
from langchain_selectllm.cli.interrupts import INTERRUPTED, run_until_interrupted
from langchain_selectllm.cli.reading import Engine
from langchain_selectllm.collection.collect import acollect_outcomes
from langchain_selectllm.collection.plan import Plan, plan_collection
from langchain_selectllm.collection.progress import Collected, MemberProgress, MemberProgressCallback


def collect(
    pool: Annotated[
        Path, typer.Option(help="Pool file (YAML): the members, how each is sampled, its limits and prices.")
    ],
    queries: Annotated[Path, typer.Option(help="Queries: a file queries.jsonl[.gz].")],
    store: Annotated[str, typer.Option(help="SQLite file or PostgreSQL database.")] = "sqlite:///outcomes.db",
    samples: Annotated[int, typer.Option(help="Samples of each member on each query.")] = 10,
    max_cost_usd: Annotated[
        float | None, typer.Option(help="Stop before the recorded cost of the whole store passes this.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Show the calls that are left and their cost; no model is called.")
    ] = False,
    engine: Annotated[
        Engine, typer.Option(help="local, or ray for a Ray cluster (the store then on PostgreSQL).")
    ] = Engine.LOCAL,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
) -> None:
    """Sample every member on every query and save the replies. Run it again to continue where it stopped."""
    if dry_run:
        plan = plan_collection(pool, queries, store, samples=samples)
        if as_json:
            print_json(plan.to_dict())
        else:
            _print_plan(plan)
        return

    async def run(stop: asyncio.Event) -> Collected:
        with _live_table(quiet=as_json) as on_progress:
            return await acollect_outcomes(
                pool,
                queries,
                store,
                samples=samples,
                max_cost_usd=max_cost_usd,
                engine=engine.value,
                stop=stop,
                progress=on_progress,
            )

    collected = run_until_interrupted(run)
    if as_json:
        print_json(collected.to_dict())
    else:
        _print_collected(collected, store)
    if collected.stopped is not None:
        raise typer.Exit(INTERRUPTED if collected.stopped == "interrupted" else 1)


@contextlib.contextmanager
def _live_table(*, quiet: bool) -> Iterator[MemberProgressCallback | None]:
    """Yields a callback that keeps a table of the members on stderr up to date; it vanishes at the end."""
    if quiet or not err.is_terminal:
        yield None
        return
    with Live(console=err, transient=True, auto_refresh=False) as live:
        yield lambda members: live.update(_progress_table(members), refresh=True)


def _progress_table(members: Sequence[MemberProgress]) -> Table:
    table = Table()
    table.add_column("member", no_wrap=True)
    for title in ("done", "failed", "calls/s", "cost_usd", "ETA"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("state")
    for member in members:
        table.add_row(
            member.member,
            f"{member.done:,}/{member.total:,}",
            f"{member.failed:,}",
            f"{member.rate:.1f}",
            _usd(member.cost_usd),
            _clock(member.eta_s),
            member.state,
        )
    return table


def _print_collected(collected: Collected, store: str) -> None:
    out.print(_progress_table(collected.members))
    out.print(f"Recorded cost of the store: {_spent(collected)}.", highlight=False)
    if collected.stopped is None:
        out.print(
            f"Complete. Next: selectllm grade {store}, or selectllm train {store} --out FOLDER",
            highlight=False,
        )
        return
    if collected.smallest_budget_usd is not None:
        budget_usd = f"{collected.smallest_budget_usd:.3g}"
        out.print(
            f"The smallest --max-cost-usd that permits one more call is {budget_usd} USD: "
            "the recorded cost plus the most that the cheapest call left can cost.",
            highlight=False,
        )
    out.print(
        f"{collected.left:,} calls are left ({collected.stopped}). Run the same command again to go on.",
        highlight=False,
    )


def _print_plan(plan: Plan) -> None:
    table = Table(title=f"{plan.calls:,} calls left; no model was called")
    table.add_column("member", no_wrap=True)
    for title in ("total", "left", "expected USD", "at most USD"):
        table.add_column(title, justify="right", no_wrap=True)
    for member in plan.members:
        table.add_row(
            member.member,
            f"{member.total:,}",
            f"{member.calls:,}",
            _usd(member.expected_usd),
            _usd(member.most_usd),
        )
    out.print(table)
    out.print(f"Expected cost: {_usd(plan.expected_usd)} USD.", highlight=False)


def _spent(collected: Collected) -> str:
    if not collected.unpriced:
        return f"{collected.spent_usd:.6f} USD"
    unpriced = f"{collected.unpriced:,} replies of unknown cost (no price, or no usage reported)"
    if not collected.spent_usd:
        return f"unknown: {unpriced}"
    return f"{collected.spent_usd:.6f} USD, and {unpriced}"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


def _usd(cost: float | None) -> str:
    if cost is None:
        return "unknown"
    return f"{cost:.4f}"
