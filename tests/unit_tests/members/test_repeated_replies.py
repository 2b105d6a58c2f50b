"""Models whose further replies to a prompt are known to be the same."""

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda
from pydantic import Field

from langchain_selectllm.members.repeated_replies import fixed_by, why_repeated
from tests.support.live_models import CountingModel


class ModelWithArguments(FakeListChatModel):
    model_kwargs: dict = Field(default_factory=dict)


def test_a_sampling_model_gives_other_replies():
    assert why_repeated(CountingModel(temperature=0.7)) is None
    assert why_repeated(CountingModel()) is None
    assert why_repeated(RunnableLambda(lambda prompt: prompt)) is None


@pytest.mark.parametrize(
    "model",
    [
        CountingModel(temperature=0),
        CountingModel(temperature=0.7).bind(temperature=0.0),
        CountingModel(temperature=0).with_retry(),
        CountingModel(temperature=0).with_fallbacks([CountingModel(temperature=1)]),
        ModelWithArguments(responses=["a"], model_kwargs={"temperature": 0}),
    ],
    ids=["field", "bound", "retries", "first of fallbacks", "model_kwargs"],
)
def test_temperature_zero_is_found_in_the_model_and_its_wrappers(model):
    assert why_repeated(model) == "its temperature is 0"


def test_what_is_bound_outside_wins():
    assert why_repeated(CountingModel(temperature=0).bind(temperature=0.7)) is None


def test_a_fixed_seed_gives_the_same_reply():
    assert why_repeated(CountingModel().bind(seed=1)) == "its seed is fixed"


def test_a_cache_of_the_model_or_of_langchain_gives_the_same_reply():
    assert why_repeated(CountingModel(cache=InMemoryCache())) == "its replies are cached"
    set_llm_cache(InMemoryCache())
    try:
        assert why_repeated(CountingModel()) == "its replies are cached"
        assert why_repeated(CountingModel(cache=False)) is None
    finally:
        set_llm_cache(None)


def test_arguments_of_a_call_count():
    assert fixed_by({"temperature": 0}) == "its temperature is 0"
    assert fixed_by({"temperature": 0.2}) is None
