"""Agents and graphs in each of their modes."""

import asyncio

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from tests.support.routers import as_facade, make_tool_router
from tests.support.tool_models import tool_models

QUESTION = {"messages": [HumanMessage("Add 3 and 4.")]}
modes = pytest.mark.parametrize("mode", ["invoke", "ainvoke"])


def make_model(fitted, facade, changes=None, models=None, **fields):
    """A router or its chat model over members that call tools; one member of five mistakes the numbers."""
    changes = changes or {"guesser": {"args": {"a": 30, "b": 40}}}
    return as_facade(make_tool_router(fitted, models or tool_models(**changes), **fields), facade)


def run(agent, mode, given, config=None):
    """The final state."""
    return agent.invoke(given, config) if mode == "invoke" else asyncio.run(agent.ainvoke(given, config))


def streamed(graph, mode, given):
    """Messages and pieces of messages that a graph streams."""
    if mode == "invoke":
        return [message for message, _ in graph.stream(given, stream_mode="messages")]

    async def gather():
        return [message async for message, _ in graph.astream(given, stream_mode="messages")]

    return asyncio.run(gather())


def words_of(messages):
    """Texts of the model's messages, joined."""
    return "".join(message.text for message in messages if isinstance(message, AIMessage))
