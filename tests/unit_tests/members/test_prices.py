"""Cost of a call by its tokens: own prices per kind of token, and those of the catalogue."""

import sys

import pytest
from langchain_openai import ChatOpenAI

from langchain_selectllm import Member, ModelRegistry, with_catalogue_prices
from langchain_selectllm.exceptions import MissingDependencyError, PoolFileError
from langchain_selectllm.members.prices import CataloguePrices, TokenPrices
from tests.support.worlds import scripted

USAGE = {
    "input_tokens": 1000,
    "output_tokens": 100,
    "total_tokens": 1100,
    "input_token_details": {"cache_read": 900, "cache_creation": 50},
    "output_token_details": {"reasoning": 40},
}


def openai(**fields):
    return ChatOpenAI(model="gpt-4o-mini", api_key="unused", **fields)


def test_cached_and_reasoning_tokens_have_their_own_prices():
    member = Member(
        scripted({"a": "A"})["a"],
        10.0,
        20.0,
        price_cache_read_usd_per_million=1.0,
        price_cache_write_usd_per_million=12.5,
        price_reasoning_usd_per_million=30.0,
    )
    cost = member.cost(USAGE)
    # 50 plain input tokens, 900 read from the cache, 50 written to it.
    assert cost.input_usd == pytest.approx((50 * 10 + 900 * 1 + 50 * 12.5) / 1e6)
    # 60 plain output tokens, 40 of reasoning.
    assert cost.output_usd == pytest.approx((60 * 20 + 40 * 30) / 1e6)
    assert member.cost_usd(USAGE) == cost.total_usd


def test_kinds_of_tokens_without_a_price_cost_what_others_do():
    cost = TokenPrices(input=10.0, output=20.0).cost(USAGE)
    assert (cost.input_usd, cost.output_usd) == pytest.approx((0.01, 0.002))


def test_a_reply_from_langchains_cache_costs_nothing():
    member = Member(scripted({"a": "A"})["a"], 10.0, 20.0)
    assert member.cost_usd({**USAGE, "total_cost": 0}) == 0
    # langchain-core writes this where the cached reply had no usage.
    assert Member(member.model).cost_usd({"total_cost": 0}) == 0


def test_the_catalogue_prices_cached_tokens_lower():
    cost = CataloguePrices(model="gpt-4o-mini", provider="openai").cost
    plain = {"input_tokens": 1000, "output_tokens": 100}
    cached = cost({**plain, "input_token_details": {"cache_read": 900}})
    assert 0 < cached.input_usd < cost(plain).input_usd
    assert cached.output_usd == cost(plain).output_usd > 0


def test_own_prices_win_over_the_catalogue():
    models = {"own": Member(openai(), 7.0, 9.0), "listed": openai(), "unlisted": scripted({"a": "A"})["a"]}
    registry = with_catalogue_prices(models)
    usage = {"input_tokens": 1_000_000, "output_tokens": 0}
    assert registry["own"].cost_usd(usage) == 7.0
    assert (
        registry["listed"].cost_usd(usage)
        == CataloguePrices.find("gpt-4o-mini", "openai").cost(usage).total_usd
    )
    assert registry["unlisted"].cost_usd(usage) is None


def test_prices_are_found_through_wrappers_but_not_for_several_models():
    bound = openai().bind(stop=["x"])
    either = openai().with_fallbacks([openai()])
    registry = with_catalogue_prices({"bound": bound, "either": either})
    assert registry["bound"].catalogue == CataloguePrices(model="gpt-4o-mini", provider="openai")
    assert registry["either"].catalogue is None


def test_a_pool_file_may_take_prices_from_the_catalogue(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    pool = tmp_path / "pool.yaml"
    pool.write_text(
        "members:\n"
        "  listed: {model: 'openai:gpt-4o-mini', catalogue_prices: true}\n"
        "  own:\n"
        "    model: openai:gpt-4o-mini\n"
        "    catalogue_prices: true\n"
        "    price_input_usd_per_million: 7\n"
        "    price_output_usd_per_million: 9\n"
        "    price_cache_read_usd_per_million: 1\n"
    )
    registry = ModelRegistry.from_file(pool)
    usage = {"input_tokens": 1_000_000, "output_tokens": 0, "input_token_details": {"cache_read": 500_000}}
    assert registry["own"].cost_usd(usage) == pytest.approx(4.0)
    assert 0 < registry["listed"].cost_usd(usage) < 1
    pool.write_text("members: {a: {model: 'openai:no-such-model', catalogue_prices: true}}\n")
    with pytest.raises(
        PoolFileError, match="'a' .* is not in the catalogue of genai-prices. Give it price_in"
    ):
        ModelRegistry.from_file(pool)


def test_without_the_catalogue_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(MissingDependencyError, match=r"with_catalogue_prices needs genai-prices.*\[prices\]"):
        with_catalogue_prices({"a": openai()})
