"""One run over a file of prompts in a process of its own, so that its peak memory can be read: prints a line of JSON.

Usage: python benchmarks/wide_run.py route ROUTER INPUT OUTPUT [--cores N]
       python benchmarks/wide_run.py answer ROUTER INPUT OUTPUT --pool POOL --store URL [--cores N]

Without `--cores` the work is done in this process, with it on a local Ray cluster of so many cores.
"""

import argparse
import asyncio
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

POLICY = "weighted_max_conf:2"


def main() -> None:
    """Run, and print lines, seconds and peak memory of this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("route", "answer"))
    parser.add_argument("router", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--store")
    parser.add_argument("--cores", type=int)
    given = parser.parse_args()
    if given.cores:
        start_cluster(given.cores)
    marks: list[tuple[float, int]] = []
    start, cpu = time.perf_counter(), time.process_time()
    work = {"route": route, "answer": answer}[given.kind]
    work(given, lambda n_lines: marks.append((time.perf_counter() - start, n_lines)))
    (first_s, first_lines), (last_s, last_lines) = marks[0], marks[-1]
    print(
        json.dumps(
            {
                "lines": last_lines,
                "seconds": time.perf_counter() - start,
                "first_s": first_s,
                "rate": (last_lines - first_lines) / max(last_s - first_s, 1e-9),
                "cpu_s": time.process_time() - cpu,
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
            }
        )
    )


def start_cluster(cores: int) -> None:
    """Start a Ray cluster on this machine, before the time is taken."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, configure_logging=False)


def route(given: argparse.Namespace, on_progress: Callable[[int], None]) -> None:
    """Decide for the file."""
    from langchain_selectllm import SelectLLMClassifier
    from langchain_selectllm.integrations.route_on_ray import RayDecider
    from langchain_selectllm.routing.route_file import Decider, route_file
    from langchain_selectllm.selection.policy_names import parse_policy

    policy = parse_policy(POLICY)
    decider = Decider(classifier=SelectLLMClassifier.from_pretrained(given.router), policy=policy)
    engine = RayDecider(router=given.router, policy=policy) if given.cores else None
    route_file(decider, given.source, given.target, engine=engine, on_progress=on_progress)


def answer(given: argparse.Namespace, on_progress: Callable[[int], None]) -> None:
    """Answer the file."""
    from langchain_selectllm.integrations.answer_file import answer_file

    asyncio.run(
        answer_file(
            given.router,
            given.pool,
            given.source,
            given.target,
            given.store,
            policy=POLICY,
            engine="ray" if given.cores else "local",
            block_lines=100,
            on_progress=on_progress,
        )
    )


if __name__ == "__main__":
    main()
