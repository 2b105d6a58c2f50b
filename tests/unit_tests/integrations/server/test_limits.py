import asyncio

import pytest

from langchain_selectllm import Member
from langchain_selectllm.integrations.server.errors import ApiError
from langchain_selectllm.integrations.server.limits import InFlight
from langchain_selectllm.testing import ReplayChatModel
from tests.support.served import LETTERS, Connection, chat, client, make_app
from tests.support.waiting import LONG_S, until
from tests.support.worlds import scripted

PATH = "/v1/chat/completions"


@pytest.mark.parametrize("honest", [True, False])
async def test_a_body_that_is_too_long_is_refused_with_or_without_its_length(fitted, honest):
    async def pieces():
        for _ in range(10):
            yield b" " * 100

    body = b" " * 1000 if honest else pieces()
    async with client(make_app(fitted, max_body_bytes=500)) as http:
        response = await http.post(PATH, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"


async def test_requests_beyond_slots_and_queue_are_refused_at_once():
    limits = InFlight(max_in_flight=1, max_queued=1)
    release = asyncio.Event()
    order = []

    async def one(name):
        async with limits.slot():
            order.append(name)
            await release.wait()

    first, second = asyncio.create_task(one("first")), asyncio.create_task(one("second"))
    await asyncio.sleep(0)
    assert (limits.running, limits.queued) == (1, 1)
    with pytest.raises(ApiError, match="queue is full") as refused:
        await one("third")
    assert (refused.value.status, refused.value.headers) == (429, {"retry-after": "1"})
    release.set()
    await asyncio.gather(first, second)
    assert order == ["first", "second"]
    assert (limits.running, limits.queued) == (0, 0)


async def test_a_request_that_waits_for_a_slot_leaves_the_queue_when_its_client_hangs_up(fitted):
    release = asyncio.Event()

    class Waiting(ReplayChatModel):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            await release.wait()
            return self._result(messages)

    models = {name: Waiting(model=name, default="The answer is (A).") for name in LETTERS}
    app = make_app(fitted, models, max_in_flight=1)
    limits = app.state.selectllm.in_flight
    first, second = Connection(app, PATH, chat()), Connection(app, PATH, chat())
    await until(lambda: (limits.running, limits.queued) == (1, 1))
    second.hang_up()
    await asyncio.wait_for(second.task, LONG_S)
    assert (limits.running, limits.queued) == (1, 0)
    release.set()
    await asyncio.wait_for(first.task, LONG_S)
    assert '"winner"' in first.text


async def test_the_rate_of_each_key_is_bounded(fitted):
    async with client(make_app(fitted, keys=["a", "b"], requests_per_minute=2)) as http:
        statuses = []
        for key in "aaab":
            headers = {"authorization": f"Bearer {key}"}
            statuses.append((await http.post(PATH, json=chat(), headers=headers)).status_code)
    assert statuses == [200, 200, 429, 200]


async def test_the_budget_of_a_day_is_never_passed(fitted):
    # 3 + 4 tokens a call by the scripted members' count, 1 USD a token, five members: 35 USD a request.
    models = {
        name: Member(model, price_input_usd_per_million=1e6, price_output_usd_per_million=1e6)
        for name, model in scripted(LETTERS).items()
    }
    async with client(make_app(fitted, models, usd_per_day=80.0)) as http:
        responses = [await http.post(PATH, json=chat()) for _ in range(3)]
    # The third would make it 105.
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[0].headers["x-selectllm-cost-usd"] == "35"
    assert responses[2].json()["error"]["code"] == "insufficient_quota"
    assert int(responses[2].headers["retry-after"]) <= 24 * 3600
