import gc
import time

import pytest

from langchain_selectllm.answers import get_extractor, gold_answer
from langchain_selectllm.answers.choice import ChoiceExtractor
from langchain_selectllm.answers.number import NumberExtractor
from langchain_selectllm.answers.text import TextExtractor
from langchain_selectllm.exceptions import AnswerError

QUERY = "Which is a fruit?\nA. apple\nB. brick\nC. stone wall\nD. table"


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("The answer is (C).", "C"),
        ("**C**", "C"),
        ("C.", "C"),
        ("c", "C"),
        ("(B)", "B"),
        ("So the correct option is D because it is one.", "D"),
        ("Answer: B", "B"),
        ("It could be A. But no: the answer is (D).", "D"),
        ("stone wall", "C"),
        ("I think it is the apple.", "A"),
        ("['B']", "B"),
        (r"\boxed{A}", "A"),
        ("A dog is no fruit, and I am not sure.", None),
        ("The answer is (A) or (B).", None),
        ("The answer is (J).", None),
        ("", None),
        ("The answer is (B).\n\nQuestion: next one\nThe answer is (A).", "B"),
    ],
)
def test_a_choice_is_read_or_abstains(reply, letter):
    assert ChoiceExtractor().extract(reply, QUERY) == letter


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("The answer is (A). No, the answer is (B). Or the answer is (C)?\nAnswer: (D)", "D"),
        ("The answer is A. The answer is B. The answer is C.\n\n**Final answer:** C", "C"),
        ("(A) is correct, (B) is correct.\nThe correct answer: **B**.", "B"),
        # Such lines in a row are statements of a reply that runs in circles, or corrects itself.
        ("Answer: A\nAnswer: B\nAnswer: C\nAnswer: D", None),
        ("The answer is (A).\nThe answer is (B).\nThe answer is (C).", None),
        # The line was cut off, or is another statement.
        ("The answer is (A). The answer is (B). The answer is (C).\nAnswer: (D) or", None),
    ],
)
def test_a_last_line_that_is_nothing_but_the_answer_overrides_what_was_stated_before(reply, letter):
    assert ChoiceExtractor().extract(reply, QUERY) == letter


LONG = "Fruit grows on trees and shrubs, and people like to eat it with cream. " * 6


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        # A list of the options is opened, and not concluded.
        ("Now, consider each choice: (A) means that it grows on a tree. (B) means that it is", None),
        (LONG + "Let us go through every given option:\nA. apple, which grows", None),
        ("Here are the options:\nA. apple\nB. brick\nNone of them stands out", None),
        # ... or concluded further on, or before.
        ("Consider each option:\n(A) is a fruit.\n(B) is not.\nSo (A) is the best answer.", "A"),
        ("The answer is (B). To check each option: (A) would not do.", "B"),
        # The same words without a list state an answer.
        ("Of all that is offered, the best choice: (A), it grows on a tree.", "A"),
        ("Correct option: A\n\n(C) is too heavy.", "A"),
        # The letter that a list of the options is about to tell of.
        ("(A) grows on a tree.\n(B) is made of clay.\n(C)", None),
        # The reply was cut off in a sentence that happens to hold the text of an option.
        (LONG + "Some of it is kept behind a stone wall because", None),
        (LONG + "Some of it is kept behind a stone wall.", "C"),
        (LONG + "So what is meant is:\n\nC. stone wall\n", "C"),
        (LONG + "So what is meant is:\n\nstone wall", "C"),
        ("People keep fruit behind a stone wall because", "C"),
    ],
)
def test_lists_of_options_and_cut_off_sentences_state_nothing(reply, letter):
    assert ChoiceExtractor().extract(reply, QUERY) == letter


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("#### 18", "18"),
        ("A: 18", "18"),
        ("She pays $1,234.50 in all.", "1234.5"),
        ("The answer is -3.", "-3"),
        ("The answer is 3/4.", "0.75"),
        (r"\boxed{\frac{1}{3}}", "1/3"),
        ("so 25%", "25"),
        ("2 + 3 = 5 apples", "5"),
        ("The answer is 12 kilometres.", "12"),
        ("the total is <<2*3=6>>6", "6"),
        ("It is 0.50", "0.5"),
        ("The answer is 1.5e3", "1500"),
        ("nothing to see", None),
    ],
)
def test_a_number_is_read_by_its_exact_value(reply, number):
    assert NumberExtractor().extract(reply) == number


def test_texts_are_equal_up_to_case_space_and_closing_punctuation():
    assert TextExtractor().extract("  The  River Thames.\n") == TextExtractor().canonical("the river thames")
    assert TextExtractor().extract(" \n") is None


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("Let me think. The answer is 109.", "109"),
        ("Answer: **Paris**\n\nExplanation: it is the capital.", "paris"),
        ("The answer is Paris. I hope this helps!", "paris"),
        ("So the answer is Dr. Smith.", "dr. smith"),
        ("Final answer:\nthe River Thames", "the river thames"),
        ("Answer: no. Answer the door.\nAnswer: the answer is yes", "yes"),
        # Prose, and replies that state nothing, are their own answer.
        ("What is the answer?", "what is the answer"),
        ("Answer:", "answer"),
        (
            "The answer is that " + "it depends, and " * 10,
            "the answer is that " + "it depends, and " * 9 + "it depends, and",
        ),
    ],
)
def test_a_short_text_is_read_where_the_reply_states_it(reply, text):
    extractor = TextExtractor()
    assert extractor.extract(reply) == text
    assert extractor.canonical(text) == text


def test_a_callable_is_an_extractor_and_its_faults_are_named():
    extractor = get_extractor(lambda reply: reply[0] if reply else None)
    assert extractor.extract("yes") == "y"
    assert extractor.extract("") is None
    with pytest.raises(AnswerError, match="raised ZeroDivisionError"):
        get_extractor(lambda reply: str(1 / 0)).extract("x")
    with pytest.raises(AnswerError, match="returned 3, a int"):
        get_extractor(lambda reply: 3).extract("x")


def test_unknown_extractors_are_refused():
    with pytest.raises(AnswerError, match="Unknown answer extractor 'letters'"):
        get_extractor("letters")
    with pytest.raises(AnswerError, match="Unknown answer extractor 7"):
        get_extractor(7)


def test_a_reference_goes_through_the_same_canonical_form():
    number = get_extractor("number")
    assert number.extract("It costs $1,000.00") == gold_answer("1000", number) == "1000"
    with pytest.raises(AnswerError, match="reference 'five or so' is no number answer"):
        gold_answer("five or so", number)


@pytest.fixture
def uncollected():
    """Walking through what other tests left behind is not the reader's time."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("kind", ["choice", "number", "text"])
@pytest.mark.parametrize(
    "unit",
    [
        "answer is ",
        "1,",
        "(A) ",
        "= ",
        "\\boxed{",
        "Question: ",
        "9",
        "**",
        "A. x\n",
        "Answer: A\n",
        "Answer:  ",
        "each choice: (A)",
        "options: (A)\n",
    ],
)
def test_reading_takes_linear_time(kind, unit):
    extractor = get_extractor(kind)

    def seconds(n):
        text = unit * (n // len(unit))
        times = []
        for extra in range(3):
            start = time.thread_time()
            extractor.extract(text, text + " " * extra)
            times.append(time.thread_time() - start)
        return min(times)

    # A quadratic reader would need 256 times as long for sixteen times the text.
    assert seconds(320_000) < 100 * max(seconds(20_000), 0.001)
