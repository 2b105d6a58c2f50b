import numpy as np
import pytest

from langchain_selectllm import OutcomeTable, SelectLLMClassifier
from langchain_selectllm.evaluation import evaluate
from langchain_selectllm.exceptions import OutcomeError
from langchain_selectllm.outcomes import check_readable, combine, reading_notice

N = 60


def table(reply, reference="{}", query="What is {} plus nothing?", n=N, **fields):
    """Two members that both reply to query i with `reply`, filled in with i."""
    queries = [
        {"query_id": f"q{i:03d}", "query": query.format(i), "reference": reference.format(i), **fields}
        for i in range(n)
    ]
    replies = [
        {"query_id": f"q{i:03d}", "model": member, "response": reply.format(i)}
        for i in range(n)
        for member in ("a", "b")
    ]
    return OutcomeTable.from_records(queries, replies)


def test_numbers_are_inferred_and_read_without_an_answer_type():
    outcomes = table("Let me think. With 3 steps, the sum is {}.")
    assert outcomes.scores.min() == 1.0
    assert outcomes.inferred_types == {"number": N}
    assert reading_notice(outcomes) == (
        "60 of 60 queries have no answer_type. Inferred from references and replies: number (60)."
    )
    assert reading_notice(table("{}", answer_type="number")) is None


def test_letters_of_options_that_the_query_shows_are_a_choice():
    options = "Which?\n(A) one\n(B) two {}"
    assert table("I say (B) is correct.", "B", options).inferred_types == {"choice": N}
    assert table("B", "B", "Which letter comes after A, {}?").inferred_types == {"text": N}


def test_a_short_text_is_read_out_of_a_longer_reply():
    outcomes = table("It lies on the Thames. The answer is London {}.", "London {}")
    assert outcomes.inferred_types == {"text": N}
    assert outcomes.scores.min() == 1.0


def test_without_references_the_replies_of_a_query_say_its_kind():
    queries = [{"query_id": "q", "query": "Which?\n(A) one\n(B) two"}]
    replies = [
        {"query_id": "q", "model": m, "response": r, "score": 1.0}
        for m, r in (("a", "A"), ("b", "(B)"), ("c", "Hm."))
    ]
    assert OutcomeTable.from_records(queries, replies).answer_types == ("choice",)
    # One of two is not more than half.
    assert OutcomeTable.from_records(queries, replies[1:]).answer_types == ("text",)


def test_scores_alone_have_no_kind():
    outcomes = OutcomeTable.from_records(
        [{"query_id": "q", "query": "?"}], [{"query_id": "q", "model": "a", "response": None, "score": 1.0}]
    )
    assert (outcomes.answer_types, outcomes.inferred_types) == ((None,), {})


def test_parts_and_sums_of_a_table_know_which_kinds_were_inferred():
    outcomes = table("{}")
    assert outcomes.take([0, 1]).inferred_types == {"number": 2}
    assert combine(outcomes.take([0, 1]), outcomes.take([1, 2])).inferred_types == {"number": 3}


def test_replies_that_are_never_right_stop_training_and_evaluation_with_one_line():
    outcomes = table("Let me think, it is {}", answer_type="text")
    line = (
        "60 text queries: no member is ever right. First reply 'Let me think, it is 0', read as "
        "'let me think, it is 0', reference '0'"
    )
    for stopped in (
        lambda: check_readable(outcomes),
        lambda: SelectLLMClassifier().fit(outcomes),
    ):
        with pytest.raises(OutcomeError) as caught:
            stopped()
        assert str(caught.value).startswith(line)
        assert "\n" not in str(caught.value)
    check_readable(outcomes, allow_unreadable=True)


def test_evaluation_stops_too_unless_it_is_allowed():
    trained = SelectLLMClassifier().fit(table("{}", query="Add {}."))
    unreadable = table("Let me think, it is {}", answer_type="text")
    with pytest.raises(OutcomeError, match="60 text queries: no member is ever right"):
        evaluate(trained, unreadable, policies=["max_conf:1"], allow_training_queries=True)
    report = evaluate(
        trained, unreadable, policies=["max_conf:1"], allow_training_queries=True, allow_unreadable=True
    )
    assert report.n_queries == N


def test_a_reply_that_cannot_be_read_is_shown_as_nothing():
    with pytest.raises(OutcomeError, match="60 number queries: .* 'No idea', read as None, reference '0'"):
        check_readable(table("No idea", answer_type="number"))


def test_nearly_all_wrong_is_doubted_and_few_queries_are_not():
    outcomes = table("No idea", answer_type="number", n=100)
    outcomes.scores[0] = [1.0, 0.0]
    with pytest.raises(OutcomeError, match=r"100 number queries: 0\.5 % of the replies are right"):
        check_readable(outcomes)
    # 3 of 200 replies are 1.5 %.
    outcomes.scores[:2] = [[1.0, 0.0], [1.0, 1.0]]
    check_readable(outcomes)
    check_readable(table("No idea", answer_type="number", n=19))


def test_unobserved_cells_are_no_wrong_replies():
    outcomes = table("{}")
    outcomes.scores[1:, 0] = np.nan
    check_readable(outcomes)
