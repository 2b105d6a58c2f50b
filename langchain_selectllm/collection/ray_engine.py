"""The same collection on a Ray cluster: Ray places and restarts the work, every piece of it writes to the same store."""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_selectllm._optional import require
from langchain_selectllm.collection.budget import Budget
from langchain_selectllm.collection.inputs import PoolMember
from langchain_selectllm.collection.local_engine import Settings, collect_into, count_answered
from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.collection.progress import Collected, MemberProgress, OnProgress
from langchain_selectllm.exceptions import PoolFileError, StoreError
from langchain_selectllm.members.pool_file import MemberSpec
from langchain_selectllm.members.registry import connect_member
from langchain_selectllm.outcomes.records import QueryRecord

if TYPE_CHECKING:
    from langchain_selectllm.collection.store import OutcomeStore

_TICK_S = 0.5
_INTERRUPTS = 10
_INTERRUPT_S = 2.0


@dataclass(frozen=True)
class Shard:
    """One member's calls on some of the queries."""

    member: str
    spec: MemberSpec
    """With this piece's share of the member's limits."""
    queries: tuple[QueryRecord, ...]


async def collect_on_ray(
    store: "OutcomeStore",
    members: Sequence[PoolMember],
    queries: Sequence[QueryRecord],
    settings: Settings,
    budget: Budget,
    *,
    stop: asyncio.Event,
    progress: OnProgress | None = None,
) -> Collected:
    """Collect on the Ray cluster that this process belongs to, or on a local one.

    Every member's limits are divided among its pieces, so that they hold for the cluster; so is what may be spent. A piece
    whose machine is lost is run again by Ray, and finds in the store what it had done.

    Raises:
        StoreError: If the store is a file, which other machines cannot write to.
        PoolFileError: If a member is a chat model, which cannot travel to another machine.
    """
    ray = require("ray", extra="ray", needed_by="The engine 'ray'")
    travelling = [member.name for member in members if not member.is_described]
    if travelling:
        raise PoolFileError(
            f"{', '.join(travelling)}: chat models cannot travel to a cluster. Describe the members in a pool file."
        )
    if store.engine.dialect.name != "postgresql":
        raise StoreError(
            f"{store} is a file, which a cluster cannot share. Use PostgreSQL: postgresql://user@host/database."
        )
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False)
    try:
        return await _collect(ray, store, members, queries, settings, budget, stop, progress)
    finally:
        if started:
            ray.shutdown()


async def _collect(
    ray: Any,
    store: "OutcomeStore",
    members: Sequence[PoolMember],
    queries: Sequence[QueryRecord],
    settings: Settings,
    budget: Budget,
    stop: asyncio.Event,
    progress: OnProgress | None,
) -> Collected:
    n_pieces = max(int(ray.cluster_resources().get("CPU", 1)) // len(members), 1)
    shards = [shard for member in members for shard in split_member(member, queries, n_pieces)]
    allowed = (
        None if budget.limit_usd is None else max(budget.limit_usd - budget.spent_usd, 0.0) / len(shards)
    )
    url = store.engine.url.render_as_string(hide_password=False)
    collect_shard = ray.remote(num_cpus=1, max_retries=3)(_collect_shard)
    references = [collect_shard.remote(shard, url, settings, allowed) for shard in shards]
    shown = [
        MemberProgress(member.name, settings.samples * len(queries), state="running") for member in members
    ]
    waiting = list(references)
    try:
        while waiting and not stop.is_set():
            _, waiting = await asyncio.to_thread(ray.wait, waiting, num_returns=len(waiting), timeout=_TICK_S)
            if progress is not None:
                await asyncio.to_thread(_look, store, members, queries, settings, shown)
                progress(shown)
    finally:
        await _interrupt(ray, waiting)
    results = [await asyncio.to_thread(_result, ray, reference) for reference in references]
    _look(store, members, queries, settings, shown)
    for member in shown:
        pieces = [
            piece
            for result in results
            if result is not None
            for piece in result.members
            if piece.member == member.member
        ]
        member.failed = sum(piece.failed for piece in pieces)
        member.cost_usd = sum(piece.cost_usd for piece in pieces)
        states = dict.fromkeys(piece.state for piece in pieces if piece.state != "done")
        member.end("; ".join(states) or ("stopped" if member.left else "done"))
    stopped = next((result.stopped for result in results if result is not None and result.stopped), None)
    return Collected(tuple(shown), "interrupted" if stop.is_set() else stopped, store.cost_usd())


async def _interrupt(ray: Any, waiting: Sequence[Any]) -> None:
    """Interrupt pieces as Ctrl-C does: what has arrived there is kept.

    Asked again while a piece runs on: an interrupt that arrives inside a callback of another library can get lost there.
    """
    for _ in range(_INTERRUPTS):
        if not waiting:
            return
        for reference in waiting:
            ray.cancel(reference)
        _, waiting = await asyncio.to_thread(
            ray.wait, list(waiting), num_returns=len(waiting), timeout=_INTERRUPT_S
        )


def _collect_shard(shard: Shard, url: str, settings: Settings, allowed_usd: float | None) -> Collected:
    """What one piece comes to; runs on a machine of the cluster."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A cluster that was started in the background ignores interrupts, and with them the end of a piece.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    connected = connect_member(shard.member, shard.spec)
    member = PoolMember(shard.member, shard.spec, connected, shard.spec.parameters, is_described=True)
    with open_store(url) as store:
        budget = Budget(allowed_usd, 0.0)
        return asyncio.run(
            collect_into(store, [member], shard.queries, settings, budget, stop=asyncio.Event())
        )


def _result(ray: Any, reference: Any) -> Collected | None:
    """What came of a piece; None when it was cancelled."""
    try:
        return ray.get(reference)  # type: ignore[no-any-return]
    except ray.exceptions.TaskCancelledError:
        return None
    except ray.exceptions.RayTaskError as error:
        raise error.as_instanceof_cause() from None


def _look(
    store: "OutcomeStore",
    members: Sequence[PoolMember],
    queries: Sequence[QueryRecord],
    settings: Settings,
    shown: Sequence[MemberProgress],
) -> None:
    """Bring the display up to date from the store."""
    for member, progress in zip(members, shown, strict=True):
        progress.done = count_answered(store, member, queries, settings.samples)


def split_member(member: PoolMember, queries: Sequence[QueryRecord], n_pieces: int) -> list[Shard]:
    """The member's work in pieces; concurrency and rate of all pieces together are the member's own.

    Args:
        member: The member.
        queries: Its queries.
        n_pieces: Number of pieces wanted; fewer where the member takes fewer calls at a time, or there are fewer queries.
    """
    n = max(min(n_pieces, member.spec.max_concurrency, len(queries)), 1)
    rate = member.spec.requests_per_second
    shards = []
    for i in range(n):
        limits = {
            "max_concurrency": member.spec.max_concurrency // n + (i < member.spec.max_concurrency % n),
            "requests_per_second": None if rate is None else rate / n,
        }
        shards.append(Shard(member.name, member.spec.model_copy(update=limits), tuple(queries[i::n])))
    return shards
