"""Patience: the lead from which stragglers are not waited for."""

from dataclasses import replace

import numpy as np

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm.selection.patience import last_arrivals, orders_of_arrival, waiting_times

TIMES = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 5.0], [3.0, 3.0, 3.0, 9.0]])
LEAD = np.array([[0.95, 0.5, 0.5, 0.5], [0.2, 0.9, 0.5, 0.9], [0.5, 0.5, 0.5, 0.5]])


def test_a_vote_ends_at_the_first_arrival_at_the_level_once_most_replies_are_in():
    ends = last_arrivals(TIMES, LEAD, level=0.9, after_s=0.0)
    # The first reply of the first query leads alone: one of three says nothing of the others.
    assert ends.tolist() == [2, 1, 2, 1]
    assert waiting_times(TIMES, ends, after_s=0.0).tolist() == [3.0, 2.0, 3.0, 5.0]
    ends = last_arrivals(TIMES, LEAD, level=0.5, after_s=0.0)
    assert ends.tolist() == [2, 1, 1, 1]


def test_a_vote_that_leads_ends_when_the_others_are_late():
    ends = last_arrivals(TIMES, LEAD, level=0.9, after_s=2.5)
    assert ends.tolist() == [2, 1, 2, 1]
    # The second one leads from 2 s on and ends at 2.5 s, the last at its arrival after 5 s.
    assert waiting_times(TIMES, ends, after_s=2.5).tolist() == [3.0, 2.5, 3.0, 5.0]


def test_losses_are_averaged_over_the_recorded_order_and_those_of_other_queries():
    times = np.random.default_rng(1).lognormal(0.0, 1.0, (50, 3))
    recorded, *others = orders_of_arrival(times, times.shape, seed=0)
    np.testing.assert_array_equal(recorded, times)
    assert len(others) == 4
    for other in others:
        assert (other != times).any()
        # Every member keeps its own latencies.
        np.testing.assert_array_equal(np.sort(other, axis=0), np.sort(times, axis=0))
    unknown = orders_of_arrival(None, (50, 3), seed=0)
    assert len({order.tobytes() for order in unknown}) == 5


def test_recorded_latencies_give_the_level_seconds(demo):
    outcomes = demo[0]
    outcomes = replace(
        outcomes, latencies=np.random.default_rng(0).lognormal(0.0, 1.0, outcomes.scores.shape)
    )
    timed = SelectLLMClassifier().fit(outcomes).pool.patience
    unknown = (
        SelectLLMClassifier()
        .fit(replace(outcomes, latencies=np.full(outcomes.scores.shape, np.nan)))
        .pool.patience
    )
    assert timed.after_s > 0.0
    assert max(timed.loss, timed.limit) <= 0.003
    assert unknown.after_s == 0.0
    assert timed.level < unknown.level


def test_the_tuned_level_keeps_its_bound_and_the_artefact_keeps_it(fitted, tmp_path):
    tuned = fitted.pool.patience
    assert tuned is not None
    assert 0.5 <= tuned.level <= 0.99
    assert max(tuned.loss, tuned.limit) <= 0.003
    fitted.save_pretrained(tmp_path / "router")
    assert SelectLLMClassifier.from_pretrained(tmp_path / "router").pool.patience == tuned


def test_latencies_of_zero_are_no_order_of_arrival(demo):
    outcomes = replace(demo[0], latencies=np.zeros(demo[0].scores.shape))
    tuned = SelectLLMClassifier().fit(outcomes).pool.patience
    assert tuned is not None
    assert tuned.after_s == 0.0
