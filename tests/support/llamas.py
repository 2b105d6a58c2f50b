"""Fake LlamaIndex LLMs that tests ask."""

import asyncio
import json
import threading

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from pydantic import PrivateAttr

from langchain_selectllm import VotingOutputParser
from langchain_selectllm.integrations.llama_index import SelectLLM

LETTERS = {"calculator": "A", "clockmaker": "A", "generalist": "B", "guesser": "C", "reader": "A"}
CHOICE = VotingOutputParser(answer="choice")
FIELDS = {"policy": "all_members", "parser": CHOICE, "early_stop": False}


class ScriptedLlama(FunctionCallingLLM):
    """Says what `say(messages, tools)` returns: a text, a list of (tool, arguments) calls, or blocks; counts 10 + 4 tokens."""

    model: str = "llama"
    window: int = 4096
    calls_functions: bool = True

    _say: object = PrivateAttr()
    _asked: list = PrivateAttr(default_factory=list)

    def __init__(self, say="The answer is (A).", **fields):
        super().__init__(**fields)
        self._say = say if callable(say) else lambda messages, tools: say

    @property
    def asked(self):
        """What each call was asked: messages and settings."""
        return self._asked

    @property
    def metadata(self):
        return LLMMetadata(
            context_window=self.window,
            num_output=-1,
            is_chat_model=True,
            is_function_calling_model=self.calls_functions,
            model_name=self.model,
        )

    def _reply(self, messages, **settings):
        self._asked.append({"messages": list(messages), **settings})
        said = self._say(list(messages), settings.get("tools"))
        if isinstance(said, Exception):
            raise said
        if isinstance(said, str):
            blocks = [TextBlock(text=said)]
        elif isinstance(said[0], tuple):
            # Arguments as JSON text, as OpenAI's client leaves them.
            blocks = [
                ToolCallBlock(
                    tool_call_id=f"{self.model}-{i}", tool_name=name, tool_kwargs=json.dumps(arguments)
                )
                for i, (name, arguments) in enumerate(said)
            ]
        else:
            blocks = said
        message = ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks)
        usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
        return ChatResponse(message=message, raw={"usage": usage})

    @llm_chat_callback()
    def chat(self, messages, **kwargs):
        return self._reply(messages, **kwargs)

    @llm_chat_callback()
    async def achat(self, messages, **kwargs):
        await asyncio.sleep(0)
        return self._reply(messages, **kwargs)

    @llm_chat_callback()
    def stream_chat(self, messages, **kwargs):
        response = self._reply(messages, **kwargs)

        def pieces():
            words = (response.message.content or "").split(" ")
            for i, word in enumerate(words):
                delta = word if i == 0 else f" {word}"
                yield response.model_copy(update={"delta": delta})

        return pieces()

    @llm_chat_callback()
    async def astream_chat(self, messages, **kwargs):
        async def pieces():
            for response in self.stream_chat(messages, **kwargs):
                yield response

        return pieces()

    @llm_completion_callback()
    def complete(self, prompt, formatted=False, **kwargs):
        raise NotImplementedError

    @llm_completion_callback()
    def stream_complete(self, prompt, formatted=False, **kwargs):
        raise NotImplementedError

    @llm_completion_callback()
    async def acomplete(self, prompt, formatted=False, **kwargs):
        raise NotImplementedError

    @llm_completion_callback()
    async def astream_complete(self, prompt, formatted=False, **kwargs):
        raise NotImplementedError

    def _prepare_chat_with_tools(
        self,
        tools,
        user_msg=None,
        chat_history=None,
        verbose=False,
        allow_parallel_tool_calls=False,
        tool_required=False,
        **kwargs,
    ):
        specs = [tool.metadata.to_openai_tool() for tool in tools]
        return {"messages": chat_history, "tools": specs, "required": tool_required, **kwargs}

    def get_tool_calls_from_response(self, response, error_on_no_tool_call=True, **kwargs):
        return [
            ToolSelection(
                tool_id=block.tool_call_id,
                tool_name=block.tool_name,
                tool_kwargs=json.loads(block.tool_kwargs),
            )
            for block in response.message.blocks
            if isinstance(block, ToolCallBlock)
        ]


class PlainLlama(CustomLLM):
    """Has only the sync completions that `CustomLLM` asks for; remembers in which threads it ran."""

    reply: str = "The answer is (B)."

    _threads: set = PrivateAttr(default_factory=set)

    @property
    def threads(self):
        return self._threads

    @property
    def metadata(self):
        return LLMMetadata(model_name="plain", context_window=2048, num_output=64)

    @llm_completion_callback()
    def complete(self, prompt, formatted=False, **kwargs):
        self._threads.add(threading.current_thread())
        return CompletionResponse(text=self.reply)

    @llm_completion_callback()
    def stream_complete(self, prompt, formatted=False, **kwargs):
        def pieces():
            self._threads.add(threading.current_thread())
            yield CompletionResponse(text=self.reply, delta=self.reply)

        return pieces()


def llamas(letters, errors=()):
    """LlamaIndex LLMs by name, each with one fixed answer; those named in `errors` raise."""
    return {
        name: ScriptedLlama(
            RuntimeError(f"{name} is down") if name in errors else f"The answer is ({letter}).", model=name
        )
        for name, letter in letters.items()
    }


def make(fitted, models=None, **fields):
    """A SelectLLM over scripted members, all of which are asked."""
    return SelectLLM.from_models(fitted, models or llamas(LETTERS), **{**FIELDS, **fields})


def user(text):
    """A conversation of one user message."""
    return [ChatMessage(role="user", content=text)]


async def collect(stream):
    """The pieces of an asynchronous stream."""
    return [piece async for piece in await stream]


def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def ask(llm, mode, prompt="Add 3 and 4."):
    """The last response of any of the eight ways to ask, and its text."""
    if mode.endswith("chat"):
        calls = {
            "chat": lambda: llm.chat(user(prompt)),
            "achat": lambda: asyncio.run(llm.achat(user(prompt))),
            "stream_chat": lambda: list(llm.stream_chat(user(prompt)))[-1],
            "astream_chat": lambda: asyncio.run(collect(llm.astream_chat(user(prompt))))[-1],
        }
        response = calls[mode]()
        return response, response.message.content
    calls = {
        "complete": lambda: llm.complete(prompt),
        "acomplete": lambda: asyncio.run(llm.acomplete(prompt)),
        "stream_complete": lambda: list(llm.stream_complete(prompt))[-1],
        "astream_complete": lambda: asyncio.run(collect(llm.astream_complete(prompt)))[-1],
    }
    response = calls[mode]()
    return response, response.text


every_mode = pytest.mark.parametrize(
    "mode",
    [
        "chat",
        "achat",
        "stream_chat",
        "astream_chat",
        "complete",
        "acomplete",
        "stream_complete",
        "astream_complete",
    ],
)
