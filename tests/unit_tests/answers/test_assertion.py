from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_selectllm.answers.assertion import asserted_number
from langchain_selectllm.answers.number import NumberExtractor

READ = NumberExtractor().extract


@pytest.mark.parametrize(
    ("sentence", "number"),
    [
        # The four replies of the report.
        ("in the remaining 24 liters of the mixed drink, there are 15 liters of water", "15"),
        ("Marcy's annual pension after quitting after 30 years would be $25,000.", "25000"),
        ("So he has 44 souvenir t-shirts, which means he has 44 quilt blocks in total.", "44"),
        ("400 feet * 3 / 6 = 200 feet\nThat is how far he walks.", "200"),
        # The number behind the main verb.
        ("With 6 tables per room, the room seats 48 guests.", "48"),
        ("Therefore, it takes Ann 2 weeks to save $80.", "2"),
        ("Since each pot needs 1 litre, they can fill 3 pots.", "3"),
        ("So 27 plants at $6 each are $162.", "162"),
        ("Half of 10 is 5.", "5"),
        ("The cloth costs $60 and the thread costs $20, for a total of $80.", "80"),
        ("We multiply 6 by 2, which gives us 12.", "12"),
        # Equal numbers are one number.
        ("The first team has 7 points, so the second one has 7 too.", "7"),
        # An aside repeats the working.
        ("Ben saves $34 (60 - 26).", "34"),
    ],
)
def test_the_number_that_the_last_sentence_asserts(sentence, number):
    assert READ(sentence) == number


@pytest.mark.parametrize(
    "sentence",
    [
        "Ann has 3 apples and Ben has 4 pears.",
        "To find the total, we multiply the 6 boxes by 12.",
        "Then we multiply the price by 3.",
        "The possible values are 4, 6 and 9.",
        "The minimum is reached for (x + 4)(y + 5).",
        "So he walked home.",
    ],
)
def test_several_numbers_operands_and_plans_assert_nothing(sentence):
    assert READ(sentence) is None


@pytest.mark.parametrize(
    "sentence",
    ["Now we solve this equation.", "This need not be the end.", "Ann goes home.", "Then we add the rest."],
)
def test_an_equation_is_no_answer_when_the_reply_goes_on_working(sentence):
    assert READ(f"3 * 4 = 12\n{sentence}") is None
    assert READ("3 * 4 = 12\nSo that is the answer.") == "12"


def test_a_label_in_bold_is_no_answer():
    assert READ("**Year 3:** the boat costs $882.") == "882"
    assert READ("**Year 3**: the boat costs $882.") == "882"
    assert READ("It costs **$882** in year 3 of 4.") == "882"


def test_a_long_reply_that_stops_within_a_sentence_of_several_numbers_abstains():
    working = "He counts them one by one. " * 20
    assert READ(f"{working}With 6 tables per room, the room seats 48 guests") is None
    assert READ(f"{working}With 6 tables per room, the room seats 48 guests.") == "48"


def test_a_result_is_stated_by_the_first_number_behind_the_last_equals_sign():
    assert asserted_number("12 = 3 * 4") is None
    assert asserted_number("5 = 2 + 3, or 6 - 1 = 5 apples") == Fraction(5)


@given(st.text(alphabet="so, he has 12. = and (the) 3 * 4", max_size=80))
def test_any_sentence_is_read_or_asserts_nothing(sentence):
    value = asserted_number(sentence)
    assert value is None or isinstance(value, Fraction)
