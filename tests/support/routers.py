"""Routers over scripted members, and one call of a router in each of its modes."""

import asyncio
import functools
import operator

import pytest

from langchain_selectllm import SelectLLMRouter, VotingOutputParser
from tests.support.tool_models import tool_models
from tests.support.worlds import scripted

LETTERS = {"calculator": "A", "clockmaker": "A", "generalist": "B", "guesser": "C", "reader": "A"}
CHOICE = VotingOutputParser(answer="choice")


def make_router(fitted, models=None, **fields):
    """A router that calls all members, which answer with `LETTERS`."""
    fields = {"policy": "all_members", "parser": CHOICE, "early_stop": False, **fields}
    return SelectLLMRouter(classifier=fitted, models=models or scripted(LETTERS), **fields)


def make_tool_router(fitted, models=None, **fields):
    """A router that calls all members, which call tools."""
    return make_router(fitted, models or tool_models(), **{"parser": VotingOutputParser(), **fields})


def as_facade(router, facade):
    """The router itself, or its chat model."""
    return router if facade == "router" else router.as_chat_model()


def metadata_of(message):
    """The package's own metadata of a reply."""
    return message.response_metadata["selectllm"]


def call(runnable, prompt, mode, config=None, /, **kwargs):
    """The reply to one prompt in any mode; chunks of a stream are added up."""

    async def chunks():
        return [chunk async for chunk in runnable.astream(prompt, config, **kwargs)]

    match mode:
        case "invoke":
            return runnable.invoke(prompt, config, **kwargs)
        case "ainvoke":
            return asyncio.run(runnable.ainvoke(prompt, config, **kwargs))
        case "batch":
            return runnable.batch([prompt], config, **kwargs)[0]
        case "abatch":
            return asyncio.run(runnable.abatch([prompt], config, **kwargs))[0]
        case "stream":
            return functools.reduce(operator.add, runnable.stream(prompt, config, **kwargs))
        case _:
            return functools.reduce(operator.add, asyncio.run(chunks()))


every_mode = pytest.mark.parametrize("mode", ["invoke", "ainvoke", "batch", "abatch", "stream"])


def make_chat_model(fitted, models=None, **fields):
    """The chat model of `make_router`."""
    return make_router(fitted, models, **fields).as_chat_model()
