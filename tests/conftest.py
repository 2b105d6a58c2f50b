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
