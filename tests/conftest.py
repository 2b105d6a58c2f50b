import os
from pathlib import Path

import pytest

from langchain_selectllm import SelectLLMClassifier
from tests.worlds import demo_table


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """Generated outcomes of five simulated members, split by query."""
    return demo_table(tmp_path_factory.mktemp("demo"), n_queries=400).split(0.3, seed=0)


@pytest.fixture(scope="session")
def fitted(demo):
    """A classifier fitted on the training side; never changed by a test."""
    return SelectLLMClassifier().fit(demo[0])


@pytest.fixture(scope="session")
def data():
    """Folder of recorded outcomes of real models; the tests that need it skip where it is absent."""
    folder = Path(os.environ.get("SELECTLLM_DATA", "../shared/data"))
    if not (folder / "mmlu_pro" / "queries.jsonl.gz").is_file():
        pytest.skip(f"no recorded outcomes in {folder} (set SELECTLLM_DATA to their folder)")
    return folder
