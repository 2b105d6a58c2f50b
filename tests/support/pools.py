"""Recorded outcomes of real models that tests and benchmarks are run on."""

import os
from pathlib import Path

import pytest

EIGHT = [
    "Phi-3-mini-4k-instruct",
    "mathstral-7B",
    "Meta-Llama-3_1-8B-Instruct",
    "Mixtral-8x7B-Instruct-v0.1",
    "Yi-34B",
    "c4ai-command-r-v01",
    "Meta-Llama-3-8B",
    "gemma-7b",
]


def recorded_folder():
    """Folder of recorded outcomes; what needs it skips where it is absent."""
    folder = Path(os.environ.get("SELECTLLM_DATA", "../shared/data"))
    if not (folder / "mmlu_pro" / "queries.jsonl.gz").is_file():
        pytest.skip(f"no recorded outcomes in {folder} (set SELECTLLM_DATA to their folder)")
    return folder
