"""Log records of requests: what they say, and that prompts, replies and keys are never in them."""

import logging

import pytest
from langchain_core.messages import AIMessage

from langchain_selectllm import JudgeVote, VotingOutputParser
from langchain_selectllm.exceptions import FanOutError
from langchain_selectllm.testing import ReplayChatModel
from tests.support.routers import LETTERS, call, every_mode, make_chat_model, make_router
from tests.support.tool_models import tool_models
from tests.support.tools import add
from tests.support.worlds import scripted

PROMPT, REPLY, KEY = "PROMPT-WORD", "REPLY-WORD", "sk-0123456789abcdefghijklmnop"


@pytest.fixture(autouse=True)
def everything(caplog):
    caplog.set_level(logging.DEBUG, logger="langchain_selectllm")


def records(caplog):
    """Level and text of the package's own records."""
    found = []
    for record in caplog.records:
        if record.name.startswith("langchain_selectllm."):
            found.append((record.levelname, record.getMessage()))
    return found


def secretive(*failing):
    """Members whose replies hold a word of their own, and whose errors hold a key and the prompt."""
    models = {}
    for name, letter in LETTERS.items():
        error = RuntimeError(f"401 for {PROMPT} with {KEY}") if name in failing else None
        models[name] = ReplayChatModel(model=name, default=f"{REPLY}: ({letter})", error=error)
    return models


@every_mode
@pytest.mark.parametrize("make", [make_router, make_chat_model])
def test_no_prompt_reply_or_key_is_logged(fitted, caplog, mode, make):
    best = make_router(fitted, policy="max_conf:2").decide(PROMPT).selected_members
    call(make(fitted, secretive(*best), policy="max_conf:2"), PROMPT, mode)
    with pytest.raises(FanOutError):
        call(make(fitted, secretive(*LETTERS)), PROMPT, mode)
    judge = ReplayChatModel(model="judge", default=f"none of them, {REPLY}")
    open_ended = VotingOutputParser(answer="text", vote=JudgeVote(judge))
    call(make(fitted, secretive(), parser=open_ended), PROMPT, mode)
    logged = records(caplog)
    assert ("WARNING", f"member {best[0]} failed (RuntimeError)") in logged
    assert ("WARNING", "the judge gave no ruling") in logged
    for secret in (PROMPT, REPLY, KEY, "none of them"):
        assert secret not in caplog.text


def test_failures_are_warnings_and_top_ups_are_information(fitted, caplog):
    (best,) = make_router(fitted, policy="max_conf:1").decide("x").selected_members
    message = make_router(fitted, scripted(LETTERS, errors=[best]), policy="max_conf:1").invoke("x")
    (spare,) = message.response_metadata["selectllm"]["topped_up"]
    assert records(caplog) == [
        ("INFO", "1 calls failed: one more member is called"),
        ("WARNING", f"member {best} failed (RuntimeError)"),
        ("INFO", f"members called in addition, because others failed: {spare}"),
    ]


def test_left_out_and_held_back_members_are_named(fitted, caplog):
    models = {**tool_models(), "reader": ReplayChatModel(model="reader", default="no tools")}
    make_router(fitted, models, max_calls=3).bind_tools([add]).invoke("Add 3 and 4.")
    logged = records(caplog)
    assert ("INFO", "member reader left out: cannot call tools") in logged
    assert [text for _, text in logged if text.startswith("members not called, because of a bound")]


def test_replies_without_an_answer_are_named(fitted, caplog):
    models = scripted(LETTERS)
    models["guesser"] = ReplayChatModel(model="guesser", default="no idea")
    make_router(fitted, models).invoke("x")
    assert records(caplog) == [("INFO", "member guesser abstained: unreadable")]


def test_an_ordinary_request_leaves_no_record(fitted, caplog):
    assert isinstance(make_router(fitted).invoke("x"), AIMessage)
    assert records(caplog) == []
