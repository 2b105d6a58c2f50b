"""Names, versions, token counts and costs of the chat model, where LangChain's tools look for them."""

import sys
from unittest.mock import MagicMock

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import HumanMessage, trim_messages
from langchain_core.messages.ai import add_usage
from langchain_core.tracers import LangChainTracer

import langchain_selectllm
from langchain_selectllm import Member
from langchain_selectllm.testing import ReplayChatModel
from tests.support.routers import LETTERS, call, make_chat_model, make_router, metadata_of
from tests.support.tools import add
from tests.support.traces import Recorder
from tests.support.worlds import scripted

every_mode = pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])


def priced():
    """Members at 1 dollar per million input tokens and 2 per million output tokens."""
    return {name: Member(model, 1.0, 2.0) for name, model in scripted(LETTERS).items()}


@every_mode
@pytest.mark.parametrize("policy", ["all_members", "single_best"])
def test_summed_usage_stands_under_the_chat_models_own_name(fitted, mode, policy):
    handler = UsageMetadataCallbackHandler()
    message = call(make_chat_model(fitted, policy=policy), "x" * 40, mode, {"callbacks": [handler]})
    told = metadata_of(message)
    assert message.response_metadata["model_name"] == "selectllm"
    assert told["winner_model"] == told["winner"] in LETTERS
    assert [counted["input_tokens"] for counted in handler.usage_metadata.values()] == [10 * told["calls"]]
    assert list(handler.usage_metadata) == ["selectllm"]


def test_the_router_keeps_the_winners_name(fitted):
    message = make_router(fitted).invoke("x")
    assert message.response_metadata["model_name"] == metadata_of(message)["winner_model"]


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_hit_of_langchains_cache_costs_nothing(fitted, mode):
    model = make_router(fitted, priced()).as_chat_model(cache=InMemoryCache(), costs_in_usage=True)
    first, again = call(model, "x", mode), call(model, "x", mode)
    assert metadata_of(first)["cost_usd"] > 0
    assert "cached" not in metadata_of(first)
    told = metadata_of(again)
    assert (told["cost_usd"], told["cached"], told["usage"]["total_cost"]) == (0, True, 0)
    assert told["cost"]["by_member"] == dict.fromkeys(LETTERS, 0)
    assert (again.usage_metadata["input_cost"], again.usage_metadata["total_cost"]) == (0, 0)


def test_a_trace_has_the_costs_that_langsmith_reads_where_they_are_wanted(fitted):
    client = MagicMock()
    model = make_router(fitted, priced()).as_chat_model(costs_in_usage=True)
    model.invoke("x" * 40, {"callbacks": [LangChainTracer(client=client)]})
    (ended,) = client.update_run.call_args_list
    usage = ended.kwargs["extra"]["metadata"]["usage_metadata"]
    # Five members with 10 input tokens and 4 output tokens.
    assert usage["input_cost"] == pytest.approx(50e-6)
    assert usage["output_cost"] == pytest.approx(40e-6)
    assert usage["total_cost"] == pytest.approx(90e-6)


def test_langchains_sum_of_usage_refuses_costs_which_are_therefore_no_default():
    """The reason in docs/reference/conventions.md; once this fails, `costs_in_usage` can be the default."""
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "total_cost": 0.5}
    with pytest.raises(ValueError, match="Only dict and int values are supported"):
        add_usage(usage, usage)


@every_mode
def test_handlers_that_add_usage_see_whole_numbers_by_default(fitted, mode):
    handler, model = UsageMetadataCallbackHandler(), make_chat_model(fitted, priced())
    for _ in range(2):
        call(model, "x" * 40, mode, {"callbacks": [handler]})
    assert handler.usage_metadata["selectllm"]["input_tokens"] == 100


def test_a_run_names_the_package_and_its_version(fitted):
    tracer = Recorder()
    make_chat_model(fitted).invoke("x", {"callbacks": [tracer]})
    (run,) = tracer.roots
    metadata = run.extra["metadata"]
    assert metadata["lc_versions"]["langchain-selectllm"] == langchain_selectllm.__version__
    assert "langchain-core" in metadata["lc_versions"]
    assert (metadata["ls_provider"], metadata["ls_model_name"]) == ("selectllm", "selectllm")


def test_subclasses_are_traced_as_the_same_provider(fitted):
    class Renamed(langchain_selectllm.ChatSelectLLM):
        """Another class name."""

    model = Renamed(router=make_router(fitted), model="pool")
    params = model._get_ls_params(stop=["x"], model="reader")
    assert (params["ls_provider"], params["ls_model_name"], params["ls_stop"]) == (
        "selectllm",
        "reader",
        ["x"],
    )
    assert model._get_ls_params()["ls_model_name"] == "pool"


def test_tokens_are_approximated_where_members_bring_no_tokenizer(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    model = make_chat_model(fitted)
    assert model.get_num_tokens("x" * 41) == 11
    assert model.get_num_tokens("") == 0
    long = [HumanMessage("first " * 100), HumanMessage("x" * 40)]
    # 10 tokens of text, 3 of a message, and the role.
    assert 13 <= model.get_num_tokens_from_messages(long[1:]) <= 16
    assert model.get_num_tokens_from_messages(long[1:], [add]) > model.get_num_tokens_from_messages(long[1:])
    assert trim_messages(long, max_tokens=20, token_counter=model, strategy="last") == long[1:]
    with pytest.raises(NotImplementedError, match="Pass custom_get_token_ids"):
        model.get_token_ids("x")


def test_the_member_that_needs_most_tokens_counts(fitted):
    def letters(text):
        return list(map(ord, text))

    models = scripted(LETTERS)
    models["guesser"] = ReplayChatModel(model="guesser", default="(C)", custom_get_token_ids=letters)
    assert make_chat_model(fitted, models).get_num_tokens("x" * 40) == 40
    own = make_router(fitted, models).as_chat_model(custom_get_token_ids=lambda text: [1, 2])
    assert own.get_num_tokens("x" * 40) == len(own.get_token_ids("x" * 40)) == 2
