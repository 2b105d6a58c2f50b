"""What a router adds to its slowest member, with eight members that reply at once; printed, never asserted."""

import asyncio
import time

import numpy as np
import pytest

from langchain_selectllm import SelectLLMRouter, VotingOutputParser
from langchain_selectllm.testing import ReplayChatModel

pytestmark = pytest.mark.measurement
PROMPT = "Is it (A) or (B)?"
TARGETS_MS = {"invoke": 4.0, "ainvoke": 3.0}


@pytest.fixture
def models(classifier):
    return {name: ReplayChatModel(model=name, default="The answer is (A).") for name in classifier.members}


@pytest.fixture
def router(classifier, models):
    parser = VotingOutputParser(answer="choice")
    return SelectLLMRouter(
        classifier=classifier, models=models, policy="all_members", parser=parser, early_stop=False
    )


def medians_ms(models, mode, repeat=400):
    """Median milliseconds of a call of each model, taken in turns so that noise of the machine meets all of them."""
    times = np.zeros((repeat, len(models)))

    async def measure():
        for row in times:
            for j, model in enumerate(models):
                start = time.perf_counter()
                await model.ainvoke(PROMPT)
                row[j] = time.perf_counter() - start

    if mode == "ainvoke":
        asyncio.run(measure())
    else:
        for row in times:
            for j, model in enumerate(models):
                start = time.perf_counter()
                model.invoke(PROMPT)
                row[j] = time.perf_counter() - start
    return 1000 * np.median(times[20:], axis=0)


@pytest.mark.parametrize("mode", TARGETS_MS)
@pytest.mark.parametrize("facade", ["SelectLLMRouter", "ChatSelectLLM"])
def test_overhead(router, models, mode, facade):
    model = router if facade == "SelectLLMRouter" else router.as_chat_model()
    *alone, routed = medians_ms([*models.values(), model], mode)
    overhead = routed - max(alone)
    print(
        f"\n{facade}.{mode} over 8 members without latency: {routed:.2f} ms; the slowest member alone {max(alone):.2f} ms; "
        f"overhead {overhead:.2f} ms (target for the Runnable: {TARGETS_MS[mode]:g} ms)"
    )
