import json
import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_selectllm import SelectLLMClassifier, evaluate
from langchain_selectllm.evaluation.bootstrap import Bootstrap
from langchain_selectllm.evaluation.report import Versus
from langchain_selectllm.exceptions import LeakageError, MemberMismatchError, OutcomeError, PolicyError
from langchain_selectllm.selection.fixed_sets import best_fixed_sets
from langchain_selectllm.selection.policy_names import in_runs
from langchain_selectllm.voting.recorded_votes import RecordedVotes
from langchain_selectllm.voting.votes import MajorityVote, WeightedVote
from tests.support.worlds import demo_table, reply_table, score_table

NAN = np.full(3, np.nan)


def replayed(table, vote, mask, probabilities):
    votes = RecordedVotes.from_outcomes(table)
    shape = (len(table), len(table.members))
    return votes.replay(
        vote,
        np.broadcast_to(np.array(mask, bool), shape),
        np.broadcast_to(np.array(probabilities), shape),
        NAN,
    )[1]


def test_a_voted_answer_is_worth_its_equality_with_the_reference():
    table = reply_table(["AAB", "ABB", "ABC"], ["A", "A", "C"])
    assert replayed(table, MajorityVote(), [1, 1, 1], [0.5, 0.4, 0.3]).tolist() == [1, 0, 0]
    # Weighted: 0.9 for A against 0.1 + 0.2 for B in the second row.
    assert replayed(table, WeightedVote(), [1, 1, 1], [0.9, 0.1, 0.2]).tolist() == [1, 1, 0]
    assert replayed(table, MajorityVote(), [0, 0, 1], [0.9, 0.1, 0.2]).tolist() == [0, 0, 1]


def test_all_abstaining_is_worth_the_most_probable_members_score():
    table = reply_table(["--A"], ["A"])
    assert replayed(table, MajorityVote(), [1, 1, 0], [0.9, 0.1, 0.2]).tolist() == [0]


def test_without_a_reference_an_answer_is_worth_the_scores_of_those_who_gave_it():
    queries = [{"query_id": "q", "query": "x"}]
    replies = [
        {"query_id": "q", "model": name, "response": text, "score": score}
        for name, text, score in (("a", "yes", 1.0), ("b", "Yes.", 0.5), ("c", "no", 0.0))
    ]
    from langchain_selectllm import OutcomeTable

    table = OutcomeTable.from_records(queries, replies)
    assert replayed(table, MajorityVote(), [1, 1, 1], [0.5, 0.5, 0.5]).tolist() == [0.75]
    assert replayed(table, MajorityVote(), [0, 1, 0], [0.5, 0.5, 0.5]).tolist() == [0.5]


def test_pooled_ballots_count_every_sample():
    # One ballot each: A against B, and the tie goes to member 0. Pooled: A A B against B B B.
    table = reply_table([["AAB", "BBB"]], ["B"])
    single, pooled = RecordedVotes.from_outcomes(table), RecordedVotes.from_outcomes(table, pooled=True)
    mask, probabilities = np.ones((1, 2), bool), np.array([[0.6, 0.5]])
    assert single.replay(MajorityVote(), mask, probabilities, np.full(2, np.nan))[1].tolist() == [0]
    assert pooled.replay(MajorityVote(), mask, probabilities, np.full(2, np.nan))[1].tolist() == [1]


def test_the_best_fixed_sets_are_those_of_a_plain_search(tmp_path):
    table = demo_table(tmp_path, n_queries=80)
    votes, rates = RecordedVotes.from_outcomes(table), table.scores.mean(axis=0)
    found = best_fixed_sets(votes, rates, np.full(5, np.nan))

    def accuracy(members):
        right = 0
        for answers, gold in zip(table.answers, table.references, strict=True):
            score = {}
            for k in members:
                score[answers[k][0]] = score.get(answers[k][0], 0) + rates[k]
            right += max(score, key=score.get) == gold
        return right

    for size in range(1, 6):
        assert accuracy(found[size]) == max(accuracy(members) for members in combinations(range(5), size))


def test_large_pools_are_searched_by_beam_and_the_report_says_so():
    rows = ["".join("AB"[(i >> k) & 1] for k in range(13)) for i in range(64)]
    classifier = SelectLLMClassifier().fit(reply_table(rows, ["A"] * 64))
    assert classifier.summary.fixed_set_search == "beam"
    assert len(classifier.pool.fixed_sets[13]) == 13


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text("ABC-", min_size=3, max_size=3), min_size=1, max_size=8), st.integers(1, 7))
def test_with_one_ballot_a_member_the_oracle_is_never_beaten(rows, subset):
    table = reply_table(rows, ["A"] * len(rows))
    mask = [bool(subset & (1 << k)) for k in range(3)]
    voted = replayed(table, MajorityVote(), mask, [0.5, 0.4, 0.3])
    assert (voted <= table.scores.max(axis=1)).all()


@pytest.fixture(scope="module")
def report(fitted, demo):
    return evaluate(fitted, demo[1])


def test_reference_systems_agree_with_an_independent_count(report, demo):
    train, test = demo
    right = np.array(
        [[cell[0] == gold for cell in row] for row, gold in zip(test.answers, test.references, strict=True)]
    )
    rates = np.array(
        [[cell[0] == gold for cell in row] for row, gold in zip(train.answers, train.references, strict=True)]
    ).mean(0)
    majority = []
    for answers, gold in zip(test.answers, test.references, strict=True):
        counts, weight = {}, {}
        for k, cell in enumerate(answers):
            counts[cell[0]] = counts.get(cell[0], 0) + 1
            weight[cell[0]] = weight.get(cell[0], 0) + rates[k]
        majority.append(max(counts, key=lambda answer: (counts[answer], weight[answer])) == gold)
    assert report["oracle"].accuracy == pytest.approx(right.any(axis=1).mean())
    assert report["single_best"].accuracy == pytest.approx(right[:, rates.argmax()].mean())
    assert report["all_members"].accuracy == pytest.approx(np.mean(majority))
    assert report.member_accuracy == pytest.approx(dict(zip(test.members, right.mean(axis=0), strict=True)))


def test_every_system_and_size_is_listed_by_default(report):
    names = [system.name for system in report.systems]
    sized = ("random", "fixed_best", "prior_only", "max_conf", "labelled_max_conf", "weighted_max_conf")
    assert names[:3] == ["oracle", "single_best", "all_members"]
    assert set(names[3:]) >= {f"{name}:{size}" for name in sized for size in range(1, 6)}


def test_where_prices_differ_shares_of_the_single_bests_price_are_listed(report, fitted):
    price = fitted.pool.costs[fitted.pool.single_best]
    listed = {s.name: s.cost_usd for s in report.systems if s.name.endswith("usd")}
    budgets = [float(name.removeprefix("selectllm:").removesuffix("usd")) for name in listed]
    assert budgets == pytest.approx([share * price for share in (0.25, 0.5, 0.75, 1.0)], rel=0.02)
    assert all(cost <= 1.25 * budget for cost, budget in zip(listed.values(), budgets, strict=True))
    assert report.headline.name == "selectllm:3"


def test_calls_cost_and_latency_are_those_of_the_called_members(report, demo):
    test = demo[1]
    everybody = report["all_members"]
    assert everybody.calls == 5
    assert everybody.cost_usd == pytest.approx(test.costs.sum(axis=1).mean())
    assert everybody.latency_parallel_s == pytest.approx(test.latencies.max(axis=1).mean())
    assert everybody.latency_total_s == pytest.approx(test.latencies.sum(axis=1).mean())
    assert report["random:2"].calls == 2
    assert 1 <= report["labelled_max_conf:3"].calls <= 3
    # A system that looks at the query pays for the look.
    assert report["max_conf:5"].latency_total_s == pytest.approx(
        everybody.latency_total_s + report.decision_s
    )


def test_differences_are_paired_and_a_loss_is_called_a_loss():
    assert Versus("x", 0.1, (0.05, 0.2)).verdict == "better"
    assert Versus("x", -0.1, (-0.2, -0.05)).verdict == "worse"
    assert Versus("x", 0.1, (-0.05, 0.2)).verdict == "no difference shown"


def test_a_losing_router_is_reported_as_losing():
    # Training says m0 answers every query; on the test side it never does, and m1 always does.
    train = reply_table(["AB", "AB", "AB", "AC"] * 10, ["A"] * 40)
    test = reply_table(["BA"] * 30, ["A"] * 30)
    for name in ("query_ids",):
        object.__setattr__(test, name, tuple(f"t{i}" for i in range(30)))
    report = evaluate(SelectLLMClassifier().fit(train), test, policies=["max_conf:1", "random:1"])
    assert report["max_conf:1"].accuracy == 0
    assert report["random:1"].versus["single_best"].verdict == "better"
    assert "max_conf:1 shows no difference to single_best" in report.verdict


def test_three_or_more_sizes_in_a_row_are_written_by_their_ends():
    assert in_runs([2]) == "2"
    assert in_runs([3, 2]) == "2, 3"
    assert in_runs([1, 3, 4, 5, 6, 8, 9]) == "1, 3 to 6, 8, 9"


def test_the_verdict_names_each_control_with_its_interval(report):
    for control in (r"single_best", r"all_members", r"fixed_best:\d"):
        assert re.search(rf"{control}( at equal calls)? \(.*95 % interval", report.verdict)


def test_report_json_holds_the_promised_keys_and_no_nan(report, tmp_path):
    report.save(tmp_path / "report.json")
    loaded = json.loads((tmp_path / "report.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert {
        "members",
        "n_queries",
        "systems",
        "member_accuracy",
        "classifier",
        "per_category",
        "verdict",
    } <= set(loaded)
    keys = {"name", "accuracy", "accuracy_ci95", "calls", "cost_usd", "latency_parallel_s", "latency_total_s"}
    assert all(keys <= set(system) for system in loaded["systems"])
    assert {"f1_weighted", "f1_weighted_prior", "auroc_macro", "brier", "ece"} <= set(loaded["classifier"])
    assert set(loaded["per_category"]) == {"adding", "multiplying", "comparing", "counting", "clock"}
    assert loaded["per_category"]["clock"]["oracle"] <= 1


def test_training_queries_are_refused_unless_told_otherwise(fitted, demo):
    with pytest.raises(LeakageError, match="280 of 280 queries were in the training outcomes"):
        evaluate(fitted, demo[0])
    told = evaluate(fitted, demo[0], policies=["max_conf:1"], allow_training_queries=True)
    assert told.n_training_queries == 280


def test_missing_members_and_unknown_systems_are_refused(fitted, demo):
    with pytest.raises(MemberMismatchError, match="The outcomes lack 'reader'"):
        evaluate(fitted, demo[1].subset(fitted.members[:-1]))
    with pytest.raises(PolicyError, match="'best_conf:1' is unknown"):
        evaluate(fitted, demo[1], policies=["best_conf:1"])
    with pytest.raises(PolicyError, match="does not fit the pool"):
        evaluate(fitted, demo[1], policies=["max_conf:9"])


def test_without_replies_only_systems_that_need_no_vote_are_listed():
    train, test = score_table(np.random.default_rng(0).random((60, 3))).split(0.5)
    classifier = SelectLLMClassifier().fit(train)
    report = evaluate(classifier, test)
    names = {system.name for system in report.systems}
    assert "all_members" not in names
    assert {"oracle", "single_best", "max_conf:1", "random:1", "fixed_best:1"} <= names
    assert not any(name.endswith(":2") for name in names)
    assert report["oracle"].accuracy == pytest.approx(test.scores.max(axis=1).mean())
    best = np.nanmean(train.scores, axis=0).argmax()
    assert report["single_best"].accuracy == pytest.approx(test.scores[:, best].mean())
    assert report["single_best"].cost_usd is None
    with pytest.raises(PolicyError, match="needs a vote"):
        evaluate(classifier, test, policies=["max_conf:2"])


def test_queries_that_are_not_fully_observed_are_left_out_and_counted():
    scores = np.random.default_rng(0).random((60, 2))
    train, test = score_table(scores).split(0.5)
    test.scores[0, 0] = np.nan
    report = evaluate(SelectLLMClassifier().fit(train), test)
    assert (report.n_queries, report.n_not_replayed) == (29, 1)
    test.scores[:, 0] = np.nan
    with pytest.raises(OutcomeError, match="None of 30 queries is observed for all 2 members"):
        evaluate(SelectLLMClassifier().fit(train), test)


def test_bootstrap_intervals_cover_the_mean_and_shrink():
    values = np.random.default_rng(0).random(400)
    low, high = Bootstrap(400, seed=0).interval(values)
    assert low < values.mean() < high
    # A standard error of the mean of 400 uniform values is 0.0144.
    assert high - low == pytest.approx(2 * 1.96 * 0.0144, rel=0.15)
    assert Bootstrap(400, seed=0).interval(values) == (low, high)
