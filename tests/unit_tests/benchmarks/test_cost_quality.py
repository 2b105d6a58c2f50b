"""The figures of the comparison with the field's routers, by hand; the script itself needs recorded outcomes."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from cost_quality import average_improvement_in_quality, cost_of_quality, quality_at_cost, upper_hull

# (1, 0.2) and (3, 0.8) span the hull: (2, 0.4) lies below their line, which is at 0.5 there, and (4, 0.7) is dearer and worse.
COSTS, QUALITIES = np.array([3.0, 1.0, 4.0, 2.0]), np.array([0.8, 0.2, 0.7, 0.4])


def test_the_hull_leaves_out_what_is_dominated_by_one_point_or_a_mixture_of_two():
    costs, qualities = upper_hull(COSTS, QUALITIES)
    assert costs.tolist() == [1.0, 3.0]
    assert qualities.tolist() == [0.2, 0.8]


def test_a_point_above_the_line_is_a_corner():
    costs, _ = upper_hull(COSTS, np.array([0.8, 0.2, 0.7, 0.6]))
    assert costs.tolist() == [1.0, 2.0, 3.0]


def test_the_area_is_taken_over_the_range_of_costs_and_extended_flat():
    # From 1 to 3 the mean quality is 0.5, from 3 to 5 it is 0.8: (2 * 0.5 + 2 * 0.8) / 4.
    assert average_improvement_in_quality(COSTS, QUALITIES, 1.0, 5.0) == pytest.approx(0.65)
    # From 2, at 0.5, to 3, at 0.8.
    assert average_improvement_in_quality(COSTS, QUALITIES, 2.0, 3.0) == pytest.approx(0.65)


def test_a_better_point_beyond_the_dearest_cost_counts_only_by_the_line_that_leads_to_it():
    # The line from (1, 0) to (3, 1) is at 0.5 where the range ends.
    assert average_improvement_in_quality(
        np.array([1.0, 3.0]), np.array([0.0, 1.0]), 1.0, 2.0
    ) == pytest.approx(0.25)


def test_a_router_without_a_setting_cheap_enough_is_refused():
    with pytest.raises(ValueError, match=r"cheapest setting costs 1, more than 0\.5"):
        average_improvement_in_quality(COSTS, QUALITIES, 0.5, 5.0)


def test_quality_and_cost_are_read_from_the_hull():
    assert quality_at_cost(COSTS, QUALITIES, 2.0) == pytest.approx(0.5)
    assert quality_at_cost(COSTS, QUALITIES, 9.0) == pytest.approx(0.8)
    assert cost_of_quality(COSTS, QUALITIES, 0.5) == pytest.approx(2.0)
    assert cost_of_quality(COSTS, QUALITIES, 0.9) is None


@pytest.fixture(scope="module")
def two_kinds():
    """400 queries of two kinds that their embeddings tell apart; members 0 and 1 know one kind each, member 2 half of both."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2, 400)
    embeddings = rng.normal(scale=0.1, size=(400, 6))
    embeddings[np.arange(400), kinds] += 1.0
    scores = np.stack([kinds == 0, kinds == 1, rng.random(400) < 0.5], axis=1).astype(float)
    return embeddings, scores, kinds


@pytest.mark.parametrize("name", ["kNN", "MLP", "linear", "matrix factorisation", "k-means clusters"])
def test_every_peer_learns_whom_to_ask(two_kinds, name):
    pytest.importorskip("torch")
    from peer_routers import PEERS

    embeddings, scores, kinds = two_kinds
    (peer,) = [peer for peer in PEERS if peer.name == name]
    predicted = peer.train(embeddings[:300], scores[:300], seed=0)(embeddings[300:])
    assert predicted.shape == (100, 3)
    assert (predicted.argmax(axis=1) == kinds[300:]).mean() > 0.95
