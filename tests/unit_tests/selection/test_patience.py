"""Patience: the level of confidence from which stragglers are not waited for."""

import numpy as np

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm.selection.patience import stopped


def test_a_vote_ends_at_the_first_arrival_at_the_level():
    values = np.array([[0.0, 1.0, 2.0], [10.0, 11.0, 12.0], [20.0, 21.0, 22.0]])
    confidence = np.array([[0.95, 0.5, 0.5], [0.2, 0.9, 0.5], [0.5, 0.5, 0.5]])
    # The first query ends at once, the second after two replies, the third with the last reply.
    assert stopped(values, confidence, 0.9).tolist() == [0.0, 11.0, 22.0]


def test_the_tuned_level_keeps_its_bound_and_the_artefact_keeps_it(fitted, tmp_path):
    tuned = fitted.pool.patience
    assert tuned is not None
    assert 0.5 <= tuned.level <= 0.99
    assert max(tuned.loss, tuned.limit) <= 0.003
    fitted.save_pretrained(tmp_path / "router")
    assert SelectLLMClassifier.from_pretrained(tmp_path / "router").pool.patience == tuned
