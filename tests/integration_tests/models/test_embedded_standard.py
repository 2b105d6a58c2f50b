"""LangChain's standard tests for chat models, on an embedded model."""

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_selectllm.embedded import EmbeddedChatModel, load_embedded

pytest.importorskip("torch")
pytest.importorskip("transformers")

PARAMETERS = {"model": "embedded:arithmetic", "folder": load_embedded("arithmetic").folder, "seed": 0}


class Embedded:
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return EmbeddedChatModel

    @property
    def chat_model_params(self) -> dict:
        return PARAMETERS

    has_tool_calling = False
    has_structured_output = False


class TestUnit(Embedded, ChatModelUnitTests):
    pass


class TestIntegration(Embedded, ChatModelIntegrationTests):
    pass
