"""CPU time of one `invoke` and of concurrent `ainvoke`s by stage: table and picture of docs/explanation/profile.md.

Usage: python benchmarks/profile_requests.py [--router FOLDER] [--json FILE] [--before FILE] [--write docs/explanation/profile.md]

CPU time leaves out the latency of the members and most of what other processes do. `--json` keeps the figures of this
state of the code for a later `--before`. `--router` names a classifier of eight members; one is trained when not given.
"""

import argparse
import asyncio
import gc
import json
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from markers import write_section
from performance import machine, train
from performance_cases import PROMPT, router_of

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm.classifier.fitted import Learned
from langchain_selectllm.routing import engine, request
from langchain_selectllm.routing.election import Election
from langchain_selectllm.routing.engine import Engine

POLICY = "weighted_max_conf:8"
CONCURRENT = 1_000
ALONE = 100
"""Requests of one turn, one after the other."""
TURNS = 3
CALLS = "the members' own calls"
REST = "the rest: runs, contexts and callbacks, tasks or threads"
COLOURS = {
    CALLS: "#9ca3af",
    "decide: encode": "#0b6e4f",
    "decide: probabilities": "#3a9d7c",
    "decide: select": "#8fd0b8",
    "prepare: election, plan, scope": "#c8963e",
    "read": "#8c5e9e",
    "vote": "#4a6fa5",
    "message": "#a3bde0",
    REST: "#d97757",
}
"""Stages in the order of the bars."""

Figures = dict[str, dict[str, float]]
"""Milliseconds of CPU time per request: by kind of request, then by stage."""


class Stopwatch:
    """CPU seconds of functions by stage; one that runs within another counts for its own stage only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner: dict[int, list[float]] = defaultdict(list)

    def watch(self, stage: str, owner: Any, *names: str) -> None:
        """Time methods of a class, or functions of a module, from now on."""
        for name in names:
            setattr(owner, name, self._timed(stage, getattr(owner, name)))

    def _timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        def timed(*args: Any, **kwargs: Any) -> Any:
            inner = self._inner[threading.get_ident()]
            inner.append(0.0)
            start = time.thread_time()
            try:
                return work(*args, **kwargs)
            finally:
                took = time.thread_time() - start
                self.seconds[stage] += took - inner.pop()
                if inner:
                    inner[-1] += took

        return timed


def measure(classifier: SelectLLMClassifier) -> Figures:
    """Figures of requests one after the other, and of concurrent ones."""
    still, slow = (router_of(classifier, POLICY, delay_s) for delay_s in (0.0, 0.02))
    watch = Stopwatch()
    watch.watch("decide: encode", type(classifier.learned.encoder), "encode", "novelty")
    watch.watch("decide: probabilities", Learned, "probabilities")
    watch.watch("decide: select", engine, "decide_all")
    watch.watch("prepare: election, plan, scope", Engine, "_bounded", "open_election", "plan")
    watch.watch("prepare: election, plan, scope", request, "child_scope")
    watch.watch("read", Election, "add")
    watch.watch("vote", Election, "request_judge", "tally", "is_settled", "next_round")
    watch.watch("message", Engine, "merge")

    def one_by_one(models: list[Any]) -> None:
        for _ in range(ALONE):
            for model in models:
                model.invoke(PROMPT)

    def at_once(models: list[Any]) -> None:
        async def gathered() -> None:
            await asyncio.gather(*(model.ainvoke(PROMPT) for _ in range(CONCURRENT) for model in models))

        asyncio.run(gathered())

    return {
        "one `invoke`": _stages(watch, still, one_by_one, ALONE),
        f"{CONCURRENT:,} concurrent `ainvoke`s": _stages(watch, slow, at_once, CONCURRENT),
    }


def _stages(watch: Stopwatch, router: Any, work: Callable[[list[Any]], None], n: int) -> dict[str, float]:
    """Medians over turns of the requests and of the same member calls without a router."""
    members = [member.model for member in router.models.values()]
    turns: list[dict[str, float]] = []
    for _ in range(TURNS + 1):
        calls = _cpu_s(lambda: work(members))
        watch.seconds.clear()
        total = _cpu_s(lambda: work([router]))
        rest = total - calls - sum(watch.seconds.values())
        turns.append({CALLS: calls, **watch.seconds, REST: rest})
    # The first turn warms up.
    return {
        stage: 1e3 * statistics.median(turn.get(stage, 0.0) for turn in turns[1:]) / n for stage in COLOURS
    }


def _cpu_s(work: Callable[[], None]) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def table(now: Figures, before: Figures | None) -> str:
    """All stages as Markdown; with the earlier figures where there are any."""
    columns = {}
    for kind, stages in now.items():
        if before is not None:
            columns[f"{kind}, before"] = before[kind]
        columns[f"{kind}, now" if before is not None else kind] = stages
    totals = [sum(column.values()) for column in columns.values()]
    rows = {stage: [column[stage] for column in columns.values()] for stage in COLOURS}
    rows["all"] = totals
    rows["all, over the members' own calls"] = [
        total / column[CALLS] for total, column in zip(totals, columns.values(), strict=True)
    ]
    lines = [f"| stage, ms of CPU time | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    lines += [
        f"| {name} | {' | '.join(f'{value:.2f}' for value in values)} |" for name, values in rows.items()
    ]
    return "\n".join(lines)


def draw(now: Figures, before: Figures | None, target: Path) -> None:
    """Plot one bar per kind of request and state of the code, of one piece per stage."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "profile", "font.size": 10, "svg.fonttype": "path"})
    bars = [
        (f"{kind.replace('`', '')}\n{state}", figures[kind])
        for kind in now
        for state, figures in (("before", before), ("now", now))
        if figures is not None
    ]
    figure, axes = plt.subplots(figsize=(8, 1.6 + 0.65 * len(bars)), facecolor="white")
    ends = [0.0] * len(bars)
    for stage, colour in COLOURS.items():
        widths = [max(stages[stage], 0.0) for _, stages in bars]
        axes.barh([label for label, _ in bars], widths, left=ends, color=colour, label=stage, height=0.6)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    axes.invert_yaxis()
    axes.set(xlabel="CPU time per request of 8 members, ms", ylabel="requests and state of the code")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="lower center", ncols=2, fontsize=9)
    figure.tight_layout(rect=(0, 1.2 / figure.get_figheight(), 1, 1))
    figure.savefig(target, metadata={"Date": None})


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--router", type=Path, help="folder of a classifier of eight members")
    parser.add_argument("--json", type=Path, help="file to keep the figures in")
    parser.add_argument("--before", type=Path, help="file of --json at an earlier state of the code")
    parser.add_argument("--write", type=Path, help="page to write; the picture goes into the .svg beside it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.router is None:
            train(Path(folder), 1_000, 8)
        now = measure(SelectLLMClassifier.from_pretrained(given.router or Path(folder, "router-1000x8")))
    before = json.loads(given.before.read_text()) if given.before else None
    text = f"{machine()}\n\n{table(now, before)}"
    print(text)
    if given.json:
        given.json.write_text(json.dumps(now, indent=1) + "\n")
    if given.write:
        write_section(given.write, "profile", text)
        draw(now, before, given.write.with_suffix(".svg"))


if __name__ == "__main__":
    main()
