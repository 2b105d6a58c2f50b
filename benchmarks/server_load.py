"""Load on the server: added latency, saturated rate, rate by concurrency, memory, cancellation.

Usage: python benchmarks/server_load.py [--requests 100000] [--seconds 20] [--write docs/how-to/serve-over-http.md]

Server and load run in two processes, where there are two cores each on its own. The server has three scripted members
and all of its own layers (key, limits, metrics); the load is a bare HTTP/1.1 client over asyncio streams, so that the
client takes little of the machine. Every request has another prompt. Latencies at a given rate are counted from the
time at which a request was due, not from the time at which a busy client got round to it. Added latency is the
difference of the same quantile between the server and an application of the same framework that only sleeps as long as
a member, asked by the same client in turn.
"""

# ruff: noqa: ASYNC220, ASYNC240

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from load_servers import KEY, MEMBERS
from markers import read_section, write_section

_NUMBERS = itertools.count()


def request() -> bytes:
    """A request with a prompt that no other has."""
    n = next(_NUMBERS)
    content = f"What is {n % 89 + 11} * {n + 1000:,}?"
    body = json.dumps({"model": "selectllm", "messages": [{"role": "user", "content": content}]})
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


def cores() -> list[int]:
    """Cores that this process may use, ascending; none where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return []


SERVER_CORE = "any"
"""Core of the servers; the load runs on the others. "any" where there is one core only."""
if len(cores()) > 1:
    SERVER_CORE = str(cores()[-1])
    os.sched_setaffinity(0, cores()[:-1])


class Connection:
    """One kept-alive connection to the server."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def send(self) -> None:
        """Send a request without waiting for its answer."""
        self._writer.write(request())
        await self._writer.drain()

    async def ask(self) -> None:
        """Send a request and read its answer."""
        await self.send()
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await self._reader.readexactly(int(length))

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()


@dataclass(kw_only=True)
class Server:
    """The server process."""

    delay_s: float
    slots: int = 64
    kind: str = "router"
    """"router", or "bare" for the application that only sleeps."""
    log: str = field(default_factory=lambda: tempfile.mkstemp()[1])

    async def __aenter__(self) -> Self:
        self.port = _free_port()
        arguments = [self.kind, str(self.port), str(self.delay_s), str(self.slots), self.log, SERVER_CORE]
        script = Path(__file__).with_name("load_servers.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), *arguments], env=os.environ, stderr=subprocess.DEVNULL
        )
        for _ in range(600):
            connection = Connection(self.port)
            try:
                await connection.open()
            except OSError:
                await asyncio.sleep(0.1)
                continue
            await connection.ask()
            await connection.close()
            return self
        raise RuntimeError("The server did not start.")

    async def __aexit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def memory_mib(self) -> float:
        """Resident memory of the process."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("The memory of the process is not known here.")

    def cpu_s(self) -> float:
        """Processor time of the process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def connections(self, n: int) -> list[Connection]:
        """Open connections."""
        opened = [Connection(self.port) for _ in range(n)]
        for connection in opened:
            await connection.open()
        return opened


def _free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def at_rate(server: Server, rate: float, seconds: float) -> list[float]:
    """Latency in seconds of each request, sent at a fixed rate whether or not earlier ones are answered."""
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in await server.connections(200):
        idle.put_nowait(connection)
    latencies: list[float] = []
    start = time.perf_counter() + 0.5

    async def one(due: float) -> None:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        connection = await idle.get()
        await connection.ask()
        latencies.append(time.perf_counter() - due)
        idle.put_nowait(connection)

    await asyncio.gather(*[one(start + i / rate) for i in range(int(rate * seconds))])
    while not idle.empty():
        await idle.get_nowait().close()
    return latencies


async def closed_loop(server: Server, in_flight: int, n: int) -> float:
    """Requests per second with so many in flight at all times."""
    connections = await server.connections(in_flight)
    left = iter(range(n))

    async def keep_asking(connection: Connection) -> None:
        for _ in left:
            await connection.ask()

    start = time.perf_counter()
    await asyncio.gather(*map(keep_asking, connections))
    elapsed = time.perf_counter() - start
    for connection in connections:
        await connection.close()
    return n / elapsed


async def added_latency(options: argparse.Namespace) -> dict[str, float]:
    """What the server adds to members of 200 ms at 100 requests per second."""
    bare: list[float] = []
    routed: list[float] = []
    async with Server(delay_s=0.2, kind="bare") as sleeper, Server(delay_s=0.2) as server:
        for one in (sleeper, server):
            await at_rate(one, 100, 2)
        # In turns, so that the load of the machine meets both.
        for _ in range(4):
            bare += await at_rate(sleeper, 100, options.seconds / 4)
            routed += await at_rate(server, 100, options.seconds / 4)
    figures: dict[str, float] = {}
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        alone, whole = 1000 * (quantile(bare, share) - 0.2), 1000 * (quantile(routed, share) - 0.2)
        figures[f"added {name}, ms"] = whole - alone
        figures[f"{name} over 200 ms, application that only sleeps, ms"] = alone
        figures[f"{name} over 200 ms, server, ms"] = whole
    return figures


def quantile(latencies: Sequence[float], share: float) -> float:
    """The latency that a share of the requests stays within."""
    return sorted(latencies)[int(share * len(latencies))]


async def saturated(options: argparse.Namespace) -> dict[str, float]:
    """The rate at which one worker is busy, with members of 200 ms and 256 slots."""
    async with Server(delay_s=0.2, slots=256) as server:
        await closed_loop(server, 256, 1000)
        return {"saturated, requests/s": await closed_loop(server, 256, int(150 * options.seconds))}


async def by_concurrency(options: argparse.Namespace) -> dict[str, float]:
    """The rates with 16 and with 64 requests in flight, members that reply at once; both twice, in turn."""
    rates: dict[int, list[float]] = {16: [], 64: []}
    async with Server(delay_s=0.0) as server:
        await closed_loop(server, 16, 1000)
        cpu_s, n = server.cpu_s(), int(75 * options.seconds)
        for in_flight in (16, 64, 16, 64):
            rates[in_flight].append(await closed_loop(server, in_flight, n))
        cpu_ms = 1000 * (server.cpu_s() - cpu_s) / (4 * n)
    few, many = statistics.mean(rates[16]), statistics.mean(rates[64])
    return {
        "processor time per request, ms": cpu_ms,
        "16 in flight, requests/s": few,
        "64 in flight, requests/s": many,
        "64 in flight, share of 16": many / few,
    }


async def memory(options: argparse.Namespace) -> dict[str, float]:
    """Growth of resident memory, after 5,000 requests that fill the caches."""
    async with Server(delay_s=0.0) as server:
        await closed_loop(server, 16, 5000)
        before = server.memory_mib()
        await closed_loop(server, 16, options.requests)
        after = server.memory_mib()
    return {"memory at first, MiB": before, "memory growth": after / before - 1, "requests": options.requests}


async def cancellation(options: argparse.Namespace) -> dict[str, float]:
    """Seconds from a hang-up to the cancellation of the last of three members, at worst of 50."""
    del options
    worst = []
    async with Server(delay_s=5.0) as server:
        for _ in range(50):
            Path(server.log).write_text("")
            (connection,) = await server.connections(1)
            await connection.send()
            await asyncio.sleep(0.05)
            hung_up = time.monotonic()
            await connection.close()
            cancelled: list[float] = []
            while len(cancelled) < len(MEMBERS):
                await asyncio.sleep(0.005)
                cancelled = [float(line) for line in Path(server.log).read_text().split()]
            worst.append(max(cancelled) - hung_up)
    return {
        "cancelled after, ms (median)": 1000 * statistics.median(worst),
        "at worst, ms": 1000 * max(worst),
    }


MEASUREMENTS: dict[str, Callable[[argparse.Namespace], Awaitable[dict[str, float]]]] = {
    "latency": added_latency,
    "saturated": saturated,
    "concurrency": by_concurrency,
    "cancellation": cancellation,
    "memory": memory,
}
TARGETS: dict[str, tuple[str, float]] = {
    "added p50, ms": ("<=", 5),
    "added p99, ms": ("<=", 25),
    "saturated, requests/s": (">=", 400),
    "64 in flight, share of 16": (">=", 0.8),
    "memory growth": ("<=", 0.05),
    "at worst, ms": ("<=", 250),
}
_UNITS = ("| measure | figure | target |", "|---|---:|---:|")


async def measure(options: argparse.Namespace) -> dict[str, float]:
    """The chosen measurements, one after the other."""
    figures: dict[str, float] = {}
    for name in options.only or MEASUREMENTS:
        figures |= await MEASUREMENTS[name](options)
        print(json.dumps(figures), file=sys.stderr)
    return figures


def table(figures: dict[str, float]) -> str:
    """The figures as a Markdown table beside the targets, with those that were missed."""
    lines = list(_UNITS)
    for name, figure in figures.items():
        lines.append(f"| {name} | {figure:,.2f} | {_target(name, figure)} |")
    return "\n".join(lines)


def _target(name: str, figure: float) -> str:
    if name not in TARGETS:
        return ""
    relation, bound = TARGETS[name]
    missed = figure > bound
    if relation == ">=":
        missed = figure < bound
    if missed:
        return f"{relation} {bound:g}, missed"
    return f"{relation} {bound:g}"


def figures_of(text: str) -> dict[str, float]:
    """The figures of a section that was written before."""
    figures = {}
    for line in text.splitlines():
        if line.startswith("|") and line not in _UNITS:
            _, name, figure, *_ = line.split("|")
            figures[name.strip()] = float(figure.replace(",", ""))
    return figures


def conditions(options: argparse.Namespace, before: float) -> str:
    """The sentence about the run below the table."""
    where = "one core, shared with the load"
    if SERVER_CORE != "any":
        where = "a core of its own"
    return (
        f"{options.seconds:g} s per measure; the server on {where}; load average of the machine {before:.1f} "
        f"before and {os.getloadavg()[0]:.1f} after the run."
    )


def main() -> None:
    """Measure, print, and write the section of a page; figures that are not measured again stay in it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000, help="requests of the memory measurement")
    parser.add_argument("--seconds", type=float, default=20.0, help="rough length of the other ones")
    parser.add_argument("--only", nargs="*", choices=MEASUREMENTS)
    parser.add_argument("--write", type=Path, help="page with the section server-load")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    figures = asyncio.run(measure(options))
    text = conditions(options, before)
    print(table(figures), text, sep="\n\n")
    if options.write is None:
        return
    kept: dict[str, float] = {}
    if options.only:
        kept = figures_of(read_section(options.write, "server-load"))
    write_section(options.write, "server-load", table(kept | figures) + "\n\n" + text)


if __name__ == "__main__":
    main()
