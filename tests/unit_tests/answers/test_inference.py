import pytest

from langchain_selectllm.answers.inference import infer_answer_type

OPTIONS = "Which?\n(A) one\n(B) two"


@pytest.mark.parametrize(
    ("query", "reference", "kind"),
    [
        ("2 + 2?", "4", "number"),
        ("How much?", "$1,234.50", "number"),
        ("Which share?", "3/4", "number"),
        ("Which share?", "25 %", "number"),
        ("A worked one.", "He has 3 + 4 = 7.\n#### 7", "number"),
        (OPTIONS, "B", "choice"),
        (OPTIONS, "(a)", "choice"),
        # A letter that the query does not offer, a time and a quantity with its unit are texts.
        (OPTIONS, "C", "text"),
        ("Which letter?", "B", "text"),
        ("When?", "12:30", "text"),
        ("How many?", "18 apples", "text"),
        ("Where?", "London", "text"),
    ],
)
def test_the_reference_decides(query, reference, kind):
    assert infer_answer_type(query, reference, ["replies do not count then"]) == kind


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        (["The answer is 4.", "5"], "number"),
        (["(A)", "Answer: B", "I cannot tell."], "choice"),
        (["A", "no"], "text"),
        (["", " "], "text"),
        ([], "text"),
    ],
)
def test_without_a_reference_more_than_half_of_the_replies_decide(replies, kind):
    assert infer_answer_type(OPTIONS, None, replies) == kind
