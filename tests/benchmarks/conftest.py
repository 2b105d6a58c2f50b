import numpy as np
import pytest

from langchain_selectllm import SelectLLMClassifier
from tests.support.worlds import score_table

WORDS = [f"word{i}" for i in range(4000)]


@pytest.fixture(scope="session")
def classifier():
    """Eight members, 2000 training queries of 80 words from a vocabulary of 4000."""
    rng = np.random.default_rng(0)
    table = score_table(rng.random((2000, 8)).round())
    object.__setattr__(table, "texts", tuple(" ".join(rng.choice(WORDS, 80)) for _ in range(2000)))
    return SelectLLMClassifier().fit(table)
