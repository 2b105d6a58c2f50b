import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from langchain_selectllm.voting.ballots import medoids
from tests.support.meanings import meaning


def test_medoids_by_hand():
    agreement = np.array([[1, 0.9, 0], [0.9, 1, 0.85], [0, 0.85, 1]])
    # Mass: 1.9, 2.75, 1.85.
    assert medoids(agreement, np.ones(3)).tolist() == [1, 1, 1]
    # Without the middle one, everybody stands for itself.
    assert medoids(agreement, np.array([1.0, 0.0, 1.0])).tolist() == [0, 1, 2]


@given(st.lists(st.integers(0, 359), min_size=1, max_size=7), st.randoms())
def test_every_member_of_a_group_agrees_with_its_medoid_whatever_the_order(angles, random):
    texts = [f"at {a}" for a in dict.fromkeys(angles)]
    agreement = meaning().agreement(texts)
    stands_for = medoids(agreement, np.ones(len(texts)))
    assert all(agreement[i, m] > 0 for i, m in enumerate(stands_for))
    assert all(stands_for[m] == m for m in stands_for)
    shuffled = random.sample(texts, len(texts))
    again = medoids(meaning().agreement(shuffled), np.linspace(1, 2, len(texts)))
    weights = np.linspace(1, 2, len(texts))[[shuffled.index(text) for text in texts]]
    before = medoids(agreement, weights)
    assert {texts[i]: texts[m] for i, m in enumerate(before)} == {
        shuffled[i]: shuffled[m] for i, m in enumerate(again)
    }
