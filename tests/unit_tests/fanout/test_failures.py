"""The error of a fan-out without a reply, typed as its causes are."""

import pickle

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAuthenticationError,
    ModelError,
    ModelInvalidRequestError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from langchain_selectllm.exceptions import DeadlineError, FanOutError
from langchain_selectllm.fanout.failures import FanOutModelError, fan_out_error
from tests.support.agents import QUESTION, make_model, modes, run
from tests.support.tool_models import tool_models


class ProviderOverflowError(ModelInvalidRequestError, ContextOverflowError):
    """An overflow as providers raise it: an invalid request too."""


def failed(*causes):
    return fan_out_error("All failed.", causes, [f"m{k}" for k in range(len(causes))])


@pytest.mark.parametrize(
    ("causes", "shared", "retryable"),
    [
        ((ModelAuthenticationError(), ModelAuthenticationError()), ModelAuthenticationError, False),
        ((ModelAuthenticationError(), ModelRateLimitError()), ModelError, True),
        ((ModelRateLimitError(), ModelRateLimitError()), ModelRateLimitError, True),
        ((ContextOverflowError(), ProviderOverflowError()), ContextOverflowError, False),
        ((ContextOverflowError(), ModelInvalidRequestError()), ModelError, False),
        ((DeadlineError("late"), ModelTimeoutError()), ModelTimeoutError, True),
        ((TypeError("a fault"), ModelAuthenticationError()), ModelError, False),
        ((RuntimeError("down"), ModelAuthenticationError()), ModelError, True),
    ],
)
def test_a_fan_out_error_is_the_model_error_of_its_causes_and_retryable_if_one_is(causes, shared, retryable):
    error = failed(*causes)
    assert isinstance(error, FanOutError)
    assert isinstance(error, shared)
    assert error.is_retryable is retryable
    assert (error.exceptions, error.members) == (causes, ("m0", "m1"))


def test_only_a_prompt_too_long_for_all_is_an_overflow():
    assert not isinstance(failed(ContextOverflowError(), RuntimeError()), ContextOverflowError)


def test_a_part_of_the_group_is_typed_by_the_causes_that_are_left():
    error = failed(ModelAuthenticationError(), ModelRateLimitError())
    refused, rest = error.split(ModelAuthenticationError)
    assert isinstance(refused, ModelAuthenticationError)
    assert (refused.members, refused.is_retryable) == (("m0",), False)
    assert isinstance(rest, ModelRateLimitError)


def test_a_fan_out_error_survives_pickling():
    error = pickle.loads(pickle.dumps(failed(ModelRateLimitError("slow down"))))
    assert type(error) is type(failed(ModelRateLimitError()))
    assert (error.members, error.is_retryable) == (("m0",), True)


@modes
@pytest.mark.parametrize("facade", ["router", "chat"])
def test_a_key_refused_by_every_provider_makes_one_call_per_member_under_retries(fitted, facade, mode):
    models = tool_models(**{name: {"error": ModelAuthenticationError("401")} for name in fitted.members})
    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0, on_failure="error")
    model = make_model(fitted, facade, models=models)
    with pytest.raises(ModelAuthenticationError) as raised:
        run(create_agent(model, [], middleware=[retry]), mode, QUESTION)
    assert isinstance(raised.value, FanOutModelError)
    assert [len(model.calls) for model in models.values()] == [1] * 5


def test_a_rate_limit_of_one_member_is_tried_again(fitted):
    errors = {name: {"error": ModelAuthenticationError("401")} for name in fitted.members}
    errors["reader"] = {"error": ModelRateLimitError("429")}
    models = tool_models(**errors)
    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0, on_failure="error")
    with pytest.raises(FanOutError):
        create_agent(make_model(fitted, "chat", models=models), [], middleware=[retry]).invoke(QUESTION)
    assert [len(model.calls) for model in models.values()] == [3] * 5
