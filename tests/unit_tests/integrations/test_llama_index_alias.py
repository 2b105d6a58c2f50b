"""The alias distribution `llama-index-llms-selectllm`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.newest
ROOT = Path(__file__).parents[3]
ALIAS = ROOT / "packaging/llama-index-llms-selectllm"


def test_the_alias_exports_the_same_classes():
    code = (
        "from llama_index.llms import selectllm\n"
        "from langchain_selectllm.integrations import llama_index as own\n"
        "assert all(getattr(selectllm, name) is getattr(own, name) for name in own.__all__)\n"
        "assert selectllm.__all__ == own.__all__\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{ALIAS}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_alias_leaves_the_namespace_to_llama_index():
    # An __init__.py there would hide the other integrations.
    assert not (ALIAS / "llama_index/__init__.py").exists()
    assert not (ALIAS / "llama_index/llms/__init__.py").exists()
