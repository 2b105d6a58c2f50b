import json

import numpy as np
import pytest

from langchain_selectllm import SelectLLMClassifier, evaluate, label_from_agreement
from langchain_selectllm.exceptions import OutcomeError
from tests.support.worlds import demo_table, reply_table, score_table


def test_right_is_who_agrees_with_the_vote_of_all_samples():
    # Query 0: A has 4 of 6 ballots; query 1: B 3 of 5, one abstention; query 2: A and B 3 each; query 3: nobody answers.
    table = reply_table(
        [["AA", "AB", "AB"], ["BB", "B-", "CC"], ["AA", "BB", "AB"], ["--", "--", "--"]],
        gold=["D", "D", "D", "D"],
    )
    labelled = label_from_agreement(table)
    assert labelled.references == ("A", "B", None, None)
    nan = np.nan
    np.testing.assert_array_equal(labelled.scores, [[1, 0.5, 0.5], [1, 0.5, 0], [nan] * 3, [nan] * 3])
    # A tie within a member goes to the answer it gave first.
    np.testing.assert_array_equal(labelled.labels, [[1, 1, 1], [1, 1, 0], [nan] * 3, [nan] * 3])


def test_no_reference_is_needed_and_none_is_used():
    with_gold = reply_table([["A", "A", "B"]] * 3, gold=["B", "B", "B"])
    without = reply_table([["A", "A", "B"]] * 3, gold=[None, None, None])
    np.testing.assert_array_equal(
        label_from_agreement(with_gold).scores, label_from_agreement(without).scores
    )


def test_an_unobserved_cell_stays_unobserved():
    table = reply_table([["A", "A", ""], ["A", "A", "B"]], gold=[None, None])
    np.testing.assert_array_equal(label_from_agreement(table).scores, [[1, 1, np.nan], [1, 1, 0]])


def test_without_replies_or_without_any_decided_vote_there_is_nothing_to_agree_with():
    with pytest.raises(OutcomeError, match="hold no replies to compare"):
        label_from_agreement(score_table([[1, 0], [0, 1]]))
    with pytest.raises(OutcomeError, match="tied on every query"):
        label_from_agreement(reply_table([["A", "B"], ["C", "-"]][:1], gold=[None]))


def test_artefact_card_and_report_are_marked(tmp_path):
    train, test = demo_table(tmp_path, n_queries=120).split(0.3, seed=0)
    marked = SelectLLMClassifier().fit(label_from_agreement(train))
    marked.save_pretrained(tmp_path / "marked")
    loaded = SelectLLMClassifier.from_pretrained(tmp_path / "marked")
    assert loaded.summary.labels_from == "agreement with the pool's own vote"
    assert json.loads((tmp_path / "marked" / "config.json").read_text())["training"][
        "labels_from"
    ].startswith("agreement")
    assert "Trained without references" in (tmp_path / "marked" / "README.md").read_text()
    assert evaluate(loaded, label_from_agreement(test)).verdict.startswith(
        "Measured as agreement with the pool's own vote"
    )

    plain = SelectLLMClassifier().fit(train)
    plain.save_pretrained(tmp_path / "plain")
    assert "Trained without references" not in (tmp_path / "plain" / "README.md").read_text()
    assert evaluate(plain, test).labels_from == "references"


def test_one_member_labelled_by_agreement_marks_the_whole(tmp_path):
    table = demo_table(tmp_path, n_queries=120)
    first, *others = table.members
    classifier = SelectLLMClassifier().fit(table.subset(others))
    classifier.add_member(first, label_from_agreement(table))
    assert classifier.summary.labels_from.startswith("agreement")
