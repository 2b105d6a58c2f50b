"""Tables of more queries than calibration, vote and operating points need."""

import numpy as np
import pytest

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm.classifier import fitting, pool_fitting
from langchain_selectllm.classifier.heads import LinearHeads
from langchain_selectllm.classifier.metrics import classifier_metrics
from tests.support.worlds import demo_table


@pytest.fixture
def fits(monkeypatch):
    """Rows of every fit of heads or topics that is made."""
    rows = []
    fit = LinearHeads.fit

    def counted(features, scores, **settings):
        rows.append(int((~np.isnan(scores)).all(axis=1).sum()))
        return fit(features, scores, **settings)

    monkeypatch.setattr(LinearHeads, "fit", staticmethod(counted))
    return rows


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return demo_table(tmp_path_factory.mktemp("large"), n_queries=700)


def hold_out(monkeypatch, most):
    for module in (fitting, pool_fitting):
        monkeypatch.setattr(module, "MOST_HELD_OUT", most)


def test_a_usual_table_is_cross_fitted_whole(table, fits):
    assert SelectLLMClassifier().fit(table).summary.vote == "learned"
    # Seven folds and all queries for the members, three and all for the topics.
    assert len(fits) == 8 + 4


def test_of_a_large_table_only_as_many_queries_as_needed_are_held_out(table, fits, monkeypatch):
    hold_out(monkeypatch, 150)
    classifier = SelectLLMClassifier().fit(table)
    # Two of seven folds of 100 queries hold 150, for members and topics alike.
    assert fits == [600, 600, 700, 600, 600, 700]
    assert classifier.summary.vote == "learned"
    assert not np.isnan(classifier.summary.metrics["auroc_macro"])
    assert classifier.pool.operating_points


def test_fewer_held_out_queries_cost_little(table, tmp_path, monkeypatch):
    test = demo_table(tmp_path, n_queries=400, seed=1)
    losses = []
    for most in (20_000, 300):
        hold_out(monkeypatch, most)
        classifier = SelectLLMClassifier().fit(table)
        metrics = classifier_metrics(
            classifier.predict_proba(test.texts), test.labels, classifier.pool.base_rates
        )
        losses.append(metrics["brier"])
    assert losses[1] < losses[0] + 0.01
