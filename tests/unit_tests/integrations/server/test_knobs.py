import pytest

from langchain_selectllm.integrations.server.knobs import Knobs, apply_knobs
from langchain_selectllm.integrations.server.settings import ServerSettings
from langchain_selectllm.routing.sticky import StickyThreads
from langchain_selectllm.testing import ReplayChatModel
from tests.support.served import LETTERS, chat, client, make_app

PATH = "/v1/chat/completions"


async def told(app, headers=None, **fields):
    async with client(app) as http:
        response = await http.post(PATH, json=chat(**fields), headers=headers or {})
    return response.status_code, response.json()


async def test_a_request_may_lower_its_calls_and_never_raise_them_above_the_ceiling(fitted):
    app = make_app(fitted, max_calls=3)
    assert (await told(app))[1]["selectllm"]["calls"] == 3
    assert (await told(app, selectllm={"max_calls": 2}))[1]["selectllm"]["calls"] == 2
    status, body = await told(app, selectllm={"max_calls": 4})
    assert (status, body["error"]["param"]) == (400, "selectllm.max_calls")


async def test_knobs_come_from_headers_too_and_the_body_wins(fitted):
    app = make_app(fitted)
    headers = {"x-selectllm-max-calls": "2"}
    assert (await told(app, headers))[1]["selectllm"]["calls"] == 2
    assert (await told(app, headers, selectllm={"max_calls": 1}))[1]["selectllm"]["calls"] == 1
    status, body = await told(app, {"x-selectllm-max-calls": "many"})
    assert (status, body["error"]["param"]) == (400, "max_calls")


async def test_a_request_may_choose_its_patience(fitted):
    app = make_app(fitted, router={"early_stop": True})
    assert (await told(app, selectllm={"patience": "tuned"}))[0] == 200
    assert (await told(app, {"x-selectllm-patience": "0.9"}))[0] == 200
    assert (await told(app, {"x-selectllm-patience": "2"}))[0] == 400
    operators = make_app(fitted, free_knobs=["explain"], patience=0.9, router={"early_stop": True})
    assert (await told(operators))[0] == 200
    assert (await told(operators, selectllm={"patience": 0.5}))[0] == 400


@pytest.mark.parametrize(
    ("knobs", "level", "after_s"),
    [
        ({}, 0.7, 5.0),
        ({"patience": 0.5}, 0.5, 5.0),
        ({"patience_after_s": 2.0}, 0.7, 2.0),
        ({"patience": "tuned"}, "tuned", None),
    ],
)
def test_the_seconds_of_patience_are_the_operators_until_a_request_names_others(knobs, level, after_s):
    settings = ServerSettings(policy="learned:3", patience=0.7, patience_after_s=5.0, expose_members=False)
    chosen = apply_knobs(Knobs(**knobs), "selectllm", settings, served=None)
    assert (chosen.patience, chosen.patience_after_s) == (level, after_s)


async def test_seconds_of_patience_need_a_level(fitted):
    app = make_app(fitted, router={"early_stop": True})
    assert (await told(app, selectllm={"patience": 0.7, "patience_after_s": 2.0}))[0] == 200
    assert (await told(app, {"x-selectllm-patience": "0.7", "x-selectllm-patience-after-s": "2"}))[0] == 200
    for knobs in ({"patience_after_s": 2.0}, {"patience": "tuned", "patience_after_s": 2.0}):
        status, body = await told(app, selectllm=knobs)
        assert status == 400
        assert "patience_after_s is 2.0" in body["error"]["message"]


async def test_an_unknown_knob_is_named(fitted):
    status, body = await told(make_app(fitted), selectllm={"max_call": 2})
    assert status == 400
    assert body["error"]["message"] == "Field selectllm.max_call is unknown. Leave it out."
    assert (body["error"]["param"], body["error"]["code"]) == ("selectllm.max_call", "unknown_parameter")


async def test_a_policy_is_chosen_by_model_or_knob_among_the_allowed(fitted):
    app = make_app(fitted, policies=["max_conf:1"])
    for fields in ({"model": "selectllm/max_conf:1"}, {"selectllm": {"policy": "max_conf:1"}}):
        status, body = await told(app, **fields)
        assert (status, body["model"], body["selectllm"]["calls"]) == (200, "selectllm/max_conf:1", 1)
    assert (await told(app, model="selectllm/max_conf:2"))[0] == 404
    assert (await told(app, selectllm={"policy": "max_conf:2"}))[0] == 400
    assert (await told(app, model="selectllm/all_members", selectllm={"policy": "max_conf:1"}))[0] == 400


async def test_without_a_policy_of_the_operator_the_routers_own_is_served(fitted):
    app = make_app(fitted, policy=None, router={"policy": "max_conf:1"})
    status, body = await told(app)
    assert (status, body["model"], body["selectllm"]["calls"]) == (200, "selectllm/max_conf:1", 1)
    async with client(app) as http:
        listed = (await http.get("/v1/models")).json()["data"]
        page = (await http.get("/")).text
    assert "selectllm/max_conf:1" in [model["id"] for model in listed]
    assert "max_conf:1" in page


async def test_a_member_named_as_the_model_answers_alone(fitted):
    status, body = await told(make_app(fitted), model="guesser")
    assert (status, body["model"]) == (200, "guesser")
    assert body["choices"][0]["message"]["content"] == "The answer is (C)."
    assert body["selectllm"]["members"] == ["guesser"]
    assert (await told(make_app(fitted, expose_members=False), model="guesser"))[0] == 404


async def test_a_knob_that_is_not_free_is_refused(fitted):
    app = make_app(fitted, free_knobs=["explain"])
    assert (await told(app, selectllm={"max_calls": 1}))[0] == 400
    explained = (await told(app, selectllm={"explain": True}))[1]["selectllm"]
    assert set(explained["probabilities"]) == set(LETTERS)


async def test_explanations_leave_the_texts_of_failures_out(fitted):
    models = {name: ReplayChatModel(model=name, default="The answer is (A).") for name in LETTERS}
    models["reader"] = ReplayChatModel(model="reader", error=ConnectionError("sk-secret"))
    body = (await told(make_app(fitted, models), selectllm={"explain": True}))[1]
    assert body["selectllm"]["failures"] == {"reader": "ConnectionError"}


async def test_a_minimum_of_confidence_can_only_be_raised(fitted):
    app = make_app(fitted, min_confidence=0.4)
    assert (await told(app, selectllm={"min_confidence": 0.3}))[0] == 400
    status, body = await told(app, selectllm={"min_confidence": 1.0})
    assert (status, body["selectllm"]["abstained"]) == (200, True)
    assert body["choices"][0]["message"]["content"] == ""
    status, body = await told(app, selectllm={"min_confidence": 1.0, "below_confidence": "raise"})
    assert (status, body["error"]["code"]) == (422, "low_confidence")
    assert body["error"]["selectllm"]["reply"] == "The answer is (A)."
    assert (await told(app, selectllm={"below_confidence": "nobody"}))[0] == 400


async def test_conversations_keep_their_members_where_the_operator_lets_them(fitted):
    status, body = await told(make_app(fitted), selectllm={"sticky_key": "42"})
    assert (status, body["error"]["param"]) == (400, "selectllm.sticky_key")


@pytest.mark.parametrize("how", ["knob", "header", "user"])
async def test_a_conversation_keeps_the_members_of_its_first_turn(fitted, how):
    app = make_app(
        fitted,
        policy="max_conf:1",
        sticky_threads=10,
        router={"sticky": StickyThreads(10), "policy": "max_conf:1"},
    )
    fields = {
        "knob": {"json": {"selectllm": {"sticky_key": "42"}}},
        "header": {"headers": {"x-session-id": "42"}},
        "user": {"json": {"user": "42"}},
    }[how]
    winners = []
    async with client(app) as http:
        for text in ("What is 17 * 23?", "How many letters has the word river?"):
            for extra in ({}, fields):
                body = {**chat(text), **extra.get("json", {})}
                reply = await http.post(PATH, json=body, headers=extra.get("headers", {}))
                winners.append(reply.json()["selectllm"]["winner"])
    alone_first, kept_first, alone_second, kept_second = winners
    assert alone_first == kept_first == kept_second
    assert alone_second != kept_second


@pytest.mark.parametrize("fields", [{"selectllm": {"deadline_s": 200.0}}, {"selectllm": {"deadline_s": 0}}])
async def test_a_deadline_beyond_the_operators_is_refused(fitted, fields):
    assert (await told(make_app(fitted), **fields))[0] == 400
