"""LangChain's standard tests of chat models, run on ChatOpenAI with our server as its base URL."""

import json
import re

import httpx
import numpy as np
import pytest
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_selectllm import SelectLLMClassifier, VotingOutputParser
from langchain_selectllm.fanout.streaming import message_chunks
from langchain_selectllm.prompts import last_human_text
from tests.support.served import listening, make_app
from tests.support.tool_models import ToolModel, fill
from tests.support.worlds import score_table

NAMES = ["alpha", "beta", "gamma"]

# langchain-openai shares its async connections among all models of a process, and connections belong to one loop.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.asyncio(loop_scope="module")]


class JsonModel(ToolModel):
    """Writes objects too, where a request asks for them; in JSON mode with the keys that the prompt quotes."""

    def _generate(self, messages, stop=None, run_manager=None, response_format=None, **kwargs):
        if response_format is None:
            return super()._generate(messages, stop, run_manager, **kwargs)
        text = last_human_text(messages)
        found = dict.fromkeys(re.findall(r"'(\w+)'", text), "cat")
        if response_format["type"] == "json_schema":
            found = fill(response_format["json_schema"]["schema"], text)
        writer = self.model_copy(update={"says": json.dumps(found)})
        return ToolModel._generate(writer, messages, stop, run_manager)

    def _stream(self, messages, stop=None, run_manager=None, response_format=None, **kwargs):
        (generation,) = self._generate(messages, stop, response_format=response_format, **kwargs).generations
        for chunk in message_chunks(generation.message):
            yield ChatGenerationChunk(message=chunk)


@pytest.fixture(scope="module")
def url():
    scores = np.random.default_rng(0).random((60, 3)) < [0.8, 0.7, 0.6]
    classifier = SelectLLMClassifier().fit(score_table(scores, NAMES))
    models = {name: JsonModel(model=name) for name in NAMES}
    router = {"parser": VotingOutputParser(answer="text")}
    with listening(make_app(classifier, models, router=router)) as address:
        yield address


@pytest.fixture(autouse=True)
def _files_without_a_network(monkeypatch):
    """What the standard tests download to send to a model."""
    response = httpx.Response(200, content=b"some file", request=httpx.Request("GET", "https://example.org"))
    monkeypatch.setattr(httpx, "get", lambda *_, **__: response)
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "tests")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class TestChatOpenAIOverTheServer(ChatModelIntegrationTests):
    """Nothing is overridden but the address."""

    @pytest.fixture(autouse=True)
    def _served(self, url):
        self.url = url

    @property
    def chat_model_class(self):
        return ChatOpenAI

    @property
    def chat_model_params(self):
        return {
            "model": "selectllm",
            "base_url": f"{self.url}/v1",
            "api_key": "none",
            "stream_usage": True,
            "max_retries": 0,
        }

    @property
    def supports_json_mode(self):
        return True

    supports_image_inputs = supports_pdf_inputs = supports_audio_inputs = True
    supports_image_tool_message = supports_pdf_tool_message = True

    @property
    def model_override_value(self):
        return "beta"
