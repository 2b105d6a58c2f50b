"""Requests: where their decisions are made."""

import asyncio
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


async def test_prompts_of_concurrent_requests_are_encoded_together_and_decided_as_alone(fitted, monkeypatch):
    router = make_router(fitted)
    prompts = [f"What is {n} + {n}?" for n in range(70)]
    alone = [router.decide(prompt) for prompt in prompts]
    sizes = []
    predict = type(fitted).predict_proba
    monkeypatch.setattr(
        type(fitted), "predict_proba", lambda self, texts: sizes.append(len(texts)) or predict(self, texts)
    )
    replies = await asyncio.gather(*(router.ainvoke(prompt) for prompt in prompts))
    assert sizes == [8] * 8 + [6]
    for reply, decision in zip(replies, alone, strict=True):
        metadata = reply.response_metadata["selectllm"]
        assert list(metadata["probabilities"].values()) == decision.probabilities.tolist()
        assert metadata["selection"]["members"] == list(decision.selected_members)


async def test_an_error_of_one_of_concurrent_predictions_stays_with_its_request(fitted, monkeypatch):
    router = make_router(fitted)
    predict = type(fitted).predict_proba

    def fail_on_bad(self, texts):
        if "bad" in texts:
            raise ValueError("cannot be encoded")
        return predict(self, texts)

    monkeypatch.setattr(type(fitted), "predict_proba", fail_on_bad)
    good, bad, other = await asyncio.gather(
        router.ainvoke("good"), router.ainvoke("bad"), router.ainvoke("other"), return_exceptions=True
    )
    assert str(bad) == "cannot be encoded"
    assert good.text
    assert other.text
