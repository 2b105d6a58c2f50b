"""Budgets of `selectllm:S` on queries that training had not seen."""

import numpy as np

from langchain_selectllm import evaluate
from tests.support.worlds import demo_table


def test_budgets_hold_on_other_queries(fitted, tmp_path):
    # Other numbers, other words, and identifiers that no training query has.
    others = demo_table(tmp_path, n_queries=1400, seed=7).take(np.arange(400, 1400))
    report = evaluate(fitted, others, policies=["selectllm:2", "selectllm:3"])
    assert 1.5 < report["selectllm:2"].calls <= 2
    assert report["selectllm:2"].calls < report["selectllm:3"].calls <= 3
