"""Time from text to selection; printed, never asserted."""

import time

import numpy as np
import pytest

from langchain_selectllm import SelectLLMClassifier, SelectLLMRouter, VotingOutputParser
from langchain_selectllm.catalogue import parse_policy
from langchain_selectllm.decision import decide_all
from langchain_selectllm.testing import ReplayChatModel
from tests.worlds import score_table

pytestmark = pytest.mark.benchmark
WORDS = [f"word{i}" for i in range(4000)]


@pytest.fixture(scope="module")
def classifier():
    """Eight members, 2000 training queries of 80 words from a vocabulary of 4000."""
    rng = np.random.default_rng(0)
    table = score_table(rng.random((2000, 8)).round())
    object.__setattr__(table, "texts", tuple(" ".join(rng.choice(WORDS, 80)) for _ in range(2000)))
    return SelectLLMClassifier().fit(table)


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


def test_router_overhead(classifier):
    models = {name: ReplayChatModel(model=name, default="The answer is (A).") for name in classifier.members}
    parser = VotingOutputParser(answer="choice")
    router = SelectLLMRouter(classifier=classifier, models=models, policy="all_members", parser=parser, early_stop=False)
    alone, routed = median_ms(lambda: models["m0"].invoke("x")), median_ms(lambda: router.invoke("x"))
    print(
        f"\nrouter over 8 members without latency: {routed:.2f} ms, one member alone {alone:.2f} ms: {routed / alone:.1f} times"
    )
