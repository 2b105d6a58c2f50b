"""The guard: pools on which selecting by query, or calling more members, cannot help."""

from dataclasses import replace

import numpy as np
import pytest

from langchain_selectllm import SelectLLMClassifier, evaluate
from langchain_selectllm.classifier.calibration import StackedCalibration
from langchain_selectllm.classifier.fitting import cross_calibrated
from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.operating_point_search import ReplayedCalls, two_rounds
from langchain_selectllm.selection.operating_points import CallingRule, OperatingPoint
from langchain_selectllm.selection.policy_names import parse_policy
from langchain_selectllm.selection.pool_statistics import PoolStatistics
from langchain_selectllm.voting.evidence import evidence_of_gain
from langchain_selectllm.voting.learned_vote import LearnedReplay
from tests.support.worlds import reply_table

LETTERS = "ABCD"


def guessed(rng, gold, rate):
    """The right letter with probability `rate`, else one of the others."""
    return gold if rng.random() < rate else rng.choice([letter for letter in LETTERS if letter != gold])


@pytest.fixture(scope="module", params=[0, 1])
def lopsided(request):
    """1200 queries in train and test halves; member m2 is right nine times in ten on any of them, the others three times."""
    rng = np.random.default_rng(request.param)
    gold = rng.choice(list(LETTERS), 1200)
    rates = (0.3, 0.3, 0.9, 0.3, 0.3)
    rows = ["".join(guessed(rng, letter, rate) for rate in rates) for letter in gold]
    train, test = reply_table(rows, gold.tolist()).split(0.5, seed=request.param)
    return SelectLLMClassifier().fit(train), test


def test_a_pool_with_one_member_that_is_best_everywhere_collapses_to_it(lopsided):
    classifier, test = lopsided
    probabilities = classifier.predict_proba(test.texts)
    for size in range(1, 6):
        selection = parse_policy(f"selectllm:{size}").select(probabilities, classifier.pool)
        assert selection.further is None
        assert (selection.mask == [False, False, True, False, False]).all()


def test_the_collapsed_router_is_the_single_best(lopsided):
    classifier, test = lopsided
    report = evaluate(classifier, test, policies=["selectllm", "adaptive:3"])
    for size in range(1, 6):
        assert report[f"selectllm:{size}"].accuracy == report["single_best"].accuracy
    # Without the guard it is not worse beyond noise either.
    assert report["adaptive:3"].versus["single_best"].verdict != "worse"


def test_validation_does_not_flatter_choices_that_look_at_the_query():
    rng = np.random.default_rng(0)
    logits, scores = rng.normal(size=(300, 8)), (rng.random((300, 8)) < 0.5).astype(float)
    nothing, everybody = np.zeros((300, 0)), np.ones(300, dtype=bool)
    in_sample = StackedCalibration.fit(logits, nothing, scores, seed=0).probabilities(logits, nothing)
    rows, rates = np.arange(300), scores.mean(axis=0)
    held_out = cross_calibrated(logits, nothing, scores, everybody, seed=0)
    assert scores[rows, in_sample.argmax(axis=1)].mean() > rates.max() + 0.03
    assert scores[rows, held_out.argmax(axis=1)].mean() < rates.max() + 0.01


def test_calibration_leaves_out_what_heads_had_seen():
    rng = np.random.default_rng(0)
    seen = np.arange(20) < 5
    logits = np.where(seen[:, None], np.nan, rng.normal(size=(20, 2)))
    found = cross_calibrated(
        logits, np.zeros((20, 0)), (rng.random((20, 2)) < 0.5).astype(float), ~seen, seed=0
    )
    assert np.isnan(found[seen]).all()
    assert not np.isnan(found[~seen]).any()


def answers(right, sure):
    """Answers to 1,000 queries, of which `right` are right, with one confidence in all of them."""
    score = (np.arange(1000) < right).astype(float)
    return LearnedReplay(score=score, confidence=np.full(1000, sure), lead=np.ones(1000))


@pytest.mark.parametrize(
    ("right", "sure", "found"),
    [
        # More to be expected, and more that were right.
        (560, 0.56, "beats the single best member by 6.0 +- 0.6 points on validation"),
        (500, 0.60, ""),  # surer, and right no more often
        (560, 0.44, ""),  # more often right, and no more to be expected
        (501, 0.51, ""),  # one answer more is chance
    ],
)
def test_evidence_is_more_to_be_expected_and_more_that_was_right(right, sure, found):
    assert evidence_of_gain(answers(right, sure), answers(500, 0.5)) == found


def operating_point(ranking, accuracy, calls, evidence=""):
    rule = CallingRule(ranking=ranking, first=1, size=1)
    return OperatingPoint(
        rule=rule, accuracy=accuracy, calls=calls, cost_usd=np.nan, latency_s=np.nan, evidence=evidence
    )


def pool_of(*points):
    members, unknown = ("a", "b"), np.full(2, np.nan)
    return PoolStatistics(members, np.array([0.5, 0.4]), unknown, unknown, operating_points=points)


@pytest.mark.parametrize(
    ("evidence", "budget", "ranking"),
    [
        ("beats it", 2.0, "query"),
        ("", 2.0, "fixed"),
        ("", 1.0, "query"),  # the single best member is beyond the budget
    ],
)
def test_the_guard_needs_evidence_where_the_single_best_is_within_the_budget(evidence, budget, ranking):
    pool = pool_of(operating_point("query", 0.6, 1.0, evidence), operating_point("fixed", 0.5, 2.0))
    assert Adaptive(calls=budget, guarded=True).find(pool).rule.ranking == ranking
    assert Adaptive(calls=budget).find(pool).rule.ranking == "query"


def test_nothing_within_a_budget_is_no_point():
    pool = pool_of(operating_point("query", 0.6, 1.0))
    assert Adaptive(calls=0.5, guarded=True).find(pool) is None
    assert Adaptive(calls=0.5).find(pool) is None


def test_limits_hold_the_error_of_the_share_that_goes_on():
    """Confidences 0, 0.001, ... 0.999: a threshold of 0.5 sends half of 1,000 queries on, from 1 call to 3."""
    sure = np.arange(1000) / 1000
    used = np.vstack([np.ones(1000), np.full((2, 1000), np.nan)])
    replay = LearnedReplay(score=np.zeros(1000), confidence=sure, lead=np.ones(1000))
    first = ReplayedCalls(calls=np.ones((1000, 1), dtype=bool), answers=replay, used=used, served=sure)
    rule = CallingRule(ranking="query", first=1, size=3)
    points = two_rounds(rule, first, replace(first, used=2 * used))
    (found,) = [point for point in points if point.rule.threshold == 0.5]
    # 1 + 2 (0.5 + 2.326 sqrt(0.5 * 0.5 / 1000)) = 2 + 0.0736.
    assert found.calls == pytest.approx(2.0736, abs=5e-4)
