import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_selectllm.exceptions import PolicyError
from langchain_selectllm.voting.ballots import ABSTAIN, make_ballots
from langchain_selectllm.voting.tally import tally
from langchain_selectllm.voting.votes import (
    LogOddsVote,
    MajorityVote,
    RunningScores,
    WeightedVote,
    count_votes,
    get_vote,
)

NAMES = ["a", "b", "c", "d"]


def vote(strategy, answers, probabilities, latencies=None, order=None):
    order = order or range(len(answers))
    ballots = make_ballots(
        slots=list(order),
        answers=[answers[i] for i in order],
        probabilities=np.array(probabilities),
        latencies=None if latencies is None else np.array(latencies),
    )
    return tally(strategy, ballots, members=NAMES[: len(answers)])


def test_majority_counts_ballots():
    result = vote(MajorityVote(), ["x", "y", "y"], [0.9, 0.2, 0.2])
    assert (result.answer, result.winner, result.scores) == ("y", "b", {"x": 1.0, "y": 2.0})
    assert result.support == pytest.approx(2 / 3)
    assert str(result) == "y"


def test_weighted_sums_probabilities():
    # 0.9 against 0.2 + 0.3.
    result = vote(WeightedVote(), ["x", "y", "y"], [0.9, 0.2, 0.3])
    assert result.answer == "x"
    assert result.scores == {"x": pytest.approx(0.9), "y": pytest.approx(0.5)}


def test_log_odds_follow_the_formula():
    # log(0.8 * 9 / 0.2) = log 36 against 2 log(0.5 * 9 / 0.5) = 2 log 9 = log 81.
    result = vote(LogOddsVote(n_options=10), ["x", "y", "y"], [0.8, 0.5, 0.5])
    assert result.answer == "y"
    assert result.scores["x"] == pytest.approx(np.log(36))
    assert result.scores["y"] == pytest.approx(np.log(81))


def test_log_odds_ignore_a_member_no_better_than_a_guess():
    assert vote(LogOddsVote(n_options=2), ["x", "y"], [0.4, 0.51]).scores["x"] == 0


def test_a_tie_goes_to_the_larger_summed_probability():
    probabilities = [0.3, 0.6]
    result = vote(MajorityVote(), ["x", "y"], probabilities)
    assert result.scores["x"] == result.scores["y"]
    assert (result.answer, result.decided_by) == ("y", "tie rule")


def test_a_tie_of_probabilities_goes_to_the_lower_recorded_latency():
    result = vote(MajorityVote(), ["x", "y"], [0.5, 0.5], latencies=[2.0, 1.0])
    assert result.answer == "y"


def test_a_full_tie_goes_to_pool_order():
    assert vote(MajorityVote(), ["x", "y"], [0.5, 0.5]).answer == "x"
    assert vote(MajorityVote(), ["y", "x"], [0.5, 0.5], latencies=[1.0, 1.0]).answer == "y"


def test_abstentions_do_not_vote_and_all_abstaining_is_said():
    assert vote(MajorityVote(), [None, None, "x"], [0.9, 0.9, 0.1]).answer == "x"
    empty = vote(MajorityVote(), [None, None], [0.9, 0.8])
    assert (empty.answer, empty.winner, empty.decided_by) == (None, None, "no readable answer")


def test_the_winner_is_the_most_probable_supporter():
    assert vote(MajorityVote(), ["x", "x", "y"], [0.2, 0.7, 0.9]).winner == "b"


def test_samples_of_one_member_are_all_counted():
    ballots = make_ballots(slots=[0, 0, 1], answers=["x", "x", "y"], probabilities=np.array([0.1, 0.9]))
    result = tally(MajorityVote(), ballots, members=["a", "b"])
    assert result.answers == {"a": "x", "a#2": "x", "b": "y"}
    assert result.answer == "x"


answers_and_probabilities = st.lists(
    st.tuples(st.sampled_from(["x", "y", "z", None]), st.sampled_from([0.1, 0.25, 0.5, 0.7])),
    min_size=1,
    max_size=4,
)


@given(
    answers_and_probabilities,
    st.randoms(use_true_random=False),
    st.sampled_from(["majority", "weighted", "log_odds"]),
)
def test_order_of_arrival_does_not_change_the_vote(ballots, rng, name):
    answers, probabilities = [a for a, _ in ballots], [p for _, p in ballots]
    order = list(range(len(ballots)))
    rng.shuffle(order)
    assert vote(get_vote(name), answers, probabilities, order=order) == vote(
        get_vote(name), answers, probabilities
    )


def running(strategy, answers, probabilities):
    scores = RunningScores(strategy, np.asarray(probabilities))
    for member, answer in enumerate(answers):
        scores.add(member, answer)
    return scores


@settings(max_examples=200)
@given(answers_and_probabilities, st.sampled_from(["majority", "weighted", "log_odds"]), st.data())
def test_a_vote_settled_early_is_never_overturned(ballots, name, data):
    answers, probabilities = [a for a, _ in ballots], np.array([p for _, p in ballots])
    received = data.draw(st.integers(0, len(ballots)))
    strategy, slots = get_vote(name), range(received)
    so_far = make_ballots(slots=slots, answers=answers[:received], probabilities=probabilities)
    candidates = so_far.candidates[0]
    if running(strategy, answers[:received], probabilities).is_settled(range(received, len(ballots))):
        winner = count_votes(strategy, so_far).winners[0]
        early = None if winner == ABSTAIN else candidates[winner]
        for late in ["x", "y", "z", None, "w"]:
            final = [*answers[:received], *[late] * (len(ballots) - received)]
            assert vote(strategy, final, probabilities.tolist()).answer == early


def test_two_of_three_equal_ballots_settle_a_majority_early():
    assert running(MajorityVote(), ["x", "x"], [0.5] * 3).is_settled([2])
    assert not running(MajorityVote(), ["x"], [0.5] * 3).is_settled([2])
    # A tie would go to the tie rule, so that one against nothing is not settled with one outstanding.
    assert not running(MajorityVote(), ["x", None], [0.5] * 3).is_settled([2])


def test_a_vote_without_weights_is_settled_by_the_last_ballot_only():
    class Longest:
        name = "longest"

        def score(self, ballots):
            return ballots.summed(ballots.probabilities)

    assert not running(Longest(), ["x", "x"], [0.9, 0.9, 0.1]).is_settled([2])
    assert running(Longest(), ["x", "x", "y"], [0.9, 0.9, 0.1]).is_settled([])


def test_unknown_votes_are_refused():
    with pytest.raises(PolicyError, match="Vote 'loudest' is unknown"):
        get_vote("loudest")
