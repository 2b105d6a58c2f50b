import pytest

from langchain_selectllm import Member, ModelRegistry
from langchain_selectllm.exceptions import MemberMismatchError
from tests.support.worlds import scripted


def test_names_keep_their_order():
    registry = ModelRegistry(scripted({"z": "A", "a": "A", "m": "A"}))
    assert list(registry) == ["z", "a", "m"]
    assert list(registry.subset(["m", "z"])) == ["m", "z"]
    with pytest.raises(KeyError, match="'q' is not registered. Registered: z, a, m"):
        registry["q"]


def test_cost_follows_prices_and_usage():
    member = Member(scripted({"a": "A"})["a"], price_input_usd_per_million=2, price_output_usd_per_million=10)
    assert member.cost_usd({"input_tokens": 1000, "output_tokens": 100}) == pytest.approx(0.003)
    assert member.cost_usd(None) is None
    assert Member(member.model).cost_usd({"input_tokens": 1, "output_tokens": 1}) is None


def test_a_mismatch_with_the_classifier_says_what_to_do():
    registry = ModelRegistry(scripted({"a": "A", "b": "A"}))
    registry.check_covers(["b", "a"])
    with pytest.raises(
        MemberMismatchError, match=r"Missing from the classifier: 'b'. Fit with .* registry.subset"
    ):
        registry.check_covers(["a"])
    with pytest.raises(MemberMismatchError, match="Missing from the registry: 'c'"):
        registry.check_covers(["a", "b", "c"])


def test_an_empty_registry_is_refused():
    with pytest.raises(MemberMismatchError, match="Give at least one"):
        ModelRegistry({})
