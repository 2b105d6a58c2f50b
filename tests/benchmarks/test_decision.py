"""Time from text to selection; printed, never asserted."""

import time

import numpy as np
import pytest

from langchain_selectllm.routing.decision import decide_all
from langchain_selectllm.selection.policy_names import parse_policy
from tests.benchmarks.conftest import WORDS

pytestmark = pytest.mark.measurement


def median_ms(call, repeat=300):
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def test_decision(classifier):
    rng = np.random.default_rng(1)
    policy = parse_policy("weighted_max_conf:3")
    texts = iter([" ".join(rng.choice(WORDS, 80)) for _ in range(300)])
    print(
        f"\ndecision, lexical, 8 members, 80 words: {median_ms(lambda: decide_all(classifier, policy, [next(texts)])):.2f} ms median"
    )
