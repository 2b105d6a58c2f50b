"""Members that hang, return nonsense or have no async form: the reply comes on time, and so does the end of the process."""

import asyncio
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_selectllm.fanout.member_calls import has_async
from langchain_selectllm.testing import ReplayChatModel
from tests.support.routers import LETTERS, call, every_mode, make_router, metadata_of
from tests.support.tool_models import ToolModel
from tests.support.waiting import DEADLINE_S, LONG_S, OVERDUE
from tests.support.worlds import scripted


class Hanging(ReplayChatModel):
    """Waits for an event before it replies; its async form waits on the event loop."""

    release: Any
    ended: Any

    def _generate(self, *args, **kwargs):
        self.release.wait()
        self.ended.append(self.model)
        return super()._generate(*args, **kwargs)


class Refusing(Hanging):
    async def _agenerate(self, *args, **kwargs):
        raise NotImplementedError


class InThreads(Hanging):
    _agenerate = BaseChatModel._agenerate


@contextmanager
def hang(kind=Hanging):
    """A member that hangs in the block, and those that went on, because somebody waited for them."""
    release, ended = threading.Event(), []
    if kind is RunnableLambda:
        model = RunnableLambda(lambda _: (release.wait(), ended.append("lambda"), AIMessage("late"))[-1])
    else:
        model = kind(model="late", default="late", release=release, ended=ended)
    yield model, ended
    release.set()


def errors(message):
    return {name: failure["error"] for name, failure in metadata_of(message)["failures"].items()}


@OVERDUE.call
def one_hangs(fitted):
    with hang() as (late, ended):
        router = make_router(fitted, {**scripted(LETTERS), "reader": late}, deadline_s=DEADLINE_S)
        return router.invoke("x"), list(ended)


def test_a_deadline_returns_on_time_with_the_others(overdue):
    message, waited_for = overdue(one_hangs)
    assert (errors(message), waited_for) == ({"reader": "DeadlineError"}, [])
    assert metadata_of(message)["answer"] == "A"


def test_an_early_decision_waits_for_nobody_says_so_and_claims_no_costs(fitted):
    with hang() as (late, waited_for):
        models = {**scripted({**LETTERS, "guesser": "A"}), "reader": late}
        told = metadata_of(make_router(fitted, models, early_stop=True).invoke("x"))
        assert waited_for == []
    assert told["decided_early"]
    assert "reader" in told["cancelled"]
    assert told["answer"] == "A"
    assert told["cost_usd"] is None


@OVERDUE.call
def one_hangs_in_a_process(fitted):
    with tempfile.TemporaryDirectory() as folder:
        fitted.save_pretrained(f"{folder}/router")
        code = f"""
from langchain_selectllm import SelectLLMRouter, VotingOutputParser
from langchain_selectllm.testing import ReplayChatModel
models = {{name: ReplayChatModel(model=name, default="(A)", delay_s=900 if name == "reader" else 0) for name in {list(LETTERS)!r}}}
router = SelectLLMRouter.from_pretrained("{folder}/router", models, policy="all_members", deadline_s={DEADLINE_S},
    early_stop=False, parser=VotingOutputParser(answer="choice"))
print(router.invoke("x").response_metadata["selectllm"]["failures"]["reader"]["error"])
"""
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)


def test_a_hanging_member_does_not_hold_up_the_end_of_the_process(overdue):
    # The member would hang for 900 seconds, and the test gives up earlier.
    assert overdue(one_hangs_in_a_process).stdout.strip() == "DeadlineError"


KINDS, FACADES = (Refusing, InThreads, RunnableLambda), ("router", "chat")


@OVERDUE.each(*product(KINDS, FACADES))
def one_hangs_in_a_thread(fitted, kind, facade):
    """The member that hangs, the reply, and those that were waited for; the reader leaves its event loop."""
    best = fitted.members[fitted.pool.single_best]
    policy = "single_best" if facade == "chat" else "all_members"

    async def asked(router):
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        if facade == "chat":
            message = [chunk async for chunk in router.as_chat_model().astream("x")][-1]
        else:
            message = await router.ainvoke("x")
        # The one thread that asyncio shares has nothing to do.
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), LONG_S) == "done"
        return message

    with hang(kind) as (late, ended):
        models = {**scripted(LETTERS), best: late}
        router = make_router(fitted, models, deadline_s=DEADLINE_S, policy=policy)
        return best, asyncio.run(asked(router)), list(ended)


@pytest.mark.parametrize("facade", FACADES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_hanging_member_without_an_async_form_holds_up_neither_other_work_nor_the_end_of_the_loop(
    overdue, kind, facade
):
    best, message, waited_for = overdue(one_hangs_in_a_thread, kind, facade)
    assert (errors(message), waited_for) == ({best: "DeadlineError"}, [])


PROMPT = ChatPromptTemplate.from_messages([("human", "{q}")])


async def areply(_):
    return AIMessage("x")


@pytest.mark.parametrize(
    ("model", "invokes", "streams"),
    [
        (ReplayChatModel(), True, True),
        (ReplayChatModel().with_retry(), True, True),
        (PROMPT | ReplayChatModel(), True, True),
        (ToolModel(), False, False),
        (ReplayChatModel().with_fallbacks([ToolModel()]), False, False),
        (GenericFakeChatModel(messages=iter([])), False, False),
        (FakeChatModel(), True, True),
        (RunnableLambda(areply), True, True),
        (RunnableLambda(lambda _: AIMessage("x")).with_config(tags=["x"]), False, False),
    ],
)
def test_what_waits_on_the_event_loop_alone_is_known(model, invokes, streams):
    assert (has_async(model), has_async(model, streams=True)) == (invokes, streams)


@every_mode
@pytest.mark.parametrize("returned", ["The answer is (A).", None])
def test_a_member_that_returns_no_message_has_failed_and_no_more(fitted, mode, returned):
    models = {**scripted(LETTERS), "reader": RunnableLambda(lambda _: returned)}
    told = call(make_router(fitted, models), "x", mode).response_metadata["selectllm"]
    assert told["answer"] == "A"
    assert told["failures"]["reader"]["message"].startswith(
        f"The member returned a {type(returned).__name__}."
    )


class Recording(ReplayChatModel):
    """Notes the messages and the tags it is called with."""

    seen: Any

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.seen.append((messages[0], run_manager.tags))
        return super()._generate(messages, stop, run_manager, **kwargs)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._generate(messages, stop, run_manager, **kwargs)


class Bare(Runnable):
    """Notes what it is called with, and returns a message."""

    def __init__(self):
        self.seen = []

    def invoke(self, prompt, config=None, **kwargs):
        self.seen.append((prompt, config))
        return AIMessage("The answer is (A).")

    async def ainvoke(self, prompt, config=None, **kwargs):
        return self.invoke(prompt, config)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "batch", "abatch"])
def test_chat_models_share_messages_that_are_made_once_and_other_runnables_get_the_prompt_as_it_came(
    fitted, mode
):
    models = {name: Recording(model=name, default="(A)", seen=[]) for name in LETTERS}
    bare = models["reader"] = Bare()
    call(make_router(fitted, models), "Which?", mode, {"metadata": {"user": "u"}})
    seen = {name: model.seen for name, model in models.items() if model is not bare}
    message = seen["guesser"][0][0]
    assert message.content == "Which?"
    assert all(messages is message for [(messages, _)] in seen.values())
    for name, [(_, tags)] in seen.items():
        assert sorted(tags) == ["nostream", f"selectllm:member:{name}"]
    [(prompt, config)] = bare.seen
    assert (prompt, config["metadata"]["user"]) == ("Which?", "u")
    assert "selectllm:member:reader" in config["callbacks"].tags
