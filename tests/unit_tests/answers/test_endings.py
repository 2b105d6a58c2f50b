import pytest

from langchain_selectllm.answers import get_extractor, read_answer
from langchain_selectllm.answers.choice import ChoiceExtractor
from langchain_selectllm.answers.code import CodeExtractor
from langchain_selectllm.answers.endings import REFUSAL, Ending, ending_of, finish_reason_of
from langchain_selectllm.answers.json_value import JsonExtractor
from langchain_selectllm.answers.number import NumberExtractor
from langchain_selectllm.answers.semantic import SemanticAnswers
from langchain_selectllm.answers.text import TextExtractor


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"additional_kwargs": {"refusal": "No."}, "response_metadata": {"finish_reason": "stop"}}, REFUSAL),
        ({"content": [{"type": "refusal", "refusal": ""}]}, REFUSAL),
        ({"content": ["text", {"type": "text", "text": "x"}]}, None),
        ({"response_metadata": {"finish_reason": "content_filter"}}, "content_filter"),
        ({"response_metadata": {"stop_reason": "refusal"}}, "refusal"),
        ({"response_metadata": {"done_reason": "length"}}, "length"),
        ({"response_metadata": {"stopReason": "guardrail_intervened"}}, "guardrail_intervened"),
        ({"response_metadata": {"incomplete_details": {"reason": "max_output_tokens"}}}, "max_output_tokens"),
        ({"additional_kwargs": {"refusal": None}}, None),
    ],
)
def test_the_finish_reason_is_found_where_its_provider_puts_it(fields, reason):
    empty = {"content": "", "additional_kwargs": {}, "response_metadata": {}}
    assert finish_reason_of(**{**empty, **fields}) == reason


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        (None, Ending.COMPLETE),
        ("stop", Ending.COMPLETE),
        ("tool_calls", Ending.COMPLETE),
        ("refusal", Ending.REFUSED),
        ("SAFETY", Ending.REFUSED),
        ("MAX_TOKENS", Ending.CUT_OFF),
        ("length", Ending.CUT_OFF),
    ],
)
def test_providers_words_mean_complete_refused_or_cut_off(reason, ending):
    assert ending_of(reason) is ending


@pytest.mark.parametrize(
    "extractor", [NumberExtractor(), TextExtractor(), ChoiceExtractor(), JsonExtractor(), get_extractor(str)]
)
def test_a_refused_reply_abstains_whatever_it_says(extractor):
    assert read_answer(extractor, "12", finish_reason="refusal") is None
    assert read_answer(extractor, "The answer is (B).", finish_reason="content_filter") is None


@pytest.mark.parametrize(
    ("extractor", "reply", "answer"),
    [
        (NumberExtractor(), "Let me think. 17 * 20 = 340", None),
        (NumberExtractor(), "The answer is 340. I check: 17 * 20 is", "340"),
        # Perhaps 3400, had it gone on.
        (NumberExtractor(), "The answer is 340", None),
        (NumberExtractor(), r"So \boxed{340}", "340"),
        (NumberExtractor(), "It is 5 in all.\n\nQuestion: how many are", "5"),
        (ChoiceExtractor(), "B", "B"),
        (ChoiceExtractor(), "The answer is (C). (A) is wrong because", "C"),
        (ChoiceExtractor(), "(A) means that it is so, and (B) is the", None),
        (TextExtractor(), "I'm glad to help. There are several", None),
        (TextExtractor(), "Answer: Paris\nIt lies on the", "paris"),
        (JsonExtractor(), '{"a": {"b": 1}, "c": ', None),
        (JsonExtractor(), '{"a": 1}', '{"a": 1}'),
        (JsonExtractor(), '```json\n{"a": 1}\n```\nThis object', '{"a": 1}'),
        (CodeExtractor(), "```\nx = f(1)\ny = ", None),
        (CodeExtractor(), "```\nx = f(1)\n```\nThis assigns", CodeExtractor().extract("```\nx = f(1)\n```")),
        (SemanticAnswers(lambda texts: [[1.0]] * len(texts)), "Water boils at", None),
        # A callable alone knows which statements of a reply commit it.
        (get_extractor(str.upper), "final: a", "FINAL: A"),
    ],
)
def test_a_reply_that_was_cut_off_abstains_unless_it_had_stated_its_answer(extractor, reply, answer):
    assert read_answer(extractor, reply, finish_reason="length") == answer


def test_a_complete_reply_is_read_as_ever():
    assert read_answer(NumberExtractor(), "17 * 20 = 340", finish_reason="stop") == "340"
    assert read_answer(NumberExtractor(), "17 * 20 = 340") == "340"
