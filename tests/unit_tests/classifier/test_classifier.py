from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm.classifier.calibration import StackedCalibration
from langchain_selectllm.classifier.heads import LinearHeads
from langchain_selectllm.classifier.logistic import fit_logistic
from langchain_selectllm.classifier.metrics import calibration_error, classifier_metrics
from langchain_selectllm.encoders import SparseRows
from langchain_selectllm.exceptions import MemberMismatchError, NotFittedError, OutcomeError
from tests.support.worlds import demo_table, score_table


def topic_table(n=240, seed=0):
    """Member 0 is right on topic 0, member 1 on topic 1, member 2 always, member 3 never."""
    topic = np.arange(n) % 3
    noise = np.random.default_rng(seed).random(n) < 0.05
    columns = [(topic == 0) ^ noise, (topic == 1) ^ noise, np.ones(n), np.zeros(n)]
    return score_table(np.stack(columns, axis=1))


def test_it_learns_who_is_right_where():
    probabilities = (
        SelectLLMClassifier()
        .fit(topic_table())
        .predict_proba(
            [
                "question number 7 about topic0",
                "question number 7 about topic1",
                "question number 7 about topic2",
            ]
        )
    )
    assert probabilities.shape == (3, 4)
    assert probabilities[0, 0] > 0.8 > 0.2 > probabilities[1, 0]
    assert probabilities[1, 1] > 0.8 > 0.2 > probabilities[2, 1]


@pytest.mark.parametrize(("is_slow", "sizes"), [(False, [2, 2, 1]), (True, [5])])
def test_many_texts_are_encoded_part_by_part_but_those_of_a_model_at_once(
    fitted, monkeypatch, is_slow, sizes
):
    texts = ["What is 2 + 2?", "", "Name the capital of Spain.", "x", "def f(x): return x"]
    alone = [fitted.predict_proba([text])[0] for text in texts]
    monkeypatch.setattr("langchain_selectllm.classifier.fitted._TEXTS_AT_ONCE", 2)
    kind, encoded = type(fitted.learned.encoder), []
    encode = kind.encode
    monkeypatch.setattr(kind, "encode", lambda self, some: encoded.append(len(some)) or encode(self, some))
    monkeypatch.setattr(kind, "is_slow", is_slow)
    np.testing.assert_array_equal(fitted.predict_proba(texts), alone)
    assert encoded == sizes


def test_members_that_are_always_right_or_wrong_are_a_normal_case():
    probabilities = SelectLLMClassifier().fit(topic_table()).predict_proba(["question number 1 about topic1"])
    assert probabilities[0, 2] > 0.99
    assert probabilities[0, 3] < 0.01


def test_unobserved_cells_do_not_become_wrong_answers():
    scores = topic_table().scores.copy()
    scores[np.arange(len(scores)) % 2 == 0, 2] = np.nan
    classifier = SelectLLMClassifier().fit(score_table(scores))
    assert classifier.predict_proba(["question number 2 about topic2"])[0, 2] > 0.98
    assert classifier.pool.base_rates[2] == 1.0
    assert classifier.summary.outcomes["m2"] == 120


def test_rates_are_learned_as_rates():
    classifier = SelectLLMClassifier().fit(score_table(np.full((200, 1), 0.3)))
    assert classifier.predict_proba(["question number 3 about topic0"])[0, 0] == pytest.approx(0.3, abs=0.01)


def test_the_same_outcomes_give_the_same_bits(demo, fitted, freshly_fitted):
    texts = demo[1].texts
    np.testing.assert_array_equal(freshly_fitted.predict_proba(texts), fitted.predict_proba(texts))
    assert freshly_fitted.learned.digest == fitted.learned.digest


def test_batch_equals_single(demo, fitted):
    texts = list(demo[1].texts[:20])
    alone = np.concatenate([fitted.predict_proba([text]) for text in texts])
    np.testing.assert_array_equal(fitted.predict_proba(texts), alone)


def test_a_blank_text_gets_the_base_rates(fitted):
    np.testing.assert_array_equal(fitted.predict_proba(["", " \n"]), np.tile(fitted.pool.base_rates, (2, 1)))


def test_no_text_gives_no_row_and_a_bare_string_is_refused(fitted):
    assert fitted.predict_proba([]).shape == (0, 5)
    with pytest.raises(TypeError, match="Give a list of strings"):
        fitted.predict_proba("a prompt")


def test_it_says_when_it_is_not_fitted():
    with pytest.raises(NotFittedError, match="Call fit"):
        SelectLLMClassifier().predict_proba(["x"])


@pytest.mark.parametrize("validation", [0.0, 0.6, -1])
def test_validation_out_of_range_is_refused(demo, validation):
    with pytest.raises(ValueError, match="Use a share greater than 0 and at most 0.5"):
        SelectLLMClassifier(validation=validation).fit(demo[0])


def test_unfamiliar_texts_get_the_base_rates():
    classifier = SelectLLMClassifier().fit(topic_table())
    rates = classifier.pool.base_rates
    np.testing.assert_allclose(classifier.predict_proba(["zyx wvu tsr"])[0], rates)
    half_known = classifier.predict_proba(["question number zyx wvu about topic0"])[0, 0]
    assert rates[0] < half_known < classifier.predict_proba(["question number 7 about topic0"])[0, 0]


def test_too_few_outcomes_are_refused():
    with pytest.raises(OutcomeError, match="1 training queries are too few"):
        SelectLLMClassifier().fit(score_table([[1, 0]]))
    with pytest.raises(OutcomeError, match="No outcome of 'm1' is observed"):
        SelectLLMClassifier().fit(score_table([[1, 0], [1, np.nan], [0, np.nan]]).take([1, 2]))


def test_a_handful_of_queries_is_enough_to_run():
    assert SelectLLMClassifier().fit(score_table([[1, 0], [0, 1], [1, 1]])).predict_proba(["x"]).shape == (
        1,
        2,
    )


def test_an_added_member_leaves_the_others_bit_for_bit(tmp_path):
    table = demo_table(tmp_path, n_queries=200)
    old = ["calculator", "clockmaker", "generalist", "guesser"]
    classifier = SelectLLMClassifier().fit(table.subset(old))
    before, weights = classifier.predict_proba(table.texts), classifier.learned.heads.weights
    classifier.add_member("reader", table)
    after = classifier.predict_proba(table.texts)
    assert classifier.members == (*old, "reader")
    np.testing.assert_array_equal(after[:, :4], before)
    np.testing.assert_array_equal(classifier.learned.heads.weights[:4], weights)
    counting = np.array(table.categories) == "counting"
    assert after[counting, 4].mean() > after[~counting, 4].mean() + 0.2
    assert len(classifier.pool.fixed_sets[5]) == 5
    with pytest.raises(MemberMismatchError, match="'reader' is a member already"):
        classifier.add_member("reader", table)


def test_an_added_member_may_be_observed_alone(tmp_path):
    table = demo_table(tmp_path, n_queries=200)
    classifier = SelectLLMClassifier().fit(table.subset(["calculator", "reader"]))
    classifier.add_member("guesser", table.subset(["guesser"]))
    assert max(classifier.pool.fixed_sets) == 2
    classifier.save_pretrained(tmp_path / "grown")
    grown = SelectLLMClassifier.from_pretrained(tmp_path / "grown")
    np.testing.assert_array_equal(grown.predict_proba(table.texts), classifier.predict_proba(table.texts))


def test_training_queries_are_known_by_id(demo, fitted):
    assert fitted.trained_on(demo[0]).all()
    assert not fitted.trained_on(demo[1]).any()


def test_a_logistic_fit_of_one_rate_is_its_smoothed_log_odds():
    (model,) = fit_logistic(np.ones((3, 2)), np.array([[1.0], [1.0], [np.nan]]), c=1.0, seed=0)
    # (2 + 1/2) / (2 + 1) = 5/6.
    assert model.weights.tolist() == [0, 0]
    assert model.bias == pytest.approx(np.log(5))


def test_a_column_is_fitted_alike_alone_and_beside_columns_observed_elsewhere():
    features = np.random.default_rng(0).normal(size=(40, 3))
    scores = (features @ np.array([[1.0, 0.0, -1.0], [0.0, 1.0, 0.5], [2.0, 1.0, 0.0]]) > 0).astype(float)
    scores[:9, 1] = np.nan
    scores[3, 2] = 0.25
    together = fit_logistic(features, scores, c=1.0, seed=0)
    for k, model in enumerate(together):
        (alone,) = fit_logistic(features, scores[:, [k]], c=1.0, seed=0)
        assert alone.weights.tolist() == model.weights.tolist()
        assert alone.bias == model.bias


def test_two_threads_that_fit_at_once_get_what_each_gets_alone():
    rows = np.arange(60)
    values = np.random.default_rng(0).normal(size=60).astype(np.float32)
    features = SparseRows(np.arange(61), rows % 7, values, 7)
    scores = np.random.default_rng(1).integers(0, 2, size=(60, 20)).astype(float)

    def weights(seed: int) -> list[list[float]]:
        return [model.weights.tolist() for model in fit_logistic(features, scores, c=1.0, seed=seed)]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(weights, (0, 1) * 5)) == [weights(0), weights(1)] * 5


def test_calibration_is_identity_on_heads_it_never_saw_change():
    heads = LinearHeads.identity(2)
    logits = heads.logits(np.array([[0.5, -1.0]], dtype=np.float32))
    assert logits.tolist() == [[0.5, -1.0]]
    calibration = StackedCalibration(np.eye(2), np.zeros((0, 2)), np.zeros(2))
    np.testing.assert_allclose(calibration.probabilities(logits, np.zeros((1, 0))), 1 / (1 + np.exp(-logits)))


def test_metrics_by_hand():
    labels = np.array([[1.0, 0], [1, 1], [0, np.nan], [0, 0]])
    probabilities = np.array([[0.9, 0.2], [0.4, 0.7], [0.6, 0.9], [0.1, 0.3]])
    metrics = classifier_metrics(probabilities, labels, np.array([0.6, 0.4]))
    # Member 0: predicted {0, 2}, right {0, 1}: F1 = 1/2. Member 1: predicted {1} (row 2 unobserved), right {1}: F1 = 1.
    assert metrics["f1_macro"] == pytest.approx(0.75)
    assert metrics["f1_weighted"] == pytest.approx((2 * 0.5 + 1 * 1.0) / 3)
    # Prior only: member 0 always predicted (F1 = 2/3), member 1 never (F1 = 0).
    assert metrics["f1_macro_prior"] == pytest.approx(1 / 3)
    # Member 0: 3 of the 4 pairs (right, wrong) are in order; member 1: both.
    assert metrics["auroc_macro"] == pytest.approx((3 / 4 + 1) / 2)
    squares = [0.01, 0.36, 0.36, 0.01, 0.04, 0.09, 0.09]
    assert metrics["brier"] == pytest.approx(np.mean(squares))


def test_calibration_error_by_hand():
    # Two bins: confidence 0.9 with accuracy 1/2, confidence 0.1 with accuracy 0.
    assert calibration_error(np.array([0.9, 0.9, 0.1, 0.1]), np.array([1, 0, 0, 0])) == pytest.approx(
        0.5 * 0.4 + 0.5 * 0.1
    )


def test_metrics_of_members_with_one_label_are_still_numbers():
    metrics = classifier_metrics(np.full((2, 1), 0.9), np.ones((2, 1)), np.ones(1))
    assert metrics["auroc_macro"] is None
    assert metrics["f1_weighted"] == 1.0
