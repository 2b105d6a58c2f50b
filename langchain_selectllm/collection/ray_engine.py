"""Collection on a Ray cluster: Ray places and restarts the pieces, which write to the same store."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_selectllm.collection.budget import Budget
from langchain_selectllm.collection.inputs import PoolMember, described_member
from langchain_selectllm.collection.local_engine import (
    CollectionJob,
    Settings,
    collect_locally,
    count_answered,
)
from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.collection.progress import Collected, MemberProgress
from langchain_selectllm.collection.ray_cluster import check_shared, ray_cluster
from langchain_selectllm.collection.store_lock import still_locked
from langchain_selectllm.exceptions import PoolFileError
from langchain_selectllm.members.pool_file import MemberSpec
from langchain_selectllm.outcomes.records import QueryRecord

_TICK_S = 0.5
_INTERRUPTS = 10
_INTERRUPT_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One member's calls on some of the queries."""

    member: str
    spec: MemberSpec
    """Entry of the pool file, with this piece's share of the member's limits."""
    queries: tuple[QueryRecord, ...]


async def collect_on_ray(job: CollectionJob) -> Collected:
    """Makes the missing calls on the Ray cluster that this process belongs to, or on a local one.

    Every member's limits are divided among its pieces, so that they hold for the cluster; so is the remaining
    budget. A piece whose machine is lost is run again by Ray, and finds in the store the calls it had made.

    Raises:
        StoreError: If the store is a file, which other machines cannot write to.
        PoolFileError: If a member is a chat model, which cannot travel to another machine.
    """
    travelling = [member.name for member in job.members if not member.is_described]
    if travelling:
        raise PoolFileError(
            f"{', '.join(travelling)}: chat models cannot travel to a cluster. "
            "Describe the members in a pool file."
        )
    check_shared(job.store)
    with ray_cluster() as ray:
        return await _collect(ray, job)


async def _collect(ray: Any, job: CollectionJob) -> Collected:
    n_pieces = max(int(ray.cluster_resources().get("CPU", 1)) // len(job.members), 1)
    shards: list[Shard] = []
    for member in job.members:
        shards += split_member(member, job.queries, n_pieces)
    url = job.store.engine.url.render_as_string(hide_password=False)
    collect_shard = ray.remote(num_cpus=1, max_retries=3)(_collect_shard)
    board = ray.remote(num_cpus=0)(_Board).remote()
    allowed = _share_of_budget(job, len(shards))
    references = []
    for i, shard in enumerate(shards):
        report = _Report(board=board, piece=i)
        references.append(collect_shard.remote(shard, url, job.settings, allowed, report))
    shown = []
    for member in job.members:
        total = job.settings.samples * len(job.queries)
        shown.append(MemberProgress(member.name, total, state="running"))
    lost = await _wait(ray, references, job, lambda: _update(ray, board, shards, shown))
    results = await asyncio.to_thread(_results, ray, references)
    for member, progress in zip(job.members, shown, strict=True):
        _summarise(progress, results)
        if len(results) < len(shards):
            # A cancelled piece does not tell what it had done.
            progress.done = count_answered(job.store, member, job.queries, job.settings.samples)
    stopped = None
    for result in results:
        stopped = stopped or result.stopped
    if lost:
        stopped = "lock lost"
    if job.stop.is_set():
        stopped = "interrupted"
    return Collected(
        members=tuple(shown),
        stopped=stopped,
        spent_usd=job.store.cost_usd(),
    )


async def _wait(
    ray: Any,
    references: Sequence[Any],
    job: CollectionJob,
    update: Callable[[], Sequence[MemberProgress]],
) -> bool:
    """Waits for the pieces, and interrupts them when collecting stops; whether the store's lock was lost."""
    waiting, lost = list(references), False
    try:
        while waiting and not job.stop.is_set() and not lost:
            _, waiting = await asyncio.to_thread(ray.wait, waiting, num_returns=len(waiting), timeout=_TICK_S)
            # Not the pieces hold the lock but this process: without it they have to end.
            lost = not await asyncio.to_thread(still_locked, job.lock)
            if job.progress is not None:
                job.progress(await asyncio.to_thread(update))
    finally:
        await _interrupt(ray, waiting)
    return lost


def _share_of_budget(job: CollectionJob, n_shards: int) -> float | None:
    if job.budget.limit_usd is None:
        return None
    return max(job.budget.limit_usd - job.budget.spent_usd, 0.0) / n_shards


def _summarise(progress: MemberProgress, results: Sequence[Collected]) -> None:
    """Adds up the pieces of one member."""
    states: list[str] = []
    progress.done = 0
    for result in results:
        for piece in result.members:
            if piece.member != progress.member:
                continue
            progress.done += piece.done
            progress.failed += piece.failed
            progress.add_cost(piece.cost_usd)
            if piece.state not in ("done", *states):
                states.append(piece.state)
    if not states and progress.left:
        states = ["stopped"]
    progress.end("; ".join(states) or "done")


async def _interrupt(ray: Any, waiting: Sequence[Any]) -> None:
    """Interrupts pieces as Ctrl-C does: replies that have arrived there are kept.

    Repeated while a piece runs on: an interrupt that arrives inside a callback of another library can get
    lost there.
    """
    for _ in range(_INTERRUPTS):
        if not waiting:
            return
        for reference in waiting:
            ray.cancel(reference)
        _, waiting = await asyncio.to_thread(
            ray.wait, list(waiting), num_returns=len(waiting), timeout=_INTERRUPT_S
        )


class _Board:
    """Replies of each piece; it runs beside the pieces, so that progress asks nothing of the store."""

    def __init__(self) -> None:
        self._done: dict[int, int] = {}

    def report(self, piece: int, done: int) -> None:
        self._done[piece] = done

    def read(self) -> dict[int, int]:
        return self._done


@dataclass(frozen=True, kw_only=True)
class _Report:
    """Progress of one piece, reported to the board."""

    board: Any
    piece: int

    def __call__(self, members: Sequence[MemberProgress]) -> None:
        self.board.report.remote(self.piece, members[0].done)


def _collect_shard(
    shard: Shard, url: str, settings: Settings, allowed_usd: float | None, report: _Report
) -> Collected:
    """Collects one piece; runs on a machine of the cluster."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A cluster that was started in the background ignores interrupts, and with them the end of a piece.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with open_store(url) as store:
        job = CollectionJob(
            store=store,
            members=[described_member(shard.member, shard.spec)],
            queries=shard.queries,
            settings=settings,
            budget=Budget(allowed_usd, 0.0),
            stop=asyncio.Event(),
            progress=report,
        )
        return asyncio.run(collect_locally(job))


def _results(ray: Any, references: Sequence[Any]) -> list[Collected]:
    """Returns the results of the pieces that were not cancelled."""
    results = []
    for reference in references:
        result = _result(ray, reference)
        if result is not None:
            results.append(result)
    return results


def _result(ray: Any, reference: Any) -> Collected | None:
    """Returns the result of a piece; None when it was cancelled."""
    try:
        return ray.get(reference)  # type: ignore[no-any-return]
    except ray.exceptions.TaskCancelledError:
        return None
    except ray.exceptions.RayTaskError as error:
        raise error.as_instanceof_cause() from None


def _update(
    ray: Any, board: Any, shards: Sequence[Shard], shown: Sequence[MemberProgress]
) -> Sequence[MemberProgress]:
    """Updates the display from the reports of the pieces; one that has not begun counts as nothing."""
    done = ray.get(board.read.remote())
    for progress in shown:
        progress.done = 0
        for i, shard in enumerate(shards):
            if shard.member == progress.member:
                progress.done += done.get(i, 0)
    return shown


def split_member(member: PoolMember, queries: Sequence[QueryRecord], n_pieces: int) -> list[Shard]:
    """Returns the member's work in pieces; their concurrency and rate add up to the member's own.

    Args:
        member: The member.
        queries: Its queries.
        n_pieces: Number of pieces wanted; fewer where the member permits fewer calls at a time, or there are
            fewer queries.
    """
    n = max(min(n_pieces, member.spec.max_concurrency, len(queries)), 1)
    shards = []
    for i in range(n):
        spec = share_of_limits(member.spec, n, i)
        shards.append(Shard(member=member.name, spec=spec, queries=tuple(queries[i::n])))
    return shards


def share_of_limits(spec: MemberSpec, n: int, i: int) -> MemberSpec:
    """Returns a member's entry with the share of its limits that the i-th of n workers has.

    The last worker has no more than the others.
    """
    rate = spec.requests_per_second
    if rate is not None:
        rate /= n
    share = spec.max_concurrency // n + (i < spec.max_concurrency % n)
    return spec.model_copy(update={"max_concurrency": share, "requests_per_second": rate})
