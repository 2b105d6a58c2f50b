"""The identity of a chat model: the key under which LangChain's caches store its replies."""

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
    """Reads answers in its own way."""

    letter: str

    def read(self, reply):
        return self.letter


def prefixed(model, words):
    return RunnableLambda(partial(before, words)) | model


def read_by(model, letter):
    return RunnableLambda(Reader(letter).read) | model


def with_default(model, reply):
    field = model.configurable_fields(default=ConfigurableField(id="default"))
    return field.bind(stop=["x"]).with_config(configurable={"default": reply})


def alternative(model, which):
    other = partial(ReplayChatModel, default="other")
    return model.configurable_alternatives(ConfigurableField(id="which"), other=other).with_config(
        configurable={"which": which}
    )


def identity(model):
    return repr(model._identifying_params)


@pytest.mark.parametrize(
    ("wrap", "one", "other"),
    [
        (prefixed, "cat", "dog"),
        (read_by, "A", "B"),
        (with_default, "A", "B"),
        (alternative, "default", "other"),
    ],
)
def test_wrapped_members_differ_by_the_values_in_their_wrappers(fitted, wrap, one, other):
    def wrapped(value):
        members = {name: wrap(model, value) for name, model in scripted(LETTERS).items()}
        return identity(make_chat_model(fitted, members))

    assert wrapped(one) == wrapped(one) != wrapped(other)


def test_methods_of_different_objects_differ(fitted):
    one, same, other = (
        make_chat_model(fitted, parser=VotingOutputParser(answer=Reader(letter).read)) for letter in "AAB"
    )
    assert identity(one) == identity(same) != identity(other)
    assert callable_name(len) == "builtins.len"


def ask(model, mode, prompt, thread):
    config = {"configurable": {"thread_id": thread}}
    return model.invoke(prompt, config) if mode == "invoke" else asyncio.run(model.ainvoke(prompt, config))


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_sticky_threads_share_no_cached_reply(fitted, mode):
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
