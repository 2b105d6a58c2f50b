"""What the identity of a chat model tells apart, by which LangChain's caches find replies."""

import asyncio
from dataclasses import dataclass
from functools import partial

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage
from langchain_core.runnables import ConfigurableField, RunnableLambda

from langchain_selectllm import VotingOutputParser
from langchain_selectllm.members.profiles import callable_name
from langchain_selectllm.routing.sticky import StickyThreads
from langchain_selectllm.testing import ReplayChatModel
from tests.support.routers import LETTERS, make_chat_model
from tests.support.worlds import scripted


def before(words, prompt):
    return f"{words} {prompt}"


@dataclass
class Reader:
    """Reads answers in a way of its own."""

    letter: str

    def read(self, reply):
        return self.letter


def choosing(model, **asked):
    alternatives = {
        "other": ReplayChatModel(default="other"),
        "made": partial(ReplayChatModel, default="made"),
    }
    return model.configurable_alternatives(ConfigurableField(id="which"), **alternatives).with_config(
        configurable=asked
    )


def answering(model, name):
    fields = model.configurable_fields(
        default=ConfigurableField(id="default"), model=ConfigurableField(id="model")
    )
    return fields.with_config(configurable={"default": name})


WRAPPERS = [
    lambda model: RunnableLambda(partial(before, "cat")) | model,
    lambda model: RunnableLambda(partial(before, "dog")) | model,
    lambda model: RunnableLambda(partial(before, words="dog")) | model,
    lambda model: RunnableLambda(Reader("A").read) | model,
    lambda model: RunnableLambda(Reader("B").read) | model,
    lambda model: answering(model, "A"),
    lambda model: answering(model, "B"),
    lambda model: answering(model, "B").bind(stop=["x"]).with_config(configurable={"model": "y"}),
    lambda model: answering(model, "B").bind(stop=["x"]).with_config(configurable={"model": "z"}),
    choosing,
    lambda model: choosing(model, which="other"),
    lambda model: choosing(model, which="made"),
]


def identity(model):
    return repr(model._identifying_params)


def test_what_wraps_members_is_told_apart_by_what_it_holds(fitted):
    def wrapped(wrap):
        return identity(
            make_chat_model(fitted, {name: wrap(model) for name, model in scripted(LETTERS).items()})
        )

    seen = [wrapped(wrap) for wrap in WRAPPERS]
    assert len(set(seen)) == len(WRAPPERS)
    assert [wrapped(wrap) for wrap in WRAPPERS] == seen


def test_a_method_is_told_apart_by_its_object(fitted):
    one, same, other = (
        make_chat_model(fitted, parser=VotingOutputParser(answer=Reader(letter).read)) for letter in "AAB"
    )
    assert identity(one) == identity(same) != identity(other)
    assert callable_name(len) == "builtins.len"


def ask(model, mode, prompt, thread):
    config = {"configurable": {"thread_id": thread}}
    return model.invoke(prompt, config) if mode == "invoke" else asyncio.run(model.ainvoke(prompt, config))


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_threads_that_keep_their_members_share_no_cached_reply(fitted, mode):
    letters, counting = "How many letters has the word river?", "What is 17 * 23?"
    models = {name: RunnableLambda(lambda _, name=name: AIMessage(name)) for name in LETTERS}
    model = make_chat_model(fitted, models, policy="max_conf:1", sticky=StickyThreads())
    set_llm_cache(InMemoryCache())
    try:
        kept = [ask(model, mode, first, thread).text for thread, first in enumerate((letters, counting))]
        assert kept[0] != kept[1]
        assert [ask(model, mode, "And then?", thread).text for thread in (0, 1)] == kept
    finally:
        set_llm_cache(None)
