import numpy as np
import pytest

from langchain_selectllm.answers.looks import N_LOOKS, candidate_looks, option_looks
from langchain_selectllm.answers.options import read_options

SUM = "What is 40 + 8?\n(A) 48\n(B) 24\n(C) 480\n(D) 50\n(E) 96"
N_OPTIONS, NUMERIC, ORDERED, NEGATED = 0, 3, 4, 6
PLACE, LONGEST, SHORTEST, ALL, NONE, FROM_STEM, IS_NUMBER, RANK, SQUARED, DISTANCE = range(7, 17)
LENGTH, NEAR = 17, 45


def test_a_number_is_told_by_its_place_among_the_others() -> None:
    looks = option_looks(SUM)
    assert looks.shape == (5, N_LOOKS)
    assert looks[:, N_OPTIONS].tolist() == [5] * 5
    assert looks[:, NUMERIC].tolist() == [1] * 5
    assert looks[:, PLACE].tolist() == [-1, -0.5, 0, 0.5, 1]
    # 24 < 48 < 50 < 96 < 480: shares of smaller ones, and half of the equal ones, less a half.
    assert looks[:, RANK].tolist() == pytest.approx([-0.2, -0.4, 0.4, 0.0, 0.2])
    assert looks[:, SQUARED].tolist() == pytest.approx([0.16, 0.64, 0.64, 0.0, 0.16])
    assert looks[:, DISTANCE].tolist() == pytest.approx([abs(np.log((1 + x) / 51)) for x in (48, 24, 480, 50, 96)])


def test_the_number_that_others_slipped_from_stands_out() -> None:
    # A usual factor from 48: 24, 480, 96; from 24: 48, 96; from 96: 48, 24; from 480: 48; from 50: none.
    shares = np.array([3, 2, 1, 0, 2]) / 4
    assert option_looks(SUM)[:, NEAR].tolist() == pytest.approx(((shares - shares.mean()) / shares.std()).tolist())


def test_words_are_told_by_length_and_by_what_they_say_of_the_others() -> None:
    looks = option_looks("Which is not red?\n(A) a rose\n(B) a red rose\n(C) all of the above\n(D) none of these")
    assert looks[:, NEGATED].all()
    assert not looks[:, [NUMERIC, ORDERED, RANK, DISTANCE]].any()
    assert looks[:, LONGEST].tolist() == [0, 0, 1, 0]
    assert looks[:, SHORTEST].tolist() == [1, 0, 0, 0]
    assert looks[:, ALL].tolist() == [0, 0, 1, 0]
    assert looks[:, NONE].tolist() == [0, 0, 0, 1]
    assert looks[:, LENGTH].mean() == pytest.approx(0)
    assert looks[:, LENGTH].std() == pytest.approx(1)


def test_options_made_of_the_questions_numbers_and_in_order() -> None:
    looks = option_looks("Of 3 and 5, which?\n(A) 3\n(B) 4\n(C) 5")
    assert looks[:, FROM_STEM].tolist() == [1, 0, 1]
    assert looks[:, ORDERED].tolist() == [1, 1, 1]


def test_a_candidate_looks_like_the_option_it_names_and_anything_else_like_nothing() -> None:
    looks = candidate_looks(SUM, ["C", "48", "A", "F"])
    assert np.array_equal(looks[[0, 2]], option_looks(SUM)[[2, 0]])
    assert not looks[[1, 3]].any()
    assert not candidate_looks("What is 40 + 8?", ["48"]).any()
    assert not candidate_looks(None, ["A"]).any()
    assert option_looks("What is 40 + 8?").shape == (0, N_LOOKS)


def test_the_stem_ends_where_the_last_options_begin() -> None:
    shown = "First?\n(A) 1\n(B) 2\nAnswer: A\n\nSecond?\n(A) 3\n(B) 4"
    assert read_options(shown).stem.endswith("Second?\n")
    assert dict(read_options(shown).texts) == {"A": "3", "B": "4"}
    assert read_options("No options.").stem == "No options."


@pytest.mark.parametrize("odd", ["9" * 400, "1e999", "-", "", "٣٤", "−−5", "1,,,2", "x" * 100_000, "$", "e5"])
def test_odd_options_are_figures_all_the_same(odd: str) -> None:
    looks = option_looks(f"Which?\n(A) {odd}\n(B) 2\n(C) 3\n(D) 5")
    assert np.isfinite(looks).all()
