import copy

import pytest

from langchain_selectllm.evaluation.comparison import compare_reports


def report(accuracy, half=0.03):
    system = {
        "name": "selectllm:3",
        "accuracy": accuracy,
        "accuracy_ci95": [accuracy - half, accuracy + half],
        "calls": 2.0,
        "cost_usd": None,
        "latency_parallel_s": 1.0,
    }
    return {"n_queries": 100, "members": ["a"], "labels_from": "references", "systems": [system]}


def test_half_widths_of_both_reports_add_in_quadrature():
    change = compare_reports(report(0.8, half=0.03), report(0.9, half=0.04)).systems[0]
    # sqrt(0.03^2 + 0.04^2) = 0.05.
    assert change.difference == pytest.approx(0.1)
    assert change.ci95 == pytest.approx((0.05, 0.15))
    assert change.verdict == "better"
    assert change.cost_usd is None
    assert change.latency_parallel_s == 0.0


def test_a_small_difference_is_not_called_one():
    assert compare_reports(report(0.8), report(0.82)).systems[0].verdict == "no difference shown"
    assert compare_reports(report(0.9), report(0.8)).systems[0].verdict == "worse"


def test_reports_of_other_queries_or_systems_are_pointed_out():
    second = copy.deepcopy(report(0.8))
    second["n_queries"] = 90
    second["systems"][0]["name"] = "max_conf:1"
    comparison = compare_reports(report(0.8), second)
    assert comparison.systems == ()
    assert comparison.only_first == ("selectllm:3",)
    assert comparison.only_second == ("max_conf:1",)
    assert comparison.cautions == ("The reports have different numbers of queries.",)
