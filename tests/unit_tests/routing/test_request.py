"""Requests: where their decisions are made."""

import threading

import pytest

from langchain_selectllm.encoders import is_slow
from tests.support.routers import as_facade, make_router


@pytest.mark.parametrize("facade", ["router", "chat"])
@pytest.mark.parametrize("slow", [False, True])
async def test_a_fast_encoder_decides_inline_and_a_slow_one_in_a_thread(fitted, monkeypatch, facade, slow):
    router = make_router(fitted)
    settings = type(router.engine.settings)
    # The lexical encoder is fast; a thread costs more than its decision.
    assert not is_slow(fitted.learned.encoder)
    monkeypatch.setattr(settings, "decides_slowly", property(lambda _: slow))
    threads = []

    def text_of(messages):
        threads.append(threading.current_thread())
        return messages[-1].text

    await as_facade(router.model_copy(update={"text_of": text_of}), facade).ainvoke("x")
    assert [thread is threading.current_thread() for thread in threads] == [not slow]
