"""LangChain's middleware for summaries, with the router's chat model as the one that summarizes."""

import asyncio
import inspect

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware, summarization
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, HumanMessage

from langchain_selectllm.testing import ReplayChatModel
from tests.support.agents import modes, run
from tests.support.routers import LETTERS, make_chat_model

SUMMARY = "They added numbers. The answer is (A)."
TURNS = [message for _ in range(4) for message in (HumanMessage("Add 3 and 4."), AIMessage("7"))]
HISTORY = {"messages": [*TURNS, HumanMessage("And 5?")]}


LENGTHS = {}
"""Lengths of the prompts that each member got."""


class Narrow(ReplayChatModel):
    """A member whose provider refuses prompts of more characters than `most`."""

    most: int

    def _result(self, messages):
        length = len(messages[-1].text)
        LENGTHS[self.model].append(length)
        if length > self.most:
            raise ContextOverflowError("too long")
        return super()._result(messages)


def members(most=10**6, **fields):
    LENGTHS.update({name: [] for name in LETTERS})
    return {name: Narrow(model=name, default=SUMMARY, most=most, **fields) for name in LETTERS}


def summarizing(model, **settings):
    return SummarizationMiddleware(
        model=model, **{"trigger": ("messages", 8), "keep": ("messages", 1), **settings}
    )


@modes
@pytest.mark.parametrize("trigger", [("messages", 8), ("tokens", 20), ("fraction", 0.5)])
def test_the_pools_summary_replaces_the_history(fitted, mode, trigger):
    models = members(profile={"max_input_tokens": 100})
    # The window of the pool is its narrowest member's: half of it is passed by the history of about 60 tokens.
    models["guesser"] = models["guesser"].model_copy(update={"profile": {"max_input_tokens": 60}})
    model = make_chat_model(fitted, models)
    agent = create_agent(model, [], middleware=[summarizing(model, trigger=trigger)])
    messages = run(agent, mode, HISTORY)["messages"]
    assert len(messages) == 3
    assert SUMMARY in messages[0].text
    assert messages[1].text == "And 5?"
    assert messages[2].response_metadata["selectllm"]["answers"]["reader"] == "A"


@pytest.mark.skipif(
    "ContextOverflowError" not in inspect.getsource(summarization),
    reason="SummarizationMiddleware of this langchain asks for a summary once",
)
@modes
def test_a_summary_that_no_member_can_read_is_asked_for_again_in_short(fitted, mode):
    model = make_chat_model(fitted, members(most=15_000))
    history = [HumanMessage("long " * 4000), *HISTORY["messages"]]
    middleware = summarizing(model, trim_tokens_to_summarize=None)
    state = {"messages": history}
    update = (
        middleware.before_model(state, None)
        if mode == "invoke"
        else asyncio.run(middleware.abefore_model(state, None))
    )
    assert SUMMARY in update["messages"][1].text
    # Once refused by everybody as too long, once in short: two calls per member and no third.
    for first, second in LENGTHS.values():
        assert first > 15_000 >= second
