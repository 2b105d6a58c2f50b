"""Time of training, and from text to selection and from replies to answer; printed, never asserted."""

import time

import numpy as np
import pytest

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, SelectLLMRouter, VotingOutputParser
from langchain_selectllm.catalogue import parse_policy
from langchain_selectllm.decision import decide_all
from langchain_selectllm.tally import tally
from langchain_selectllm.testing import ReplayChatModel
from tests.pools import EIGHT
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


N_TRAINED = 6000


@pytest.fixture(scope="module")
def recorded(data):
    """A classifier trained on 6,000 queries with the replies of eight members, the seconds that took, and 300 other queries."""
    table = OutcomeTable.from_folders(data / "mmlu_pro", members=EIGHT)
    order = np.random.default_rng(0).permutation(len(table))
    start = time.perf_counter()
    classifier = SelectLLMClassifier().fit(table.take(order[:N_TRAINED]))
    return classifier, time.perf_counter() - start, table.take(order[N_TRAINED : N_TRAINED + 300])


def test_training(recorded):
    classifier, seconds, _ = recorded
    print(f"\ntraining, lexical, {len(classifier.members)} members, {N_TRAINED:,} queries with replies: {seconds:.0f} s")


@pytest.mark.parametrize("spec", ["learned:8", "selectllm:4"])
def test_decision_and_learned_vote(recorded, spec):
    """One prompt at a time: encoding, selection, then reading and voting on the replies of all that may be called."""
    classifier, _, test = recorded
    policy, parser = parse_policy(spec), VotingOutputParser(answer="choice")
    rows, decisions = iter(range(len(test))), []

    def decide():
        decisions.append(decide_all(classifier, policy, [test.texts[next(rows)]])[0])

    def vote():
        row = next(rows)
        decision = decisions[row]
        slots = sorted({*decision.selected, *decision.second})
        replies = [test.replies[row][k][0] for k in slots]
        ballots = parser.cast(
            slots=slots,
            answers=[parser.extract(reply, decision.text) for reply in replies],
            probabilities=decision.vote_probabilities,
            latencies=classifier.pool.latencies,
            lengths=[len(reply) for reply in replies],
        )
        tally(decision.vote, ballots, members=decision.members)

    decided = median_ms(decide)
    rows = iter(range(len(test)))
    print(f"\n{spec}, lexical, 8 members: decision {decided:.2f} ms median, reading and vote {median_ms(vote):.2f} ms median")


def test_router_overhead(classifier):
    models = {name: ReplayChatModel(model=name, default="The answer is (A).") for name in classifier.members}
    parser = VotingOutputParser(answer="choice")
    router = SelectLLMRouter(classifier=classifier, models=models, policy="all_members", parser=parser, early_stop=False)
    alone, routed = median_ms(lambda: models["m0"].invoke("x")), median_ms(lambda: router.invoke("x"))
    print(
        f"\nrouter over 8 members without latency: {routed:.2f} ms, one member alone {alone:.2f} ms: {routed / alone:.1f} times"
    )
