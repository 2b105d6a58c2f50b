"""The standard tests of LangChain over a pool of three members that call tools; nothing overridden."""

import functools

import httpx
import numpy as np
import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_selectllm import ChatSelectLLM, SelectLLMClassifier, SelectLLMRouter
from tests.support.tool_models import ToolModel
from tests.support.worlds import score_table

NAMES = ["alpha", "beta", "gamma"]


@functools.cache
def three_members(policy):
    scores = np.random.default_rng(0).random((60, 3)) < [0.8, 0.7, 0.6]
    classifier = SelectLLMClassifier().fit(score_table(scores, NAMES))
    models = {name: ToolModel(model=name) for name in NAMES}
    return SelectLLMRouter(classifier=classifier, models=models, policy=policy)


@pytest.fixture(autouse=True)
def _files_without_a_network(monkeypatch):
    """What the standard tests download to send to a model."""
    response = httpx.Response(200, content=b"some file", request=httpx.Request("GET", "https://example.org"))
    monkeypatch.setattr(httpx, "get", lambda *_, **__: response)
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "tests")


class Standard:
    policy = "weighted_max_conf:3"

    @property
    def chat_model_class(self):
        return ChatSelectLLM

    @property
    def chat_model_params(self):
        return {"router": three_members(self.policy)}

    @property
    def supports_anthropic_inputs(self):
        return True

    @property
    def supports_json_mode(self):
        return True

    # Blocks of a message are the members' business; the router hands them on.
    supports_image_inputs = supports_pdf_inputs = supports_audio_inputs = True
    supports_image_tool_message = supports_pdf_tool_message = True

    @property
    def model_override_value(self):
        return "beta"


class TestUnit(Standard, ChatModelUnitTests):
    pass


class TestIntegration(Standard, ChatModelIntegrationTests):
    pass


class TestIntegrationOfOneChosenMember(Standard, ChatModelIntegrationTests):
    """One member is chosen, whose own stream is handed on."""

    policy = "max_conf:1"
