"""The pool of like members: diets, training and graded replies at a very small size."""

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra `embedded`)")

from tests.support.worlds import score_table

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
import like_members
from like_members import DIETS, collect, likeness, train_members
from train_embedded_pool import batches, build_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.mark.parametrize("name", DIETS)
def test_no_member_is_trained_on_words_with_its_letters(name, tokenizer):
    diet = DIETS[name]
    unseen = tokenizer.convert_tokens_to_ids(list(diet.unseen))
    consonants = tokenizer.convert_tokens_to_ids(list("bcdfghklmnprstvw"))
    seen = set()
    for ids, _ in itertools.islice(batches(diet, tokenizer), 3):
        seen |= set(ids.ravel().tolist())
    assert not seen & set(unseen)
    assert seen >= set(consonants) - set(unseen)


def test_trained_members_reply_with_token_probabilities_and_are_not_trained_again(tmp_path, monkeypatch):
    small = {name: replace(diet, steps=1, width=16, layers=1) for name, diet in DIETS.items()}
    monkeypatch.setattr(like_members, "DIETS", small)
    train_members(tmp_path)
    table = collect(tmp_path, 12)
    assert table.members == tuple(DIETS)
    assert table.scores.shape == (12, 5)
    assert any(figures is not None for cell in table.token_probabilities.ravel() for figures in cell)
    monkeypatch.setattr(like_members, "train", None)
    train_members(tmp_path)


def correlated(rng, share):
    """Scores of five members, right on two thirds; a share of the queries is right or wrong for all of them."""
    scores = rng.random((3000, 5)) < 2 / 3
    together = rng.random(3000) < share
    scores[together] = scores[together, :1]
    return scores.astype(float)


def test_likeness_tells_independent_members_from_correlated_and_unequal_ones():
    rng = np.random.default_rng(0)
    scores = correlated(rng, 0.0)
    assert "**not" not in " ".join(likeness(score_table(scores)))
    assert "**not hardly correlated**" in " ".join(likeness(score_table(correlated(rng, 0.3))))
    scores[:, 0] *= rng.random(3000) < 0.8
    assert "**not close**" in " ".join(likeness(score_table(scores)))
