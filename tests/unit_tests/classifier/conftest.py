import pytest

from langchain_selectllm import SelectLLMClassifier


@pytest.fixture(scope="session")
def freshly_fitted(demo):
    """The classifier `fitted`, fitted in this process instead of loaded."""
    return SelectLLMClassifier().fit(demo[0])
