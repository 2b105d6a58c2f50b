import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data():
    """Folder of recorded outcomes of real models; the tests that need it skip where it is absent."""
    folder = Path(os.environ.get("SELECTLLM_DATA", "../shared/data"))
    if not (folder / "mmlu_pro" / "queries.jsonl.gz").is_file():
        pytest.skip(f"no recorded outcomes in {folder} (set SELECTLLM_DATA to their folder)")
    return folder
