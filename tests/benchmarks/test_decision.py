"""Time from text to selection; printed, never asserted."""

import numpy as np
import pytest

from langchain_selectllm.routing.decision import decide_all
from langchain_selectllm.selection.policy_names import parse_policy
from tests.benchmarks.conftest import WORDS
from tests.support.timing import median_ms

pytestmark = pytest.mark.measurement


def test_decision(classifier):
    rng = np.random.default_rng(1)
    policy = parse_policy("weighted_max_conf:3")
    texts = iter([" ".join(rng.choice(WORDS, 80)) for _ in range(300)])
    print(
        f"\ndecision, lexical, 8 members, 80 words: {median_ms(lambda: decide_all(classifier, policy, [next(texts)])):.2f} ms median"
    )
