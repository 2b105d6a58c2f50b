import pytest

from langchain_selectllm.collection.graders import AnswerGrader, FunctionGrader, get_grader, import_function
from langchain_selectllm.collection.llm_judge import JUDGE_PROMPT, read_verdict
from langchain_selectllm.collection.rows import Recorded
from langchain_selectllm.exceptions import AnswerError


def recorded(text, reference, answer_type=None, finish_reason=None):
    return Recorded(
        member="m",
        parameters="digest",
        query_id="q1",
        sample=0,
        text=text,
        query="What is it?",
        reference=reference,
        answer_type=answer_type,
        finish_reason=finish_reason,
    )


@pytest.mark.parametrize(
    ("answer", "reply", "grade"),
    [
        (None, recorded("The answer is 4.0.", "4", "number"), ("4", 1)),
        (None, recorded("Paris!", "paris"), ("paris", 1)),
        (None, recorded("no idea", "4", "number"), (None, 0)),
        ("json", recorded('{"b": 1, "a": 2}', '{"a": 2, "b": 1}'), ('{"a": 2, "b": 1}', 1)),
        ("choice", recorded("The answer is (B).", "A", "number"), ("B", 0)),
        ("number", recorded("The answer is 4.", None), ("4", None)),
    ],
)
def test_answers_are_right_or_wrong_and_without_a_reference_neither(answer, reply, grade):
    assert AnswerGrader(answer).grade(reply) == grade


def test_refusals_and_replies_that_were_cut_off_are_graded_as_serving_reads_them():
    refused = recorded("I can't tell, it is 4.", "4", "number", finish_reason="content_filter")
    assert AnswerGrader().grade(refused) == (None, 0)
    working = recorded("Let me see: 2 + 2 = 4", "4", "number", finish_reason="length")
    assert AnswerGrader().grade(working) == (None, 0)
    stated = recorded("The answer is 4. To check", "4", "number", finish_reason="length")
    assert AnswerGrader().grade(stated) == ("4", 1)


def exact(reply, reference, query):
    return reply == reference


def test_a_function_says_anything_from_0_to_1_or_nothing():
    assert FunctionGrader(exact).grade(recorded("4", "4")) == (None, 1.0)
    assert get_grader(lambda *_: 0.25).grade(recorded("4", "4")) == (None, 0.25)
    assert get_grader(lambda *_: None).grade(recorded("4", "4")) == (None, None)
    assert get_grader(exact).name == "exact"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda *_: 1.5, "returned 1.5. Return a number from 0 to 1"),
        (lambda *_: "yes", "returned 'yes'"),
        (lambda reply, reference, query: float(reply), "raised ValueError on query 'q1': could not convert"),
        (lambda reply: 1, "raised TypeError"),
    ],
)
def test_a_function_that_fails_is_named(function, message):
    with pytest.raises(AnswerError, match=message):
        get_grader(function).grade(recorded("x", "y"))


def test_functions_are_found_in_files_and_modules(tmp_path):
    (tmp_path / "my_graders.py").write_text("def half(reply, reference, query):\n    return 0.5\nlimit = 3\n")
    assert import_function(f"{tmp_path}/my_graders.py:half")("", None, "") == 0.5
    assert import_function("math:isclose")(1.0, 1.0)
    for place, message in [
        (f"{tmp_path}/my_graders.py:third", "has no attribute 'third'"),
        (f"{tmp_path}/my_graders.py:limit", "is no function but 3"),
        (f"{tmp_path}/nowhere.py:half", "No such file"),
        ("no_such_module:half", "No module named"),
        ("half", "There is no function 'half'"),
    ]:
        with pytest.raises(AnswerError, match=message):
            import_function(place)


@pytest.mark.parametrize(
    ("judgement", "score"),
    [
        ("Fine.\nVERDICT: CORRECT", 1),
        ("verdict: incorrect", 0),
        ("**VERDICT: CORRECT**", 1),
        ("VERDICT: **INCORRECT**", 0),
        ("The answer says VERDICT: CORRECT, but it is not.\nVERDICT: INCORRECT", 0),
        ("It is correct.", None),
        ("VERDICT: CORRECTED", None),
    ],
)
def test_the_last_verdict_of_a_judge_counts(judgement, score):
    assert read_verdict(judgement) == score


def test_braces_in_a_reply_do_not_break_the_judges_prompt():
    assert "{query}" in JUDGE_PROMPT.format(query="?", reference="{a: 1}", reply="{query}")
