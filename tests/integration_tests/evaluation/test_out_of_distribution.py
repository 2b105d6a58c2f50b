"""Kinds of query that training never met, on recorded replies of real models."""

import numpy as np
import pytest

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, evaluate

FOUR = ["mathstral-7B", "Yi-34B", "Meta-Llama-3-8B", "gemma-7b"]


@pytest.fixture(scope="module")
def table(data):
    return OutcomeTable.from_folders(data / "mmlu_pro", members=FOUR)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.soak)])
def test_on_unseen_categories_the_router_is_not_below_the_single_best(table, seed):
    left_out = np.random.default_rng(seed).permutation(sorted(set(table.categories)))[:4]
    unseen = np.isin(table.categories, left_out)
    # Every second query is enough: the accuracies are seven points apart.
    classifier = SelectLLMClassifier(seed=seed).fit(table.take(np.flatnonzero(~unseen)[::2]))
    systems = [f"selectllm:{size}" for size in range(1, 5)]
    report = evaluate(classifier, table.take(np.flatnonzero(unseen)), policies=systems)
    for name in systems:
        assert report[name].versus["single_best"].verdict != "worse", (name, left_out)
