import json
import uuid

import numpy as np
import pytest
from langchain_core.messages import AIMessage

from langchain_selectllm import (
    FeedbackLog,
    OutcomeTable,
    SelectLLMClassifier,
    SelectLLMRouter,
    VotingOutputParser,
)
from langchain_selectllm.evaluation import evaluate
from langchain_selectllm.exceptions import EncoderError, LeakageError, OutcomeError
from langchain_selectllm.outcomes import combine
from langchain_selectllm.routing.feedback import member_scores
from tests.support.worlds import score_table, scripted


@pytest.fixture
def log(tmp_path):
    return FeedbackLog(tmp_path / "feedback")


@pytest.fixture(scope="module")
def classifier():
    return SelectLLMClassifier().fit(score_table([[1, 1, 0], [1, 0, 1], [1, 1, 0], [0, 1, 0]] * 4))


@pytest.fixture(scope="module")
def outcomes(demo):
    """40 queries of the simulated members."""
    return demo[0].take(np.arange(40))


@pytest.fixture
def loaded(outcomes_router):
    """A classifier that was fitted on `outcomes`, saved and loaded: it no longer knows them."""
    return SelectLLMClassifier.from_pretrained(outcomes_router)


@pytest.fixture(scope="module")
def outcomes_router(outcomes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("feedback") / "router"
    SelectLLMClassifier().fit(outcomes).save_pretrained(folder)
    return folder


def router(classifier, log=None, letters="ABB", answer="choice", **kwargs):
    models = scripted({f"m{k}": letter for k, letter in enumerate(letters)})
    parser = VotingOutputParser(answer=answer, vote="majority")
    return SelectLLMRouter(
        classifier=classifier,
        models=models,
        policy="all_members",
        parser=parser,
        early_stop=False,
        feedback_log=log,
        **kwargs,
    )


def test_the_score_goes_to_every_member_that_gave_the_answer(classifier, log):
    routed = router(classifier, log)
    message = routed.invoke("Which?")
    assert routed.feedback(message, 0.5) == {"m1": 0.5, "m2": 0.5}
    assert routed.feedback(message.response_metadata["selectllm"], 0.5) == {"m1": 0.5, "m2": 0.5}
    table = log.outcomes()
    assert (table.members, table.texts) == (("m1", "m2"), ("Which?",))
    assert table.scores.tolist() == [[0.5, 0.5]]


def test_a_right_answer_makes_other_answers_to_a_closed_question_wrong(classifier, log):
    routed = router(classifier, log)
    assert routed.feedback(routed.invoke("Which?"), 1.0) == {"m0": 0.0, "m1": 1.0, "m2": 1.0}


def test_nothing_follows_for_the_others_from_a_wrong_answer_or_free_text(classifier, log):
    routed = router(classifier, log)
    assert routed.feedback(routed.invoke("Which?"), 0.0) == {"m1": 0.0, "m2": 0.0}
    free = router(classifier, log, answer="text")
    assert free.feedback(free.invoke("Which?"), 1.0) == {"m1": 1.0, "m2": 1.0}


def test_where_nobody_was_readable_the_stand_in_gets_the_score(classifier, log):
    routed = router(classifier, log, answer=lambda _: None)
    message = routed.invoke("Which?")
    assert routed.feedback(message, 1.0) == {message.response_metadata["selectllm"]["winner"]: 1.0}


def test_member_scores_by_hand():
    told = {
        "answer": "B",
        "winner": "b",
        "answers": {"a": "A", "b": "B", "c": None, "d": "B"},
        "supporters": ["b", "d"],
        "open_ended": False,
    }
    assert member_scores(told, 1.0) == {"b": 1.0, "d": 1.0, "a": 0.0, "c": 0.0}
    assert member_scores(told, 0.9) == {"b": 0.9, "d": 0.9}


def test_a_decision_for_one_member_can_be_scored_and_one_for_several_cannot(classifier, log):
    models = scripted({"m0": "A", "m1": "A", "m2": "A"})
    # m0 and m1 answer 12 of 16 right, and m0 comes first.
    single = SelectLLMRouter(classifier=classifier, models=models, policy="single_best", feedback_log=log)
    assert single.feedback(single.decide("Which?"), 1.0) == {"m0": 1.0}
    with pytest.raises(OutcomeError, match=r"for 3 members \(m0, m1, m2\)"):
        log.add(router(classifier).decide("Which?"), 1.0)


def test_repeated_feedback_is_appended_as_further_samples(classifier, log, tmp_path):
    routed = router(classifier, log)
    message = routed.invoke("Which?")
    log.add(message, 0.0)
    before = (tmp_path / "feedback" / "responses" / "m1.jsonl").read_bytes()
    log.add(message, 0.5, comment="on second thoughts")
    after = (tmp_path / "feedback" / "responses" / "m1.jsonl").read_bytes()
    assert after.startswith(before)
    assert json.loads(after.splitlines()[-1])["comment"] == "on second thoughts"
    assert log.outcomes().scores.tolist() == [[0.25, 0.25]]
    assert len(log.outcomes()) == 1


def test_a_log_opened_again_goes_on_where_it_stopped(classifier, log, tmp_path):
    routed = router(classifier)
    routed.invoke("Which?", {"callbacks": [log], "run_id": (run := uuid.uuid4())})
    log.add(routed.invoke("Which?"), 0.5)
    again = FeedbackLog(tmp_path / "feedback")
    again.add(routed.invoke("Which?"), 0.5)
    assert again.add(run, 0.5) == {"m1": 0.5, "m2": 0.5}
    assert len(again.outcomes()) == 1


def test_feedback_that_cannot_be_placed_is_refused(classifier, log):
    message = router(classifier).invoke("Which?")
    for score in (1.5, -0.1, "good", None, float("nan")):
        with pytest.raises(OutcomeError, match="The score is"):
            log.add(message, score)
    with pytest.raises(OutcomeError, match=r"has no response_metadata\['selectllm'\]"):
        log.add(AIMessage("x"), 1.0)
    with pytest.raises(OutcomeError, match="The mapping has no 'answers', 'supporters'"):
        log.add({"text": "Which?", "answer": "B", "winner": "m1", "open_ended": False}, 1.0)
    with pytest.raises(OutcomeError, match="was not seen by this log"):
        log.add(uuid.uuid4(), 1.0)
    with pytest.raises(OutcomeError, match="has no feedback_log"):
        router(classifier).feedback(message, 1.0)


def test_two_tables_become_one_by_hand():
    old = score_table([[1, 0], [0, np.nan]], members=["a", "b"])
    new = OutcomeTable.from_records(
        [
            {"query_id": "q0001", "query": old.texts[1]},
            {"query_id": "z", "query": old.texts[0]},
            {"query_id": "k", "query": "new"},
        ],
        [
            {"query_id": "q0001", "model": "b", "response": None, "score": 1.0},
            {"query_id": "z", "model": "b", "response": None, "score": 1.0},
            {"query_id": "k", "model": "b", "response": "r", "score": 0.4, "cost_usd": 2.0},
        ],
    )
    both = combine(old, new)
    assert both.query_ids == ("k", "q0000", "q0001")
    # k: new alone. q0000: 0 and, by its text, 1. q0001: observed by the new table.
    assert both.scores.tolist() == pytest.approx(
        np.array([[np.nan, 0.4], [1.0, 0.5], [0.0, 1.0]]), nan_ok=True
    )
    assert both.labels.tolist() == pytest.approx(
        np.array([[np.nan, 0.0], [1.0, 1.0], [0.0, 1.0]]), nan_ok=True
    )
    assert both.replies[0].tolist() == [(), ("r",)]
    assert both.costs[0, 1] == 2.0


def test_tables_that_contradict_each_other_are_refused():
    old = score_table([[1, 0], [0, 1]], members=["a", "b"])
    with pytest.raises(OutcomeError, match="of 'c' too"):
        combine(old, score_table([[1]], members=["c"]))
    other = OutcomeTable.from_records(
        [{"query_id": "q0000", "query": "another"}],
        [{"query_id": "q0000", "model": "a", "response": None, "score": 1}],
    )
    with pytest.raises(OutcomeError, match="'q0000' has another text"):
        combine(old, other)


@pytest.mark.newest
def test_an_update_rests_on_old_and_new_outcomes_and_says_how_many():
    words = {"apple": [1, 0], "pear": [0, 1]}
    queries = [
        {"query_id": f"q{i}", "query": f"about {word} number {i}"}
        for i in range(40)
        for word in [[*words][i % 2]]
    ]
    replies = [
        {"query_id": f"q{i}", "model": name, "response": None, "score": float(words[[*words][i % 2]][k])}
        for i in range(40)
        for k, name in enumerate("ab")
    ]
    training = OutcomeTable.from_records(queries, replies)
    classifier = SelectLLMClassifier().fit(training)
    before = classifier.predict_proba(["about apple number 7"])[0]
    assert before[0] > before[1]
    # By now b answers what is about apples, and a does not any more.
    new = OutcomeTable.from_records(
        [{"query_id": f"f{i}", "query": f"about apple number {i} again"} for i in range(200)],
        [
            {"query_id": f"f{i}", "model": name, "response": None, "score": score}
            for i in range(200)
            for name, score in (("a", 0.0), ("b", 1.0))
            if name == "a" or i < 150
        ],
    )
    classifier.update(new, training=training)
    after = classifier.predict_proba(["about apple number 7"])[0]
    assert after[0] < before[0]
    assert after[1] > before[1]
    assert classifier.summary.outcomes == {"a": 240, "b": 190}
    with pytest.raises(LeakageError):
        evaluate(classifier, new)
    # Once more, on everything so far.
    more = score_table([[1, 1]] * 5, members=["a", "b"])
    again = SelectLLMClassifier().fit(training).update(new).update(more)
    assert again.summary.outcomes == {"a": 245, "b": 195}
    classifier.update(more, training=combine(training, new))
    assert classifier.learned.digest == again.learned.digest


def test_an_update_with_feedback_is_saved_like_any_other(loaded, outcomes, log, tmp_path):
    models = scripted(dict.fromkeys(loaded.members, "A"))
    parser = VotingOutputParser(answer="choice", vote="majority")
    routed = SelectLLMRouter(
        classifier=loaded,
        models=models,
        policy="all_members",
        parser=parser,
        feedback_log=log,
        early_stop=False,
    )
    for i in range(20):
        routed.feedback(routed.invoke(f"A new question {i}"), 1.0)
    loaded.update(log.outcomes(), training=outcomes)
    assert loaded.summary.outcomes == dict.fromkeys(outcomes.members, 60)
    loaded.save_pretrained(tmp_path / "updated")
    again = SelectLLMClassifier.from_pretrained(tmp_path / "updated")
    assert again.summary.outcomes == loaded.summary.outcomes
    assert np.array_equal(again.predict_proba(["x"]), loaded.predict_proba(["x"]))


def test_scores_of_one_prompt_are_one_outcome_which_is_their_mean(log):
    known = score_table([[1, 1, 0], [1, 0, 1]] * 8)
    classifier = SelectLLMClassifier().fit(known)
    routed = router(classifier, log)
    for score in (0.0, 0.0, 0.5, 0.5):
        routed.feedback(routed.invoke("A new question"), score)
    classifier.update(log.outcomes())
    assert classifier.summary.outcomes == {"m0": 16, "m1": 17, "m2": 17}
    assert log.outcomes().scores.tolist() == [[0.25, 0.25]]


@pytest.mark.newest
def test_a_classifier_that_does_not_know_its_training_outcomes_asks_for_them(loaded, outcomes, demo):
    with pytest.raises(OutcomeError, match=r"training outcomes are unknown: .* Give them as `training`"):
        loaded.update(demo[1])
    new = score_table([[1] * 5] * 2, members=loaded.members)
    assert loaded.update(new.take([0]), training=outcomes).update(new.take([1])).summary.n_queries == 42
    # The outcomes of an added member are not those that the other members were fitted on.
    grown = SelectLLMClassifier().fit(outcomes.subset(["reader", "guesser"]))
    grown.add_member("calculator", outcomes)
    with pytest.raises(OutcomeError, match="Give them as `training`"):
        grown.update(demo[1])


def test_an_update_without_the_training_outcomes_is_refused(fitted, demo):
    with pytest.raises(OutcomeError, match=r"280 of 280 training queries are missing in `training`"):
        fitted.update(demo[1], training=demo[1])


def test_an_encoder_trained_on_outcomes_cannot_be_kept(classifier):
    class Supervised:
        supervised = True
        name = "fine-tune:x"

    from dataclasses import replace

    copy = SelectLLMClassifier()
    copy._state = replace(classifier.learned, encoder=Supervised())
    with pytest.raises(EncoderError, match="'fine-tune:x' was trained on outcomes itself"):
        copy.update(score_table([[1, 1, 1]]), training=score_table([[1, 1, 1]]))
