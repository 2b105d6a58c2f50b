"""A chat model that calls tools without a network: it fills a schema from the words of the prompt."""

import json
import re
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from langchain_selectllm.fanout.streaming import message_chunks
from langchain_selectllm.prompts import last_human_text


class ToolModel(BaseChatModel):
    """Calls the tool that the prompt names, else the first; after a tool's reply it answers in words."""

    model: str = "tool-model"
    args: dict[str, Any] | None = None
    """Arguments of every call, instead of the prompt's numbers and words."""
    says: str | None = None
    """Reply in words, instead of any call."""
    error: Exception | None = None
    calls: list[dict[str, Any]] = Field(default_factory=list)
    """Keyword arguments of every call so far."""

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        formatted = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=formatted, **({"tool_choice": tool_choice} if tool_choice else {}), **kwargs)

    def _reply(self, messages, tools=None, tool_choice=None, response_format=None):
        if self.error is not None:
            raise self.error
        text = last_human_text(messages)
        said = self.says or f"Hello from {self.model}."
        if response_format is not None and self.says is None and "json_schema" in response_format:
            said = json.dumps(fill(response_format["json_schema"]["schema"], text))
        if isinstance(messages[-1], ToolMessage) and tool_choice is None:
            said = self.says or f"The tool said: {messages[-1].text}"
        message = AIMessage(said, response_metadata={"model_name": self.model})
        if (
            tools
            and self.says is None
            and not (isinstance(messages[-1], ToolMessage) and tool_choice is None)
        ):
            named = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
            name = next((n for n in named if n == tool_choice or n in text), next(iter(named)))
            args = self.args if self.args is not None else fill(named[name], text)
            call = {
                "name": name,
                "args": args,
                "id": f"call-{self.model}-{len(messages)}",
                "type": "tool_call",
            }
            message = AIMessage("", tool_calls=[call], response_metadata={"model_name": self.model})
        counts = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}
        return message.model_copy(update={"usage_metadata": counts})

    def _generate(self, messages, stop=None, run_manager=None, tools=None, tool_choice=None, **kwargs):
        self.calls.append({"stop": stop, "tools": tools, "tool_choice": tool_choice, **kwargs})
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=self._reply(messages, tools, tool_choice, kwargs.get("response_format"))
                )
            ]
        )

    def _stream(self, messages, stop=None, run_manager=None, tools=None, tool_choice=None, **kwargs):
        self.calls.append({"stop": stop, "tools": tools, "tool_choice": tool_choice, **kwargs})
        for chunk in message_chunks(self._reply(messages, tools, tool_choice, kwargs.get("response_format"))):
            yield ChatGenerationChunk(message=chunk)

    @property
    def _llm_type(self):
        return "tool-model"

    @property
    def _identifying_params(self):
        return {"model": self.model, "args": self.args, "says": self.says}


def fill(schema, text):
    """Arguments for a JSON schema: numbers and quoted words of the text in order, else the text itself."""
    numbers, words = iter(re.findall(r"-?\d+", text)), iter(re.findall(r"'([^']+)'", text))
    kinds = {
        "integer": lambda: int(next(numbers, 0)),
        "number": lambda: float(next(numbers, 0)),
        "boolean": lambda: True,
        "array": list,
        "null": lambda: None,
    }
    return {
        name: field["enum"][0]
        if "enum" in field
        else kinds.get(field.get("type"), lambda: next(words, text))()
        for name, field in schema.get("properties", {}).items()
    }


def tool_models(**changes):
    """The demo pool's five members as tool-capable models; `changes` are fields by member."""
    names = ("calculator", "clockmaker", "generalist", "guesser", "reader")
    return {name: ToolModel(model=name, **changes.get(name, {})) for name in names}
