import re

import pytest

from langchain_selectllm import evaluate
from langchain_selectllm.evaluation.ablation import STUDIES, Ablation, AblationPoint, ablate
from langchain_selectllm.evaluation.page.ablation_charts import save_ablation_plots
from langchain_selectllm.exceptions import OutcomeError
from tests.support.worlds import demo_table, score_table


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    outcomes = demo_table(tmp_path_factory.mktemp("ablation"), n_queries=120)
    return ablate(outcomes.subset(["calculator", "clockmaker", "generalist", "reader"]))


def of(points, study):
    return [point for point in points if point.study == study]


def test_every_study_is_run_on_the_same_test_queries(points):
    assert list(dict.fromkeys(point.study for point in points)) == list(STUDIES)
    for point in points:
        assert point.ci95[0] <= point.accuracy <= point.ci95[1]


def test_a_study_of_set_sizes_agrees_with_evaluate(fitted, demo):
    ablation = Ablation(demo[0], demo[1])
    found = {point.system: point.accuracy for point in ablation.set_size()}
    report = evaluate(ablation.default, demo[1], policies=["fixed_best", "selectllm"])
    for system in ("fixed_best:2", "fixed_best:3", "selectllm:3"):
        assert found[system] == pytest.approx(report[system].accuracy)


def test_pools_grow_to_the_whole_pool_in_each_order(points):
    pools = of(points, "pool_size")
    for order in ("best first", "worst first", "random order"):
        sizes = [int(point.variant) for point in pools if point.series == order]
        assert sizes == [2, 3, 4]
    # The whole pool is the same in every order.
    whole = {point.accuracy for point in pools if point.variant == "4" and point.series.endswith("oracle")}
    assert len(whole) == 1


def test_training_data_double_up_to_all_of_them(points):
    amounts = [int(point.variant) for point in of(points, "training") if point.series == "fixed best"]
    assert amounts[-1] == 84
    assert amounts[0] == 50


def test_without_calibration_the_probabilities_are_those_of_the_heads(points):
    errors = {point.variant: point.brier for point in of(points, "calibration")}
    assert errors.keys() == {"stacked", "none"}
    assert errors["stacked"] != errors["none"]


def test_votes_are_compared_on_the_same_calls(points):
    votes = of(points, "vote")
    assert [point.variant for point in votes] == ["majority", "weighted", "log_odds", "learned"]
    assert {point.calls for point in votes} == {3.0}


def test_each_study_has_a_chart(points, tmp_path):
    paths = save_ablation_plots(points, tmp_path)
    assert sorted(path.stem for path in paths if path.suffix == ".svg") == sorted(
        f"ablation-{study.replace('_', '-')}" for study in STUDIES
    )


@pytest.mark.parametrize("largest", [3, 4, 5, 9])
def test_an_axis_of_members_has_each_number_once(tmp_path, largest):
    points = []
    for size in range(2, largest + 1):
        figures = {"system": "oracle", "accuracy": size / 10, "ci95": (0.1, 0.6)}
        scores = {"calls": 1.0, "brier": 0.1, "ece": 0.1}
        points.append(
            AblationPoint(study="pool_size", variant=str(size), series="oracle", **figures, **scores)
        )
    svg = save_ablation_plots(points, tmp_path)[0].read_text()
    labels = re.findall(r">(\d)</text>", svg)
    assert labels == [str(size) for size in range(2, largest + 1)]


def test_unknown_studies_and_outcomes_without_replies_are_rejected(demo):
    with pytest.raises(OutcomeError, match="'size' is no study. Use some of set_size, pool_size"):
        ablate(demo[1], studies=["size"])
    with pytest.raises(OutcomeError, match="need replies of at least two members"):
        ablate(score_table([[1.0, 0.0]] * 20))
