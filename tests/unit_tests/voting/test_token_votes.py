"""Token probabilities in the learned vote: what they shift, when they count, and that they are saved."""

from dataclasses import replace

import numpy as np
import pytest

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm.answers.token_probabilities import TokenProbabilities
from langchain_selectllm.evaluation.replay import Recording
from langchain_selectllm.selection.policy_names import parse_policy
from langchain_selectllm.voting.recorded_votes import RecordedVotes
from langchain_selectllm.voting.token_calibration import TokenCalibration
from langchain_selectllm.voting.token_signals import TokenSignals, log_odds, reply_figures
from tests.support.worlds import sure_table


@pytest.fixture(scope="module")
def fitted():
    return SelectLLMClassifier().fit(sure_table())


def without_tokens(table):
    cells = table.token_probabilities.copy()
    for at in np.ndindex(cells.shape):
        cells[at] = tuple([None] * len(cells[at]))
    return replace(table, token_probabilities=cells)


def test_log_odds_of_a_log_probability_are_bounded():
    assert log_odds(np.log(0.75)) == pytest.approx(np.log(3))
    assert (log_odds(0.0), log_odds(-20.0)) == (13.8, -13.8)


def test_figures_about_another_answer_are_unknown():
    figures = TokenProbabilities(
        mean=np.log(0.75), answer="B", answer_mean=np.log(0.5), answers={"B": np.log(0.5), "A": np.log(0.25)}
    )
    own = reply_figures(figures, "B")
    np.testing.assert_allclose(own[:5], [0, 0, 0, 0, np.log(3)], atol=1e-12)
    assert np.isnan(own[5:]).all()
    # The reply is read as A now: its letter's own probability is known, the mean over the tokens of B is not.
    read_anew = reply_figures(figures, "A")
    assert read_anew[0] == pytest.approx(-np.log(3))
    assert np.isnan(read_anew[3])
    assert np.isnan(reply_figures(figures, "C")[0])


def test_a_letter_beyond_the_most_probable_ones_is_less_probable_and_not_unknown():
    signals = TokenSignals.empty(n=1, n_slots=1, n_candidates=3)
    figures = TokenProbabilities(answer="B", answers={"B": np.log(0.5), "A": np.log(0.375)})
    signals.fill(0, 0, figures, "B", ["B", "A", "D"])
    # An eighth is left for D.
    np.testing.assert_allclose(
        signals.candidates[0, 0], [0.0, np.log(0.375 / 0.625), np.log(1 / 7)], rtol=1e-5
    )


def test_shifts_have_mean_zero_in_training_and_unknown_figures_shift_nothing():
    table = sure_table(silent=["m2"])
    recorded = RecordedVotes.from_outcomes(table)
    ballots = recorded.ballots(np.full((400, 3), 0.6), np.full(3, np.nan))
    calibration = TokenCalibration.fit(
        recorded.tokens,
        members=recorded.slots,
        own=recorded.codes,
        right=recorded.candidate_scores(ballots),
        log_odds=np.zeros((400, 3)),
    )
    assert calibration.members.tolist() == [True, True, False]
    shifts = calibration.shifts(recorded.tokens, recorded.slots, recorded.codes)
    np.testing.assert_allclose(shifts.own.mean(axis=0), 0, atol=1e-6)
    assert not shifts.own[:, 2].any()
    right = table.scores[:, 0] == 1
    assert shifts.own[right, 0].mean() > shifts.own[~right, 0].mean() + 0.5


def test_replies_that_tell_right_from_wrong_make_a_better_vote_and_a_surer_confidence(fitted):
    test = sure_table(seed=1)
    loud, silent = (
        Recording.of(table, fitted).replay_policy("all_members", parse_policy("learned:3"))
        for table in (test, without_tokens(test))
    )
    assert fitted.pool.vote.tokens is not None
    assert loud.score.mean() > silent.score.mean() + 0.05
    assert (
        np.mean((loud.confidence - loud.score) ** 2) < np.mean((silent.confidence - silent.score) ** 2) - 0.02
    )


def test_one_member_alone_is_as_confident_as_it_sounds(fitted):
    test = sure_table(seed=1)
    replay = Recording.of(test, fitted).replay_policy("single", parse_policy("learned:1"))
    assert np.corrcoef(replay.confidence, replay.score)[0, 1] > 0.4


def test_without_any_figures_the_vote_is_the_one_that_was_fitted_without_them(fitted):
    vote = fitted.pool.vote
    recording = Recording.of(without_tokens(sure_table(seed=1)), fitted)
    ballots = recording.votes.ballots(recording.probabilities, recording.pool.latencies)
    assert ballots.tokens is None
    np.testing.assert_array_equal(vote.posterior(ballots), vote.without_tokens.posterior(ballots))
    plain = SelectLLMClassifier().fit(without_tokens(sure_table()))
    assert plain.pool.vote.tokens is None
    np.testing.assert_array_equal(plain.pool.vote.answer_weights, vote.without_tokens.answer_weights)


def test_queries_are_voted_on_one_by_one(fitted):
    """Figures on some queries leave the votes on the others as they are."""
    test = sure_table(seed=1)
    half = without_tokens(test).token_probabilities
    half[:200] = test.token_probabilities[:200]
    posteriors = []
    for table in (test, without_tokens(test), replace(test, token_probabilities=half)):
        recording = Recording.of(table, fitted)
        ballots = recording.votes.ballots(recording.probabilities, recording.pool.latencies)
        posteriors.append(fitted.pool.vote.posterior(ballots))
    # A product over another number of rows differs in its last bit.
    np.testing.assert_allclose(
        posteriors[2], np.vstack([posteriors[0][:200], posteriors[1][200:]]), rtol=1e-14
    )


def test_the_guard_drops_figures_that_are_noise():
    assert SelectLLMClassifier().fit(sure_table(informed=False)).pool.vote.tokens is None


def test_the_vote_is_saved_with_its_calibration(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "router")
    loaded = SelectLLMClassifier.from_pretrained(tmp_path / "router")
    assert loaded.learned.digest == fitted.learned.digest
    recording = Recording.of(sure_table(seed=1), fitted)
    ballots = recording.votes.ballots(recording.probabilities, recording.pool.latencies)
    np.testing.assert_array_equal(loaded.pool.vote.posterior(ballots), fitted.pool.vote.posterior(ballots))
