import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_selectllm import OutcomeTable
from langchain_selectllm.answers import get_extractor
from langchain_selectllm.answers.json_value import JsonExtractor

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ('{"b": 1, "a": [1.0, 2.5]}', '{"a": [1, 2.5], "b": 1}'),
        ('Here it is:\n```json\n{"a": 1}\n```\nDone.', '{"a": 1}'),
        ('First ```json\n{"a": 1}\n``` then\n```\n{"a": 2}\n```', '{"a": 2}'),
        ('I think {"a": {"b": [1, 2]}} is right.', '{"a": {"b": [1, 2]}}'),
        ('Not {"a": 1}, rather {"a": 2}', '{"a": 2}'),
        ("3.0", "3"),
        ("[0.1, 0.30000000000000004]", "[0.1, 0.3]"),
        ('"yes"', '"yes"'),
        ('{"a": NaN}', None),
        ('{"a": 1', None),
        ("no idea", None),
        ("", None),
        ("[" * 100_000, None),
    ],
)
def test_the_json_that_a_reply_arrives_at(reply, answer):
    assert JsonExtractor().extract(reply) == answer


@given(VALUES, st.booleans())
def test_spelling_changes_nothing(value, indented):
    spelled = json.dumps(value, indent=2 if indented else None, ensure_ascii=indented)
    assert get_extractor("json").extract(spelled) == JsonExtractor().canonical(json.dumps(value))


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=3))
def test_an_object_is_found_within_a_sentence(value):
    assert JsonExtractor().extract(f"So it is {json.dumps(value)} in the end.") == JsonExtractor().canonical(
        json.dumps(value)
    )


def test_outcomes_are_graded_as_json():
    table = OutcomeTable.from_records(
        [{"query_id": "q", "query": "?", "reference": '{"a": 1, "b": 2}', "answer_type": "json"}],
        [
            {"query_id": "q", "model": "right", "response": 'Sure: {"b": 2.0, "a": 1}'},
            {"query_id": "q", "model": "wrong", "response": '{"a": 1}'},
        ],
    )
    assert table.scores.tolist() == [[1, 0]]
