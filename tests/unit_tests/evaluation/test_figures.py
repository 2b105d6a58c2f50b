import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, evaluate
from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.confidence_figures import (
    calibration_error_by_chance,
    coverage_curve,
    reliability_bins,
    wilson_interval,
)
from langchain_selectllm.evaluation.frontier import frontier, recommended
from langchain_selectllm.evaluation.member_pairs import answer_agreement, error_correlation
from langchain_selectllm.evaluation.replay import Recording, Replay
from langchain_selectllm.evaluation.spending import distributions, quantiles
from langchain_selectllm.voting.recorded_votes import RecordedVotes
from tests.support.worlds import reply_table, score_table


def replay(name, scores, calls, cost=np.nan):
    scores = np.array(scores, float)
    unknown = np.full(len(scores), np.nan)
    return Replay(
        name, scores, np.full(len(scores), float(calls)), np.full(len(scores), cost), unknown, unknown
    )


@pytest.fixture(scope="module")
def figures(fitted, demo):
    return evaluate(fitted, demo[1], policies=["selectllm:3", "max_conf:1"], rows=5).to_dict()["figures"]


def test_reliability_bins_count_every_query_once():
    bins = reliability_bins(np.array([0.05, 0.55, 0.58, 1.0]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert [(one.low, one.high, one.n, one.accuracy) for one in bins] == [
        (0.0, 0.1, 1, 0.0),
        (0.5, 0.6, 2, 0.5),
        (0.9, 1.0, 1, 1.0),
    ]
    assert bins[1].confidence == pytest.approx(0.565)


def test_queries_of_equal_confidence_are_answered_together():
    curve = coverage_curve(np.array([0.9, 0.5, 0.5, 0.2]), np.array([1.0, 1.0, 0.0, 0.0]))
    assert [(one.threshold, one.coverage, one.accuracy) for one in curve] == [
        (0.2, 1.0, 0.5),
        (0.5, 0.75, pytest.approx(2 / 3)),
        (0.9, 0.25, 1.0),
    ]


def test_the_curve_has_at_most_100_points():
    confidence = np.random.default_rng(0).random(3000)
    curve = coverage_curve(confidence, np.ones(3000))
    assert len(curve) <= 100
    assert (curve[0].coverage, curve[0].accuracy) == (1.0, 1.0)


def test_the_interval_of_a_share_stays_between_0_and_1():
    # Wilson (1927) for 10 of 10: lower bound n / (n + z^2) = 10 / 13.8416.
    assert wilson_interval(1.0, 10) == (pytest.approx(10 / 13.8416), 1.0)
    assert wilson_interval(0.0, 10)[0] == 0.0


def test_calibrated_confidences_show_an_error_by_chance_that_shrinks_with_queries():
    rng = np.random.default_rng(0)
    few, many = rng.random(100), rng.random(10000)
    assert calibration_error_by_chance(few, seed=0) > 3 * calibration_error_by_chance(many, seed=0)


def test_the_frontier_leaves_out_what_another_system_beats():
    systems = [replay("a", [1, 0], 1), replay("b", [1, 1], 2), replay("c", [1, 1], 3), replay("d", [0, 0], 2)]
    assert frontier({one.name: one for one in systems}, "calls") == ["a", "b"]
    assert frontier({one.name: one for one in systems}, "cost_usd") == []


def test_the_recommended_system_is_cheaper_only_if_it_is_shown_to_be_as_good():
    right, one_wrong = [1] * 100, [1] * 99 + [0]
    systems = [
        replay("dear", right, 5, 1.0),
        replay("cheap", right, 3, 0.5),
        replay("worse", one_wrong, 1, 0.1),
    ]
    by_name = {one.name: one for one in systems}
    chosen = recommended(by_name, Bootstrap(100, seed=0))
    # "worse" loses one point in the mean, more than that in some resamples.
    assert (chosen["system"], chosen["price"]) == ("cheap", "cost_usd")


def test_errors_of_members_correlate_as_they_do_by_hand():
    scores = np.array([[1, 1, 0, 1], [0, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1]], float)
    matrix = error_correlation(scores)
    assert matrix[0][0] == pytest.approx(1.0)
    assert matrix[0][2] == pytest.approx(-1.0)
    # Errors 0 1 0 1 and 0 1 0 0: covariance 1/4 - 1/8 = 1/8 over spreads 1/2 and sqrt(3)/4.
    assert matrix[0][1] == pytest.approx((1 / 8) / (0.5 * 3**0.5 / 4))
    assert matrix[0][3] is None


def test_members_agree_on_the_queries_that_both_answer():
    # Members 0 and 1 agree on two of three queries, once on a wrong answer; member 2 abstains on the last.
    votes = RecordedVotes.from_outcomes(reply_table(["AAB", "BBB", "AB-"], ["A", "A", "A"]))
    pairs = answer_agreement(votes, ["first", "second", "third"])
    assert pairs == [
        {"members": ["first", "second"], "n": 3, "share": pytest.approx(2 / 3)},
        {"members": ["first", "third"], "n": 2, "share": 0.5},
        {"members": ["second", "third"], "n": 2, "share": 0.5},
    ]


def test_a_members_first_sample_counts_for_its_agreement():
    table = reply_table([["ABB", "BBA"], ["CBB", "CAA"]], ["B", "A"], members=["m0", "m1"])
    votes = RecordedVotes.from_outcomes(table, pooled=True)
    assert answer_agreement(votes, table.members) == [{"members": ["m0", "m1"], "n": 2, "share": 0.5}]


def test_answers_compared_as_the_same_agree():
    votes = RecordedVotes.from_outcomes(reply_table(["AB", "AC"], ["A", "A"]))
    same, different = np.ones((2, 2)), np.eye(2)
    compared = replace(votes, agreement=[same, different])
    assert answer_agreement(compared, ["m0", "m1"])[0]["share"] == 0.5


def test_members_that_never_answer_the_same_query_have_no_agreement():
    votes = RecordedVotes.from_outcomes(reply_table(["A-", "-B"], ["A", "A"]))
    assert answer_agreement(votes, ["m0", "m1"]) == [{"members": ["m0", "m1"], "n": 0, "share": None}]


def test_the_report_holds_the_agreement_of_every_pair(figures, fitted):
    pairs = figures["members"]["answer_agreement"]
    assert [pair["members"] for pair in pairs] == [list(pair) for pair in combinations(fitted.members, 2)]


def test_without_a_member_accuracy_and_cost_are_those_of_the_smaller_pool(figures, fitted, demo):
    one = figures["members"]["leave_one_out"][0]
    recording = Recording.of(demo[1], fitted)
    from langchain_selectllm.selection.policy_names import parse_policy

    policy = parse_policy("selectllm:3")
    whole = recording.replay_policy("x", policy)
    without = recording.replay_trace(
        "x", recording.trace(policy, unavailable=fitted.pool.mask((fitted.members[0],)))
    )
    assert one["without"] == [fitted.members[0]]
    assert one["difference"] == pytest.approx(without.score.mean() - whole.score.mean())
    assert one["cost_share"] == pytest.approx(without.cost_usd.mean() / whole.cost_usd.mean() - 1)


def test_smaller_pools_end_with_one_member_and_the_suggested_one_is_within_a_point(figures):
    members = figures["members"]
    sizes = [len(pool["without"]) for pool in members["smaller_pools"]]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == 4
    if members["suggested_pool"] is not None:
        assert members["suggested_pool"]["ci95"][0] >= -0.01


def test_a_ballot_is_decisive_where_the_winner_changes_without_it():
    rows = ["AAB", "ABB", "AAA", "BAA"] * 15
    classifier = SelectLLMClassifier().fit(reply_table(rows, ["A"] * 60))
    report = evaluate(
        classifier, reply_table(rows, ["A"] * 60), policies=["max_conf:1"], allow_training_queries=True
    )
    usage = report.to_dict()["figures"]["members"]["usage"]
    # One call: the ballot decides wherever the member is called.
    assert sum(one["called_share"] for one in usage) == pytest.approx(1.0)
    assert [one["decisive_share"] for one in usage] == [one["called_share"] for one in usage]


def test_categories_carry_their_number_of_queries_and_intervals(figures, demo):
    assert sum(one["n"] for one in figures["categories"]) == len(demo[1])
    for one in figures["categories"]:
        ours = one["systems"]["selectllm:3"]
        assert ours["ci95"][0] <= ours["accuracy"] <= ours["ci95"][1]
        assert sum(one["errors"].values()) == pytest.approx(1 - ours["accuracy"])
        single = one["systems"]["single_best"]["accuracy"]
        assert one["versus"]["single_best"]["difference"] == pytest.approx(ours["accuracy"] - single)


def test_rows_are_wrong_answers_with_texts_and_only_on_request(figures, fitted, demo):
    assert 0 < len(figures["rows"]) <= 5
    texts = dict(zip(demo[1].query_ids, demo[1].texts, strict=True))
    for row in figures["rows"]:
        assert row["score"] < 1
        assert row["cause"] != "right"
        assert row["text"] == texts[row["query_id"]]
        assert set(row["answers"]) == set(fitted.members)
    plain = evaluate(fitted, demo[1], policies=["selectllm:3"]).to_dict()
    assert plain["figures"]["rows"] == []
    assert plain["figures"]["n_failed"] == figures["n_failed"]


def test_rounds_and_histograms_count_every_query(figures, demo):
    assert figures["rounds"][0]["share"] == 1.0
    total = sum(one["calls"] for one in figures["rounds"])
    ours = next(one for one in figures["distributions"] if one["system"] == "selectllm:3")
    assert sum(one["calls"] * one["share"] for one in ours["calls"]) == pytest.approx(total)
    assert ours["cost_usd"]["p50"] <= ours["cost_usd"]["p95"]


def test_unknown_costs_have_no_distribution():
    assert quantiles(np.array([1.0, np.nan])) is None
    assert distributions(replay("a", [1, 0], 2))["cost_usd"] is None
    assert distributions(replay("a", [1, 0], 2))["calls"] == [{"calls": 2, "n": 2, "share": 1.0}]


def test_the_figures_are_json_and_hold_no_nan(figures):
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_outcomes_without_replies_have_figures_without_confidence():
    train, test = score_table(np.random.default_rng(0).random((60, 3))).split(0.5)
    figures = evaluate(SelectLLMClassifier().fit(train), test).to_dict()["figures"]
    assert figures["confidence"] is None
    assert figures["categories"] == []
    assert figures["members"]["answer_agreement"] is None
    assert isinstance(test, OutcomeTable)


def test_of_equal_systems_the_guarded_one_is_recommended():
    ones, nothing = np.ones(50), np.full(50, np.nan)
    names = ("adaptive:2", "selectllm:2")
    equal = {name: Replay(name, ones, ones, nothing, nothing, nothing) for name in names}
    assert recommended(equal, Bootstrap(50, seed=0))["system"] == "selectllm:2"
