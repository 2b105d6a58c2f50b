"""Operating points that call the most probable member several times."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.operating_points import CallingRule, FurtherRounds, OperatingPoint
from langchain_selectllm.selection.policies import Selection, top
from langchain_selectllm.selection.policy_names import parse_policy


def sampled_world(n, n_samples, seed=0):
    """Each member knows the questions of one subject and is right in 55 % of its samples there, of three letters."""
    rng = np.random.default_rng(seed)
    queries, records = [], []
    for i in range(n):
        subject, gold = ("rivers", "mountains")[i % 2], "ABC"[rng.integers(3)]
        queries.append(
            {
                "query_id": f"q{i:04d}",
                "query": f"{subject} question",
                "reference": gold,
                "answer_type": "choice",
            }
        )
        for name in ("rivers", "mountains"):
            for sample in range(n_samples):
                right = rng.random() < (0.55 if name == subject else 0.1)
                letter = gold if right else "ABC".replace(gold, "")[rng.integers(2)]
                records.append(
                    {
                        "query_id": f"q{i:04d}",
                        "model": name,
                        "sample": sample,
                        "response": f"The answer is ({letter}).",
                    }
                )
    return OutcomeTable.from_records(queries, records, members=["rivers", "mountains"])


@pytest.fixture(scope="module")
def sampled():
    table = sampled_world(900, 6)
    classifier = SelectLLMClassifier().fit(table.take(np.arange(500)))
    return classifier, Recording.of(table.take(np.arange(500, 900)), classifier)


def with_rule(pool, **rule):
    fields = {"ranking": "samples", "first": 1, "size": 4, "threshold": 0.5, **rule}
    point = OperatingPoint(
        rule=CallingRule(**fields),
        accuracy=0.5,
        calls=1.0,
        cost_usd=np.nan,
        latency_s=np.nan,
        evidence="made up",
    )
    return replace(pool, operating_points=(point,))


def test_training_chooses_repeats_where_they_pay(sampled):
    classifier, recording = sampled
    policy = parse_policy("selectllm:6")
    rule = policy.point(classifier.pool).rule
    assert rule.ranking == "samples"
    assert rule.size > 2
    single = recording.replay_policy("single", parse_policy("selectllm:1"))
    repeated = recording.replay_policy("repeated", policy)
    # Two members called once each are right less often than one that is called six times.
    assert repeated.score.mean() > single.score.mean() + 0.1
    assert repeated.calls.mean() <= 6


def test_outcomes_with_one_sample_give_no_repeats():
    pool = SelectLLMClassifier().fit(sampled_world(300, 1)).pool
    assert {point.rule.ranking for point in pool.operating_points} == {"query", "fixed"}


def test_agreement_of_the_samples_of_one_member_raises_the_confidence(sampled):
    classifier, _ = sampled
    recording = Recording.of(sampled_world(400, 6, seed=1), classifier)
    pool = with_rule(classifier.pool, first=6, size=6)
    trace = replace(recording, pool=pool).trace(Adaptive())
    confidence = replace(recording, pool=pool)._confidence(trace.calls, trace.verdict)
    codes = recording.samples.codes.reshape(400, 2, 6)[np.arange(400), recording.probabilities.argmax(axis=1)]
    agreeing = np.array([np.bincount(row).max() for row in codes])
    assert confidence[agreeing >= 5].mean() > confidence[agreeing == 3].mean() + 0.1
    assert trace.score[agreeing >= 5].mean() > trace.score[agreeing == 3].mean()


def test_the_selection_counts_calls_of_the_most_probable_member(sampled):
    classifier, _ = sampled
    probabilities = np.array([[0.7, 0.2], [0.3, 0.6]])
    selection = Adaptive().select(probabilities, with_rule(classifier.pool, first=2, size=5))
    assert selection.samples.tolist() == [[2, 0], [0, 2]]
    assert selection.further.added.tolist() == [[3, 0], [0, 3]]
    assert selection.reasons[0] == (
        "2 samples of the most probable member, and up to 3 more where the confidence is below 0.50"
    )


def test_the_second_round_calls_a_member_again():
    further = FurtherRounds(threshold=0.5, added=np.array([[0, 3]]))
    assert further.next_members(0.4, [1], 1) == (1, 1, 1)
    assert further.next_members(0.5, [1], 1) == ()
    assert further.next_members(0.4, [1, 1, 1, 1], 2) == ()
    assert further.without(np.array([False, True])).next_members(0.4, [1], 1) == ()


def test_a_second_round_needs_as_many_recorded_samples(sampled):
    classifier, recording = sampled
    pool = with_rule(classifier.pool, first=1, size=7, threshold=1.1)
    with pytest.raises(PolicyError, match="7 calls of one member cannot be replayed: 6 samples"):
        replace(recording, pool=pool).trace(Adaptive())


def test_a_budget_may_exceed_the_pool_where_members_are_called_again(sampled):
    classifier, _ = sampled
    assert Adaptive(calls=5).point(with_rule(classifier.pool)).rule.size == 4
    query = with_rule(classifier.pool, ranking="query", first=1, size=1)
    with pytest.raises(PolicyError, match="does not fit the pool"):
        Adaptive(calls=5).point(query)


def test_repeats_are_saved_and_loaded(sampled, tmp_path):
    classifier, _ = sampled
    classifier.save_pretrained(tmp_path / "router")
    loaded = SelectLLMClassifier.from_pretrained(tmp_path / "router")
    rules = [point.rule for point in classifier.pool.operating_points]
    assert [point.rule for point in loaded.pool.operating_points] == rules
    assert "samples of the most probable" in (tmp_path / "router" / "README.md").read_text()


@dataclass(frozen=True)
class TwiceThenOthers:
    """Two calls of the most probable member, then the other one where the confidence is below 1."""

    def select(self, probabilities, pool):
        first = top(probabilities, 1)
        further = FurtherRounds(threshold=1.1, added=~first)
        reasons = ("twice",) * len(first)
        return Selection(first, probabilities, reasons, pool.vote, further, 2 * first.astype(np.int64))


def test_other_members_may_follow_on_repeats(sampled):
    _, recording = sampled
    calls = recording.trace(TwiceThenOthers()).calls
    assert (np.sort(calls, axis=1) == [1, 2]).all()
