"""Chat models that count their calls, for tests of collecting without a server."""

import asyncio
import time
from collections import Counter
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from langchain_selectllm.prompts import last_human_text


class CountingModel(BaseChatModel):
    """Replies with what `answer` makes of the prompt and of how often that prompt was asked before."""

    model: str = "counting"
    temperature: float | None = None
    answer: Any = lambda prompt, n: f"The answer is {len(prompt)}."
    """(prompt, number of earlier calls with it) -> reply, or an exception to raise."""
    delay_s: float = 0.0
    usage: bool = True
    _calls: Counter = PrivateAttr(default_factory=Counter)

    @property
    def calls(self):
        return self._calls

    @property
    def _llm_type(self):
        return "counting"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        time.sleep(self.delay_s)
        return self._result(messages)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        await asyncio.sleep(self.delay_s)
        return self._result(messages)

    def _result(self, messages):
        prompt = last_human_text(messages)
        n = self._calls[prompt]
        self._calls[prompt] += 1
        reply = self.answer(prompt, n)
        if isinstance(reply, Exception):
            raise reply
        usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15} if self.usage else None
        told = {"model_name": self.model, "finish_reason": "stop", "id": f"{self.model}-{prompt}-{n}"}
        message = AIMessage(reply, response_metadata=told, usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])
