"""Cost of many concurrent requests, as ratios measured in one run; printed, never asserted."""

import asyncio
import gc
import statistics
import time

import numpy as np
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_selectllm import SelectLLMClassifier, SelectLLMRouter, VotingOutputParser
from tests.support.worlds import reply_table

pytestmark = pytest.mark.measurement
REQUESTS = 1000
ROUNDS = 3
PROMPT = "Is it (A) or (B)?"


class Sleeper(BaseChatModel):
    """Replies after `delay_s` seconds, with as little work of its own as a chat model can have."""

    delay_s: float = 0.02

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        time.sleep(self.delay_s)
        return _result()

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        await asyncio.sleep(self.delay_s)
        return _result()

    @property
    def _llm_type(self):
        return "sleeper"


def _result():
    return ChatResult(generations=[ChatGeneration(message=AIMessage("The answer is (A)."))])


@pytest.fixture(scope="module")
def pool():
    """Eight members with replies to 400 queries, so that a vote and operating points are learned."""
    rng = np.random.default_rng(0)
    gold = rng.choice(list("ABCD"), 400)
    right = rng.random((400, 8)) < np.linspace(0.55, 0.75, 8)
    rows = [
        [letter if ok else other for ok, other in zip(row, rng.choice(list("ABCD"), 8), strict=True)]
        for row, letter in zip(right, gold, strict=True)
    ]
    return SelectLLMClassifier().fit(reply_table(rows, gold))


def router_of(pool, policy, delay_s):
    models = {name: Sleeper(delay_s=delay_s) for name in pool.members}
    parser = VotingOutputParser(answer="choice")
    return SelectLLMRouter(classifier=pool, models=models, policy=policy, parser=parser)


def seconds(work):
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.mark.parametrize("policy", ["weighted_max_conf:8", "all_members"])
def test_a_thousand_concurrent_requests_cost_little_beside_their_calls(pool, policy):
    router = router_of(pool, policy, delay_s=0.02)
    members = [member.model for member in router.models.values()]

    async def bare():
        await asyncio.gather(*(model.ainvoke(PROMPT) for _ in range(REQUESTS) for model in members))

    async def routed():
        await asyncio.gather(*(router.ainvoke(PROMPT) for _ in range(REQUESTS)))

    asyncio.run(routed())
    # In turns, so that the load of the machine meets both.
    pairs = [
        (seconds(lambda: asyncio.run(bare())), seconds(lambda: asyncio.run(routed()))) for _ in range(ROUNDS)
    ]
    ratio = statistics.median(after / before for before, after in pairs)
    before, after = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"\n{REQUESTS} concurrent ainvokes of {policy} over 8 members of 20 ms: {after:.2f} s; their "
        f"{8 * REQUESTS} member calls alone {before:.2f} s; median ratio {ratio:.2f} (target: at most 1.6)"
    )


def test_waiting_on_the_loop_costs_no_more_than_threads(pool):
    router = router_of(pool, "selectllm:4", delay_s=0.0)
    router.invoke(PROMPT)

    def threads():
        for _ in range(100):
            router.invoke(PROMPT)

    async def loop():
        for _ in range(100):
            await router.ainvoke(PROMPT)

    asyncio.run(loop())
    pairs = [(seconds(threads), seconds(lambda: asyncio.run(loop()))) for _ in range(ROUNDS)]
    ratio = statistics.median(after / before for before, after in pairs)
    before, after = (10 * statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"\nselectllm:4 over 8 members without latency: invoke {before:.2f} ms, ainvoke {after:.2f} ms; "
        f"median ratio {ratio:.2f} (target: at most 1.5)"
    )
