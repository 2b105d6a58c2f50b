"""The bill of a request: what replies cost, what cancelled calls are estimated to cost, and which is which."""

import asyncio

import pytest
from langchain_core.caches import InMemoryCache

from langchain_selectllm import Member
from langchain_selectllm.testing import ReplayChatModel
from tests.support.routers import LETTERS, call, every_mode, make_router, metadata_of
from tests.support.waiting import DEADLINE_S, OVERDUE
from tests.support.worlds import scripted


class Hanging(ReplayChatModel):
    """Never replies by itself."""

    async def _agenerate(self, *args, **kwargs):
        await asyncio.Event().wait()


def priced(models, **prices):
    """Members at 1 dollar per million input tokens and 2 per million output tokens, unless given."""
    return {name: Member(model, *prices.get(name, (1.0, 2.0))) for name, model in models.items()}


def hanging(*names):
    models = scripted(LETTERS)
    for name in names:
        models[name] = Hanging(model=name, default="The answer is (A).")
    return models


def answer(router, prompt="x" * 40):
    return metadata_of(asyncio.run(router.ainvoke(prompt)))


@every_mode
def test_usage_and_cost_stand_by_member(fitted, mode):
    message = call(make_router(fitted, priced(scripted(LETTERS), reader=(10.0, 20.0))), "x" * 40, mode)
    bill = metadata_of(message)
    # 10 input tokens and 4 output tokens per member.
    counted = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}
    assert bill["usage_by_member"] == dict.fromkeys(LETTERS, counted)
    assert bill["cost"]["by_member"] == pytest.approx({**dict.fromkeys(LETTERS, 18e-6), "reader": 180e-6})
    assert bill["cost_usd"] == bill["cost"]["known_usd"] == pytest.approx(252e-6)
    assert (bill["cost"]["estimated"], bill["cost"]["unknown"], bill["usage_partial"]) == ([], [], False)
    # 4 members at 10 and 8, one at 100 and 80 millionths.
    assert bill["usage"]["input_cost"] == pytest.approx(140e-6)
    assert bill["usage"]["output_cost"] == pytest.approx(112e-6)
    assert bill["usage"]["total_cost"] == pytest.approx(252e-6)
    assert bill["winner_model"] == bill["winner"]


def test_cancelled_calls_are_estimated_and_named_and_the_bill_stands(fitted):
    models = priced(hanging("generalist", "guesser"), guesser=(10.0, 20.0))
    bill = answer(make_router(fitted, models, early_stop=True))
    assert bill["cancelled"] == bill["cost"]["estimated"] == ["generalist", "guesser"]
    # The mean of the replies: 10 input and 4 output tokens, at each one's prices.
    assert bill["cost"]["by_member"]["generalist"] == pytest.approx(18e-6)
    assert bill["cost"]["by_member"]["guesser"] == pytest.approx(180e-6)
    assert bill["cost"]["known_usd"] == pytest.approx(3 * 18e-6)
    assert bill["cost"]["estimated_usd"] == pytest.approx(198e-6)
    assert bill["cost_usd"] == pytest.approx(252e-6)
    assert bill["usage"]["input_tokens"] == 30
    assert bill["usage"]["total_cost"] == pytest.approx(3 * 18e-6)
    assert bill["usage_partial"]


def test_calls_that_were_never_started_cost_nothing(fitted):
    models = priced(scripted(dict.fromkeys(LETTERS, "A")))
    router = make_router(fitted, models, early_stop=True)
    bill = metadata_of(router.invoke("x" * 40, {"max_concurrency": 1}))
    # Three equal replies of five settle the vote.
    assert (bill["calls"], len(bill["cancelled"])) == (3, 2)
    assert (bill["cost"]["estimated"], bill["usage_partial"]) == ([], False)
    assert bill["cost_usd"] == pytest.approx(3 * 18e-6)


@OVERDUE.call
def one_late_and_one_failed(fitted):
    models = hanging("reader")
    models["guesser"] = scripted(LETTERS, errors=["guesser"])["guesser"]
    return answer(make_router(fitted, priced(models), deadline_s=DEADLINE_S))


def test_late_calls_are_estimated_and_failed_ones_cost_nothing(overdue):
    bill = overdue(one_late_and_one_failed)
    assert sorted(bill["failures"]) == ["guesser", "reader"]
    assert bill["cost"]["estimated"] == ["reader"]
    assert bill["cost_usd"] == pytest.approx(4 * 18e-6)


def test_an_unknown_price_never_becomes_zero(fitted):
    models = priced(scripted(LETTERS), guesser=(None, None))
    bill = metadata_of(make_router(fitted, models).invoke("x" * 40))
    assert bill["cost_usd"] is None
    assert bill["cost"]["unknown"] == ["guesser"]
    assert bill["cost"]["by_member"]["guesser"] is None
    assert bill["cost"]["known_usd"] == pytest.approx(4 * 18e-6)
    assert "total_cost" not in bill["usage"]


def test_every_called_member_stands_in_its_round(fitted):
    (best,) = make_router(fitted, policy="max_conf:1").decide("x").selected_members
    failing = scripted(LETTERS, errors=[best])
    topped_up = metadata_of(make_router(fitted, failing, policy="max_conf:1").invoke("x"))
    assert topped_up["called"] == [[best, *topped_up["topped_up"]]]
    assert len(topped_up["called"][0]) == 2
    escalated = make_router(fitted, policy="max_conf:1", min_confidence=1.0, below_confidence="guesser")
    told = metadata_of(escalated.invoke("x"))
    assert (told["called"], told["rounds"]) == ([[best], ["guesser"]], 2)


@every_mode
def test_a_members_reply_from_the_cache_costs_nothing(fitted, mode):
    cache = InMemoryCache()
    models = {
        name: ReplayChatModel(model=name, default=f"({letter})", cache=cache)
        for name, letter in LETTERS.items()
    }
    router = make_router(fitted, priced(models))
    first = metadata_of(call(router, "x" * 40, "invoke"))
    again = metadata_of(call(router, "x" * 40, mode))
    assert first["cost_usd"] > 0
    assert again["cost_usd"] == 0
    assert again["usage"]["input_tokens"] == first["usage"]["input_tokens"]
