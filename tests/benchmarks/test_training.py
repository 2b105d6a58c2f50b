"""Time of training on recorded replies, and then of a decision and a learned vote; printed, never asserted."""

import time

import numpy as np
import pytest

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, VotingOutputParser
from langchain_selectllm.routing.decision import decide_all
from langchain_selectllm.routing.election import Election, ElectionTerms
from langchain_selectllm.selection.policy_names import parse_policy
from tests.support.pools import EIGHT, recorded_folder
from tests.support.timing import median_ms

pytestmark = pytest.mark.measurement
N_TRAINED = 6000


@pytest.fixture(scope="module")
def recorded():
    """A classifier trained on 6,000 queries with the replies of eight members, the seconds that took, and 300 other queries."""
    table = OutcomeTable.from_folders(recorded_folder() / "mmlu_pro", members=EIGHT)
    order = np.random.default_rng(0).permutation(len(table))
    start = time.perf_counter()
    classifier = SelectLLMClassifier().fit(table.take(order[:N_TRAINED]))
    return classifier, time.perf_counter() - start, table.take(order[N_TRAINED : N_TRAINED + 300])


def test_training(recorded):
    classifier, seconds, _ = recorded
    print(
        f"\ntraining, lexical, {len(classifier.members)} members, {N_TRAINED:,} queries with replies: {seconds:.0f} s"
    )


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
        later = (
            () if decision.further is None else np.flatnonzero(decision.further.added[0].any(axis=0)).tolist()
        )
        terms = ElectionTerms(
            members=decision.members,
            probabilities=decision.vote_probabilities,
            vote=decision.vote,
            reader=parser.reader,
            query=decision.text,
            latencies=classifier.pool.latencies,
        )
        election = Election(terms)
        for k in sorted({*decision.selected, *later}):
            election.add(k, test.replies[row][k][0])
        election.tally()

    decided = median_ms(decide)
    rows = iter(range(len(test)))
    print(
        f"\n{spec}, lexical, 8 members: decision {decided:.2f} ms median, reading and vote {median_ms(vote):.2f} ms median"
    )
