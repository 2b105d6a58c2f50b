"""LangChain's standard tests over a LlamaIndex LLM as a chat model; none overridden."""

import pytest

pytest.importorskip("llama_index.core")

from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_selectllm.integrations.llama_index import LlamaIndexChatModel
from tests.support.llamas import ScriptedLlama
from tests.support.tool_models import fill


def say(messages, tools):
    """Fills the tool that the prompt names, else the first; answers in words without tools or after their results."""
    text = messages[-1].content or ""
    if not tools or messages[-1].role.value == "tool":
        return "Hello from a llama."
    functions = [tool["function"] for tool in tools]
    function = next((f for f in functions if f["name"] in text), functions[0])
    return [(function["name"], fill(function["parameters"], text))]


class Llama:
    @property
    def chat_model_class(self):
        return LlamaIndexChatModel

    @property
    def chat_model_params(self):
        return {"llm": ScriptedLlama(say)}


class TestUnit(Llama, ChatModelUnitTests):
    pass


class TestIntegration(Llama, ChatModelIntegrationTests):
    pass
