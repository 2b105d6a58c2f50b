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


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread():
    """Small models gain nothing from a second thread, and lose much where other work runs beside them."""
    import torch

    torch.set_num_threads(1)
