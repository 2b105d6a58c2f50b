"""What every script of this folder shares: the exchange folder, one process's measurements, and where they are written.

It runs inside the environments of other packages, so it needs nothing but the standard library (and numpy for
embeddings), and knows nothing of the package that it stands beside.
"""

import argparse
import asyncio
import importlib
import inspect
import json
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

WARM_UP = 20
"""Decisions before those that are timed."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a system did with one prompt."""

    calls: list[str]
    """Members called, one entry a call."""
    winner: str
    """The member whose reply is returned."""


Choose = Callable[[str], Choice | Awaitable[Choice]]


@dataclass(frozen=True)
class Exchange:
    """Training and test queries of one split as plain files; the scores of the test side are not among them."""

    folder: Path

    @cached_property
    def pool(self) -> Mapping[str, Any]:
        """`members`, their `mean_costs` and `accuracies` in training, the `encoder` folder, the kind of `answer`."""
        return json.loads((self.folder / "pool.json").read_text(encoding="utf-8"))

    @property
    def members(self) -> list[str]:
        """Names of the members, in the order of every list of scores, costs and replies."""
        return self.pool["members"]

    @cached_property
    def train(self) -> list[dict[str, Any]]:
        """`query_id`, `text`, `category`, `reference`, `answer_type`, `scores` and `costs` of every training query."""
        return _lines(self.folder / "train.jsonl")

    @cached_property
    def test(self) -> list[dict[str, Any]]:
        """`query_id` and `text` of every test query."""
        return _lines(self.folder / "test.jsonl")

    def replies(self, side: str) -> list[dict[str, Any]]:
        """`query_id`, and the `replies` of all members with the `answers` read from them; `side` is train or test."""
        return _lines(self.folder / f"{side}_replies.jsonl")

    def embeddings(self, side: str) -> Any:
        """Embeddings of unit length, (n, 384), in the order of the queries."""
        import numpy as np

        return np.load(self.folder / f"{side}_embeddings.npy")

    def known_embeddings(self) -> dict[str, Any]:
        """Embedding by text, of both sides."""
        known = {}
        for side, queries in (("train", self.train), ("test", self.test)):
            known.update(zip([query["text"] for query in queries], self.embeddings(side), strict=True))
        return known

    def strongest_first(self) -> list[str]:
        """Members by descending accuracy in training."""
        accuracies = dict(zip(self.members, self.pool["accuracies"], strict=True))
        return sorted(self.members, key=lambda name: -accuracies[name])


def _lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class Run:
    """One process: its arguments, its import, and the systems that it trains, asks and times."""

    def __init__(self) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("exchange", type=Path)
        parser.add_argument("out", type=Path, help="folder for choices.jsonl and figures.json")
        parser.add_argument("systems", nargs="+")
        parser.add_argument("--prompts", type=int, default=0, help="number of decisions that are timed")
        self.given = parser.parse_args()
        self.exchange = Exchange(self.given.exchange)
        self.encoder: Any = None
        """Has `live`: whether prompts are embedded when asked for, or looked up; and `seconds`, what embedding took."""
        self._import_s = 0.0
        self._systems: dict[str, dict[str, Any]] = {}
        self._lines: list[str] = []

    def imported(self, *names: str) -> list[ModuleType]:
        """The modules; what importing them takes counts as the package's import time."""
        start = time.perf_counter()
        modules = [importlib.import_module(name) for name in names]
        self._import_s += time.perf_counter() - start
        return modules

    def measure(
        self,
        system: str,
        train: Callable[[], Choose],
        *,
        decide: Callable[[str], Any] | None = None,
        shared_s: float = 0.0,
    ) -> float:
        """Train, ask for every test query with embeddings looked up, then time decisions about single prompts.

        Args:
            system: Name of the system.
            train: Trains and returns what chooses a member (or calls several and votes) for one text.
            decide: What is timed as the decision; the choice itself when None.
            shared_s: Seconds of training that an earlier system of this process took for this one as well.

        Returns:
            Seconds of its training.
        """
        start = time.perf_counter()
        choose = train()
        training_s = shared_s + time.perf_counter() - start
        texts = [query["text"] for query in self.exchange.test]
        choices, choice_s = _ask(choose, texts)
        for query, choice in zip(self.exchange.test, choices, strict=True):
            line = {"system": system, "query_id": query["query_id"], **asdict(choice)}
            self._lines.append(json.dumps(line))
        figures = {"training_s": training_s, "choice_s": choice_s}
        if self.given.prompts:
            figures |= self._time(decide or choose, texts[: self.given.prompts])
        self._systems[system] = figures
        return training_s

    def _time(self, decide: Choose, texts: Sequence[str]) -> dict[str, list[float]]:
        if self.encoder is not None:
            self.encoder.live = True
        _ask(decide, texts[:WARM_UP])
        if self.encoder is not None:
            self.encoder.seconds.clear()
        _, seconds = _ask(decide, texts)
        figures = {"decision_s": seconds}
        if self.encoder is not None:
            figures["encoder_s"] = list(self.encoder.seconds)
            self.encoder.live = False
        return figures

    def finish(self) -> None:
        """Write choices and figures."""
        self.given.out.mkdir(parents=True, exist_ok=True)
        (self.given.out / "choices.jsonl").write_text("\n".join(self._lines) + "\n", encoding="utf-8")
        figures = {
            "import_s": self._import_s,
            "peak_mib": peak_mib(),
            "systems": self._systems,
        }
        (self.given.out / "figures.json").write_text(json.dumps(figures), encoding="utf-8")
        for name, system in self._systems.items():
            seconds = system.get("decision_s") or system["choice_s"]
            print(
                f"{name}: trained in {system['training_s']:.1f} s, {1000 * statistics.median(seconds):.2f} ms"
            )


def _ask(choose: Choose, texts: Sequence[str]) -> tuple[list[Any], list[float]]:
    """Choices and the seconds of each, one prompt at a time."""
    if inspect.iscoroutinefunction(choose):
        return asyncio.run(_ask_async(choose, texts))
    choices, seconds = [], []
    for text in texts:
        start = time.perf_counter()
        choices.append(choose(text))
        seconds.append(time.perf_counter() - start)
    return choices, seconds


async def _ask_async(
    choose: Callable[[str], Awaitable[Any]], texts: Sequence[str]
) -> tuple[list[Any], list[float]]:
    choices, seconds = [], []
    for text in texts:
        start = time.perf_counter()
        choices.append(await choose(text))
        seconds.append(time.perf_counter() - start)
    return choices, seconds


def peak_mib() -> float:
    """Peak memory of this process in MiB; `ru_maxrss` would be that of the driver, which started it, if that is larger."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert peak is not None
    return int(peak[1]) / 1024
