from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from langchain_selectllm.exceptions import MemberMismatchError, PolicyError
from langchain_selectllm.selection.adaptive import Adaptive
from langchain_selectllm.selection.one_round_policies import LabelledMaxConf, MaxConf, WeightedMaxConf
from langchain_selectllm.selection.operating_points import CallingRule, OperatingPoint
from langchain_selectllm.selection.policy_names import default_policy, parse_policy, policy_name
from langchain_selectllm.selection.pool_statistics import PoolStatistics

NAN3 = np.full(3, np.nan)
POOL = PoolStatistics(
    ("a", "b", "c"), np.array([0.5, 0.7, 0.6]), NAN3, NAN3, {1: ("b",), 2: ("a", "c"), 3: ("a", "b", "c")}
)
P = np.array([[0.9, 0.2, 0.6], [0.3, 0.4, 0.1]])


def chosen(spec, probabilities=P):
    return parse_policy(spec).select(probabilities, POOL).mask.astype(int).tolist()


def test_each_policy_by_hand():
    assert chosen("max_conf:1") == [[1, 0, 0], [0, 1, 0]]
    assert chosen("max_conf:2") == [[1, 0, 1], [1, 1, 0]]
    assert chosen("weighted_max_conf:2") == chosen("max_conf:2")
    # Two of the first row are above 0.5; none of the second, so its most probable member alone.
    assert chosen("labelled_max_conf:3") == [[1, 0, 1], [0, 1, 0]]
    assert chosen("labelled_max_conf:1") == [[1, 0, 0], [0, 1, 0]]
    assert chosen("all_members") == [[1, 1, 1]] * 2
    assert chosen("single_best") == [[0, 1, 0]] * 2
    assert chosen("prior_only:2") == [[0, 1, 1]] * 2
    assert chosen("fixed_best:2") == [[1, 0, 1]] * 2


def test_the_fallback_of_labelled_max_conf_is_recorded():
    reasons = LabelledMaxConf(size=2).select(P, POOL).reasons
    assert reasons == (
        "up to 2 most probable members above 0.5",
        "no member above 0.5: the most probable one",
    )


def test_equal_probabilities_go_by_pool_order():
    assert chosen("max_conf:2", np.full((1, 3), 0.5)) == [[1, 1, 0]]


def test_policies_that_ignore_the_query_vote_by_base_rates():
    for spec in ("single_best", "all_members", "prior_only:2", "fixed_best:2", "random:2"):
        np.testing.assert_array_equal(
            parse_policy(spec).select(P, POOL).probabilities, np.tile(POOL.base_rates, (2, 1))
        )


def test_random_draws_are_seeded_and_of_the_right_size():
    first, again = chosen("random:2", np.tile(P, (50, 1))), chosen("random:2", np.tile(P, (50, 1)))
    assert first == again
    assert {sum(row) for row in first} == {2}
    assert len({tuple(row) for row in first}) == 3


@pytest.mark.parametrize("spec", ["max_conf:4", "prior_only:4", "random:9", "fixed_best:4"])
def test_a_size_beyond_the_pool_is_refused(spec):
    with pytest.raises(PolicyError, match=r"does not fit the pool \(3 members\). Use a size between 1 and 3"):
        chosen(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "max_conf:0",
        "max_conf:x",
        "max_conf:",
        "best",
        "single_best:2",
        "max_conf:2s",
        "selectllm:2eur",
        "selectllm:-1s",
        "selectllm:0usd",
        "selectllm:3:0rounds",
        "max_conf:3:1round",
        "",
    ],
)
def test_unknown_names_are_refused(spec):
    with pytest.raises(PolicyError, match="is unknown"):
        parse_policy(spec)


def test_names_round_trip():
    for spec in (
        "max_conf:2",
        "labelled_max_conf:3",
        "weighted_max_conf:1",
        "all_members",
        "single_best",
        "fixed_best:2",
    ):
        assert policy_name(parse_policy(spec)) == spec
    assert policy_name(WeightedMaxConf()) == "weighted_max_conf:3"


@pytest.mark.parametrize(
    ("spec", "policy"),
    [
        ("selectllm:2", Adaptive(calls=2, guarded=True)),
        ("selectllm:0.002usd", Adaptive(cost_usd=0.002, guarded=True)),
        ("adaptive:1.5s", Adaptive(latency_s=1.5)),
        ("adaptive:2.5", Adaptive(calls=2.5)),
        ("adaptive:3:1round", Adaptive(calls=3, max_rounds=1)),
        ("selectllm:0.002usd:1round", Adaptive(cost_usd=0.002, max_rounds=1, guarded=True)),
        ("adaptive:1e-05usd", Adaptive(cost_usd=1e-5)),
    ],
)
def test_budgets_are_named_by_their_unit(spec, policy):
    assert parse_policy(spec) == policy
    assert policy_name(policy) == spec
    assert policy_name(Adaptive(calls=2, cost_usd=0.1)) == "Adaptive"


def test_a_pool_knows_its_members():
    assert POOL.single_best == 1
    with pytest.raises(MemberMismatchError, match="'z' is not in the pool"):
        POOL.mask(("z",))


probabilities = arrays(float, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(0, 1))


@given(
    probabilities, st.sampled_from(["max_conf", "labelled_max_conf", "weighted_max_conf"]), st.integers(1, 3)
)
def test_a_selection_is_never_empty_nor_larger_than_its_size(p, name, size):
    counts = parse_policy(f"{name}:{size}").select(p, POOL).mask.sum(axis=1)
    assert (counts >= 1).all()
    assert (counts <= size).all()


@given(probabilities, st.floats(0, 1), st.floats(0, 1))
def test_a_raised_threshold_never_adds_a_member(p, one, other):
    low, high = sorted((one, other))
    wide = LabelledMaxConf(size=3, threshold=low).select(p, POOL).mask
    narrow = LabelledMaxConf(size=3, threshold=high).select(p, POOL).mask
    assert (narrow <= wide).all()


def test_max_conf_contains_its_smaller_sizes():
    assert (MaxConf(1).select(P, POOL).mask <= MaxConf(2).select(P, POOL).mask).all()


def test_without_a_policy_a_router_is_guarded_where_points_were_learned():
    point = OperatingPoint(
        rule=CallingRule(ranking="fixed", first=1, size=1),
        accuracy=0.5,
        calls=1.0,
        cost_usd=0.1,
        latency_s=0.1,
        evidence="made up",
    )
    assert policy_name(default_policy(replace(POOL, operating_points=(point,)))) == "selectllm:3"
    assert policy_name(default_policy(POOL)) == "weighted_max_conf:3"


def test_a_default_size_is_at_most_the_number_of_members():
    pair = PoolStatistics(("a", "b"), np.array([0.5, 0.4]), np.full(2, np.nan), np.full(2, np.nan))
    assert default_policy(pair) == WeightedMaxConf(2)
