"""Figures of token log-probabilities, by hand arithmetic."""

import math
from types import SimpleNamespace

import pytest

from langchain_selectllm.answers.token_probabilities import (
    VERSION,
    WINDOW,
    TokenProbabilities,
    TokenProbabilitiesError,
    read_token_probabilities,
)
from tests.support.logprobs import chat_logprobs, entry, stated_letter


def read(logprobs, answer):
    return read_token_probabilities({"logprobs": logprobs}, answer)


def test_the_letter_the_reply_names_last_is_the_answer_and_other_letters_are_alternatives():
    said = chat_logprobs(
        entry("Not", -1.0),
        entry(" B", -3.0, B=0.05, C=0.9),
        entry(", so (", 0.0),
        entry("B", math.log(0.5), B=0.5, C=0.25),
        entry(")", 0.0),
    )
    found = read(said, "B")
    assert found.mean == pytest.approx((-1.0 - 3.0 + math.log(0.5)) / 5)
    assert found.lowest_window == found.mean  # five tokens are fewer than a window
    assert found.answer == "B"
    assert found.answer_mean == pytest.approx(math.log(0.5))
    assert found.answers == pytest.approx({"B": math.log(0.5), "C": math.log(0.25)})
    # Shares 1/2, 1/4 and the remaining 1/4.
    assert found.answer_entropy == pytest.approx(0.5 * math.log(2) + 2 * 0.25 * math.log(4))
    assert found.log_probability_of("C") == pytest.approx(math.log(0.25))
    assert found.log_probability_of("A") is None
    assert found.log_probability_of(None) is None


def test_ways_of_writing_a_letter_add_up():
    said = chat_logprobs(
        entry("Answer:", 0.0), entry(" A", math.log(0.5), **{" A": 0.5, "A": 0.25, " (D": 0.125})
    )
    assert read(said, "A").answers == pytest.approx({"A": math.log(0.75), "D": math.log(0.125)})


def test_a_number_of_several_tokens_is_the_sum_and_the_mean_over_them():
    said = chat_logprobs(
        entry("12 + 30 is 42? The answer is ", -0.5), entry("4", -1.0), entry("2", -2.0), entry(".", 0.0)
    )
    found = read(said, "42")
    assert (found.answers, found.answer_mean) == ({"42": -3.0}, -1.5)
    assert found.answer_entropy is None  # no alternatives came


def test_the_lowest_window_is_the_least_sure_stretch():
    sure, unsure = [entry("x", -0.1)] * 50, [entry("y", -2.0)] * WINDOW
    found = read(chat_logprobs(*sure, *unsure, *sure), None)
    assert found.lowest_window == pytest.approx(-2.0)
    assert found.mean == pytest.approx((100 * -0.1 + WINDOW * -2.0) / (100 + WINDOW))
    assert (found.answer, found.answer_mean, found.answers) == (None, None, {})


def test_text_after_the_reply_proper_names_no_answer():
    said = chat_logprobs(entry("(", 0.0), entry("A", -0.25), entry(")\n\nQuestion: ", -0.5), entry("A", -4.0))
    assert read(said, "A").answers == {"A": -0.25}


@pytest.mark.parametrize(
    "logprobs",
    [
        [{"token": "(", "logprob": 0.0}, {"token": "B", "logprob": -0.5, "top_logprobs": []}],  # Ollama
        {"tokens": ["(", "B"], "token_logprobs": [0.0, -0.5], "text_offset": [0, 1]},  # completions
        {"content": [{"token": "(", "logprob": 0.0}, {"token": "B", "logprob": -0.5, "top_logprobs": None}]},
    ],
)
def test_other_shapes_mean_the_same(logprobs):
    found = read(logprobs, "B")
    assert (found.mean, found.answers) == (-0.25, {"B": -0.5})


def test_ollamas_objects_mean_the_same_as_mappings():
    said = [SimpleNamespace(token="B", logprob=-0.5, top_logprobs=[SimpleNamespace(token="C", logprob=-2.0)])]
    assert read(said, "B").answers == {"B": -0.5, "C": -2.0}


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        [],
        {"content": None},
        {"content": []},
        {"content": "text"},
        {"tokens": ["a"], "token_logprobs": []},
        {"content": [{"token": "a", "logprob": None}]},
        {"content": [{"token": "a", "logprob": float("nan")}]},
        {"content": [{"token": "a", "logprob": -0.5}, {"token": None, "logprob": -0.5}]},
        "yes",
    ],
)
def test_what_cannot_be_read_is_unknown_and_not_certain(logprobs):
    assert read(logprobs, "a") is None


def test_an_improbable_token_does_not_decide_every_mean():
    # OpenAI sends -9999 for it; it counts as -20.
    assert read(chat_logprobs(entry("a", -9999.0), entry("b", 0.0)), None).mean == -10.0


def test_fields_come_back_as_they_were_and_leave_unknown_figures_out():
    figures = read(stated_letter("B", 0.5, C=0.25), "B")
    assert TokenProbabilities.from_fields(figures.to_fields()) == figures
    assert TokenProbabilities(mean=-0.5).to_fields() == {"version": VERSION, "mean": -0.5}


def test_figures_of_another_version_are_unknown():
    assert TokenProbabilities.from_fields({"version": "0", "mean": -0.5}) is None
    assert TokenProbabilities.from_fields(None) is None


@pytest.mark.parametrize(
    "fields",
    [
        "much",
        {"version": VERSION, "mean": 0.5},
        {"version": VERSION, "mean": "-0.5"},
        {"version": VERSION, "answer_entropy": float("inf")},
        {"version": VERSION, "answer": 3},
        {"version": VERSION, "answers": [-0.5]},
        {"version": VERSION, "answers": {"A": None}},
    ],
)
def test_malformed_fields_are_an_error(fields):
    with pytest.raises(TokenProbabilitiesError):
        TokenProbabilities.from_fields(fields)
