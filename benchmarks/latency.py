"""Latency at equal accuracy: replayed with stated distributions, and live on the embedded pool.

Usage: python benchmarks/latency.py DATA_FOLDER [--routers FOLDER] [--live 200] [--write docs/explanation/latency.md]

The recorded data hold no latency. Each call gets one from a log-normal distribution whose median grows with the
length of the reply and the size of the model, see the constants; the same draw serves every system.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from markers import write_section
from numpy.typing import NDArray

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.replay import Recording, Replay
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.policy_names import parse_policy

FIRST_TOKEN_S = 0.3
"""Median seconds to the first token, network included."""
TOKENS_PER_S = ((10, 100.0), (40, 60.0), (float("inf"), 30.0))
"""Median tokens per second of models of up to so many billion parameters; tokens = characters / 4."""
SPREAD = 0.4
"""Standard deviation of the logarithm of a call's latency: its 95th percentile is 1.9 times its median."""
DATA_SETS = {"gsm8k_solutions": "GSM8K", "mmlu_pro": "MMLU-Pro", "zeroeval": "ZeroEval"}
MARGIN = 0.0


def parameters(model: str) -> float:
    """Billions of parameters by the model's name; 70 where it names none, as API models do."""
    found = re.search(r"(?:(\d+)x)?(\d+(?:\.\d+)?)b", model.lower())
    if found is None:
        return 70.0
    return float(found[1] or 1) * float(found[2])


def draw_latencies(table: OutcomeTable, *, seed: int) -> NDArray[np.float64]:
    """Seconds of each call, (n, K)."""
    rng = np.random.default_rng(seed)
    seconds = np.empty(table.scores.shape)
    for k, member in enumerate(table.members):
        speed = next(speed for most, speed in TOKENS_PER_S if parameters(member) <= most)
        for i, replies in enumerate(table.replies[:, k]):
            characters = len(replies[0]) if replies else 0
            seconds[i, k] = FIRST_TOKEN_S + characters / 4 / speed
    return seconds * rng.lognormal(0.0, SPREAD, seconds.shape)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One system of one comparison; times in seconds, means over queries."""

    system: str
    accuracy: float
    against_all: tuple[float, float]
    """95 % interval of its accuracy minus that of all members."""
    calls: float
    parallel_s: float
    total_s: float


def replay(recording: Recording) -> list[Row]:
    """All members, the single best, and per family the fewest members that are as accurate as all of them."""
    everybody = recording.replay_policy("all_members", parse_policy("all_members"))
    bootstrap = Bootstrap(len(recording.outcomes), seed=0)
    rows = [_row(everybody, everybody, bootstrap)]
    rows.append(
        _row(recording.replay_policy("single_best", parse_policy("single_best")), everybody, bootstrap)
    )
    for family in ("fixed_best", "weighted_max_conf", "selectllm"):
        chosen = _first_as_accurate(recording, family, everybody)
        if chosen is not None:
            rows.append(_row(chosen, everybody, bootstrap))
    return rows


def _first_as_accurate(recording: Recording, family: str, reference: Replay) -> Replay | None:
    for size in range(1, len(recording.pool.members)):
        try:
            found = recording.replay_policy(f"{family}:{size}", parse_policy(f"{family}:{size}"))
        except PolicyError:
            continue
        if found.score.mean() >= reference.score.mean() - MARGIN:
            return found
    return None


def _row(one: Replay, everybody: Replay, bootstrap: Bootstrap) -> Row:
    return Row(
        system=one.name,
        accuracy=float(one.score.mean()),
        against_all=bootstrap.interval(one.score - everybody.score),
        calls=float(one.calls.mean()),
        parallel_s=float(one.latency_parallel_s.mean()),
        total_s=float(one.latency_total_s.mean()),
    )


def describe(title: str, rows: Sequence[Row], n: int) -> Iterator[str]:
    """A Markdown table; shares are relative to all members."""
    yield f"### {title}\n"
    yield f"{n:,} test queries.\n"
    yield "| system | accuracy | against all members [95 %] | calls | parallel | against all | total | against all |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    everybody = rows[0]
    for row in rows:
        low, high = row.against_all
        difference = f"{100 * (row.accuracy - everybody.accuracy):+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        yield (
            f"| {row.system} | {100 * row.accuracy:.1f} | {difference} | {row.calls:.2f} | {row.parallel_s:.2f} s "
            f"| {100 * (row.parallel_s / everybody.parallel_s - 1):+.0f} % | {row.total_s:.2f} s "
            f"| {100 * (row.total_s / everybody.total_s - 1):+.0f} % |"
        )
    yield ""


def replayed(data: Path, name: str, routers: Path) -> Iterator[str]:
    """One data set, its calls timed by the stated distribution."""
    train, test = OutcomeTable.from_folders(data / name).split(0.3, seed=0)
    router = routers / name
    if not router.exists():
        SelectLLMClassifier(seed=0).fit(train).save_pretrained(router)
    complete = test.take(np.flatnonzero(test.observed.all(axis=1)))
    timed = replace(complete, latencies=draw_latencies(complete, seed=0))
    recording = Recording.of(timed, SelectLLMClassifier.from_pretrained(router))
    yield from describe(
        f"{DATA_SETS[name]}, replayed, {len(train.members)} members", replay(recording), len(timed)
    )


def live(n_live: int) -> Iterator[str]:
    """The embedded pool: every system answers the same new prompts, one after the other, timed from outside."""
    from langchain_selectllm import SelectLLMRouter, VotingOutputParser
    from langchain_selectllm.embedded import embedded_models, generate_tasks, read_answer, sample_outcomes

    tasks = generate_tasks(400 + n_live, seed=0)
    models = embedded_models(seed=0)
    classifier = SelectLLMClassifier(seed=0).fit(
        OutcomeTable.from_records(*sample_outcomes(tasks[:400], models, n=5))
    )
    parser = VotingOutputParser(answer=read_answer)
    yield f"### Live, embedded pool, {len(models)} members\n"
    yield f"{n_live} new prompts, one after the other, one caller at a time; compare within the table only.\n"
    yield "| system | accuracy | calls | median to the answer | mean to the answer | against all |"
    yield "|---|---:|---:|---:|---:|---:|"
    reference = None
    for system in (
        "all_members",
        "single_best",
        "fixed_best:3",
        "weighted_max_conf:3",
        "selectllm:2",
        "selectllm:3",
    ):
        router = SelectLLMRouter(
            classifier=classifier, models=models, policy=system, parser=parser, early_stop=False
        )
        router.invoke(tasks[0].text)
        seconds, right, calls = [], [], []
        for task in tasks[400:]:
            start = time.perf_counter()
            metadata = router.invoke(task.text).response_metadata["selectllm"]
            seconds.append(time.perf_counter() - start)
            right.append(metadata["answer"] == task.reference)
            calls.append(len(metadata["answers"]))
        mean = float(np.mean(seconds))
        reference = reference or mean
        yield (
            f"| {system} | {100 * np.mean(right):.1f} | {np.mean(calls):.2f} | {1000 * np.median(seconds):.0f} ms "
            f"| {1000 * mean:.0f} ms | {100 * (mean / reference - 1):+.0f} % |"
        )
    yield ""


def main() -> None:
    """Replay, call the embedded pool, print the tables, write them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--routers", type=Path)
    parser.add_argument("--live", type=int, default=200)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in DATA_SETS:
            lines += replayed(given.data, name, given.routers or Path(temporary))
    lines += live(given.live)
    text = "\n".join(lines)
    print(text)
    if given.write is not None:
        write_section(given.write, "latency", text)


if __name__ == "__main__":
    main()
