"""The whole job in one go: split, train, evaluate, route. Usage: python cookbook/demo.py [FOLDER_OF_OUTCOMES]."""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from langchain_selectllm.outcomes.simulated import write_demo_outcomes

MEMBERS = (
    "Phi-3-mini-4k-instruct,mathstral-7B,Meta-Llama-3_1-8B-Instruct,Mixtral-8x7B-Instruct-v0.1,"
    "Yi-34B,c4ai-command-r-v01,Meta-Llama-3-8B,gemma-7b"
)


def selectllm(*arguments: str) -> None:
    """Run one command as a user would type it."""
    print(f"\n$ selectllm {shlex.join(arguments)}", flush=True)
    subprocess.run([Path(sys.executable).with_name("selectllm"), *arguments], check=True)


def main(given: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="selectllm-demo-") as scratch:
        recorded = given is not None and given.is_dir()
        outcomes = given if recorded else Path(scratch, "outcomes")
        members = ["--members", MEMBERS] if recorded else []
        if not recorded:
            print(
                f"No recorded outcomes at {given}: generating a small data set with five simulated members."
            )
            write_demo_outcomes(outcomes)
        train, test, router = (str(Path(scratch, name)) for name in ("train", "test", "router"))
        selectllm("split", str(outcomes), train, test, "--test", "0.3", "--seed", "0")
        selectllm("train", train, *members, "--out", router)
        selectllm("evaluate", router, test, "--policy", "weighted_max_conf", "--policy", "fixed_best")
        selectllm("route", router, "What is 17 * 23?")
        selectllm("inspect", router)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
