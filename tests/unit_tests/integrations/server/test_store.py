"""Decisions, outcomes and feedback in the store, and shadow calls that fill it."""

import asyncio
import sqlite3

import pytest

from langchain_selectllm import Member
from langchain_selectllm.exceptions import ServerConfigError, StoreError
from langchain_selectllm.integrations.server.served_rows import kept_metadata
from langchain_selectllm.integrations.server.served_store import ServedStore
from langchain_selectllm.routing.feedback import FeedbackLog
from langchain_selectllm.testing import ReplayChatModel
from tests.support.served import LETTERS, chat, client, events, make_app
from tests.support.tool_models import tool_models
from tests.support.worlds import scripted

CHAT = "/v1/chat/completions"
FEEDBACK = "/v1/selectllm/feedback"


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/served.db"


def stored(url):
    with ServedStore(url) as store:
        return list(store.read())


def outcomes(url):
    with ServedStore(url) as store:
        return list(store.query_records()), list(store.reply_records())


def everything(url):
    """All bytes of the database file and its journal."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    text = "\n".join(connection.iterdump())
    connection.close()
    return text


async def decision_of(http, **fields):
    return (await http.post(CHAT, json=chat(**fields))).json()["selectllm"]["decision_id"]


async def test_each_decision_is_kept_without_prompt_and_replies(fitted, url):
    async with client(make_app(fitted, store=url, keys=["sk-key-of-caller"])) as http:
        http.headers["authorization"] = "Bearer sk-key-of-caller"
        first = await decision_of(http, text="PROMPT-WORD one")
        events((await http.post(CHAT, json=chat("PROMPT-WORD two", stream=True))).text)
    rows = stored(url)
    assert rows[0].decision_id == first
    assert len(rows) == 2
    row = rows[0]
    assert row.policy == "all_members"
    assert 0 <= row.novelty <= 1
    # Three members agree, the others have answers of their own.
    assert len(set(row.decision["answers"].values())) == 3
    assert row.decision["answers"]["reader"] == row.decision["answer"]
    text = everything(url)
    assert not any(word in text for word in ("PROMPT-WORD", "The answer is", "sk-key-of-caller"))


async def test_prompts_and_all_replies_are_kept_as_outcomes_when_the_operator_wants_it(fitted, url):
    async with client(make_app(fitted, store=url, keep_prompts=True)) as http:
        await decision_of(http, text="What is 3 + 4?")
    (query,), replies = outcomes(url)
    assert (query["query"], query["answer_type"]) == ("What is 3 + 4?", "choice")
    texts = {reply["member"]: reply["text"] for reply in replies}
    assert texts == {name: f"The answer is ({letter})." for name, letter in LETTERS.items()}
    assert all(reply["input_tokens"] == 3 for reply in replies)


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "add", "parameters": {}}}]},
        {
            "messages": [
                {"role": "user", "content": "one"},
                {"role": "assistant", "content": "x"},
                {"role": "user", "content": "two"},
            ]
        },
    ],
)
async def test_replies_that_depend_on_more_than_the_text_are_no_outcomes(fitted, url, fields):
    models = tool_models() if "tools" in fields else None
    async with client(make_app(fitted, models, store=url, keep_prompts=True)) as http:
        await decision_of(http, **fields)
    assert len(stored(url)) == 1
    assert outcomes(url) == ([], [])


async def test_feedback_scores_the_members_that_gave_the_answer(fitted, url):
    async with client(make_app(fitted, store=url, keep_prompts=True)) as http:
        decision = await decision_of(http)
        given = (await http.post(FEEDBACK, json={"id": decision, "score": 1.0})).json()
        await http.post(FEEDBACK, json={"id": decision, "score": 0.0})
    # One right answer of a choice: the members that gave another one were wrong.
    assert given["scores"] == {name: float(letter == "A") for name, letter in LETTERS.items()}
    (row,) = stored(url)
    assert row.score == 0.5
    scores = {reply["member"]: reply["score"] for reply in outcomes(url)[1]}
    # A wrong answer says nothing of those that gave another one, whose grade stays.
    assert scores == dict.fromkeys(LETTERS, 0.0)


async def test_feedback_reaches_the_library_log_and_the_store(fitted, url, tmp_path):
    folder = tmp_path / "feedback"
    async with client(make_app(fitted, store=url, feedback_log=folder)) as http:
        decision = await decision_of(http)
        given = (await http.post(FEEDBACK, json={"id": decision, "score": 1.0})).json()
    expected = {name: float(letter == "A") for name, letter in LETTERS.items()}
    assert given["scores"] == expected
    assert stored(url)[0].score == 1.0
    table = FeedbackLog(folder).outcomes(list(LETTERS))
    assert table.texts == ("Add 3 and 4.",)
    assert dict(zip(table.members, table.scores[0].tolist(), strict=True)) == expected


async def test_the_log_alone_takes_feedback_on_decisions_of_this_process(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("langchain_selectllm.integrations.server.feedback_books._REMEMBERED", 1)
    folder = tmp_path / "feedback"
    async with client(make_app(fitted, feedback_log=folder)) as http:
        forgotten, decision = await decision_of(http), await decision_of(http)
        statuses = []
        for name in (forgotten, decision):
            statuses.append((await http.post(FEEDBACK, json={"id": name, "score": 0.0})).status_code)
    assert statuses == [404, 200]
    # Nothing follows from a wrong answer for the two members that gave another one.
    outcomes = FeedbackLog(folder).outcomes()
    assert dict(zip(outcomes.members, outcomes.scores[0].tolist(), strict=True)) == {
        name: 0.0 for name, letter in LETTERS.items() if letter == "A"
    }


async def test_feedback_outlives_the_process(fitted, url):
    async with client(make_app(fitted, store=url)) as http:
        decision = await decision_of(http)
    async with client(make_app(fitted, store=url)) as http:
        assert (await http.post(FEEDBACK, json={"id": decision, "score": 1.0})).status_code == 200
    assert stored(url)[0].score == 1.0


async def test_feedback_that_cannot_be_kept_is_refused(fitted, url):
    async with client(make_app(fitted)) as http:
        refused = await http.post(FEEDBACK, json={"id": "dec-1", "score": 1.0})
    assert (refused.status_code, refused.json()["error"]["type"]) == (409, "invalid_request_error")
    async with client(make_app(fitted, store=url)) as http:
        assert (await http.post(FEEDBACK, json={"id": "dec-1", "score": 1.0})).status_code == 404
        for body in ({"id": "dec-1", "score": 2}, {"id": "dec-1"}, {"score": 1.0}, {"id": 1, "score": 1.0}):
            assert (await http.post(FEEDBACK, json=body)).status_code == 400


async def test_a_store_that_fails_fails_no_request(fitted, url, caplog):
    app = make_app(fitted, store=url)
    async with client(app) as http:
        state = app.state.selectllm

        def fail(texts):
            raise OSError("disk PROMPT-WORD")

        state.served.novelty = fail
        assert (await http.post(CHAT, json=chat())).status_code == 200
        for book in state.feedback_books:
            await book.flush()
        metrics = (await http.get("/metrics")).text
    assert 'selectllm_recorded_total{result="failed"} 1.0' in metrics
    assert "PROMPT-WORD" not in caplog.text


async def test_a_store_that_cannot_be_opened_stops_the_start(fitted, tmp_path):
    app = make_app(fitted, store=f"sqlite:///{tmp_path}/no/such/folder.db")
    with pytest.raises(StoreError):
        async with client(app):
            pass


async def shadowed(app, n=1):
    """Sends requests that call one member, and waits for their shadows."""
    async with client(app) as http:
        for _ in range(n):
            await http.post(CHAT, json=chat(selectllm={"max_calls": 1}))
        for observer in app.state.selectllm.observers:
            if hasattr(observer, "finished"):
                await observer.finished()
        return (await http.get("/metrics")).text


async def test_a_shadowed_request_is_repeated_with_all_members(fitted, url):
    metrics = await shadowed(make_app(fitted, store=url, keep_prompts=True, shadow=1.0))
    served, shadow = sorted(stored(url), key=lambda row: row.shadow_of is not None)
    assert (served.decision["calls"], shadow.decision["calls"]) == (1, 5)
    assert shadow.shadow_of == served.decision_id
    assert shadow.agrees == (LETTERS[served.decision["winner"]] == "A")
    assert {reply["member"] for reply in outcomes(url)[1]} == set(LETTERS)
    assert 'selectllm_shadow_total{result="recorded"} 1.0' in metrics


async def test_the_request_does_not_wait_for_its_shadow(fitted, url):
    release = asyncio.Event()

    class Waiting(ReplayChatModel):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            if self.model != "reader":
                await release.wait()
            return self._result(messages)

    models = {name: Waiting(model=name, default="The answer is (A).") for name in LETTERS}
    app = make_app(fitted, models, store=url, shadow=1.0, router={"policy": "single_best"})
    async with client(app) as http:
        response = await http.post(CHAT, json=chat(model="reader"))
        assert response.status_code == 200
        release.set()


async def test_shadow_calls_stop_at_their_budget(fitted, url):
    # 3 + 4 tokens a call at 1 USD each, five members: 35 USD a shadow.
    models = {
        name: Member(model, price_input_usd_per_million=1e6, price_output_usd_per_million=1e6)
        for name, model in scripted(LETTERS).items()
    }
    metrics = await shadowed(make_app(fitted, models, store=url, shadow=1.0, shadow_max_usd=80.0), n=4)
    assert 'selectllm_shadow_total{result="over_budget"}' in metrics
    rows = [row for row in stored(url) if row.shadow_of is not None]
    assert sum(row.decision["cost_usd"] for row in rows) <= 80.0


async def test_a_shadow_that_fails_is_counted(fitted, url):
    models = scripted(LETTERS, errors=tuple(LETTERS))
    app = make_app(fitted, store=url, shadow=1.0)
    app.state.selectllm.served.answer_by_all = make_app(fitted, models).state.selectllm.served.answer_by_all
    metrics = await shadowed(app)
    assert 'selectllm_shadow_total{result="failed"} 1.0' in metrics


async def test_a_budget_needs_prices(fitted, url):
    app = make_app(fitted, store=url, shadow=0.5, shadow_max_usd=5.0)
    with pytest.raises(ServerConfigError, match="have no prices"):
        async with client(app):
            pass


def test_answers_are_numbered_unless_they_may_be_kept():
    metadata = {
        **dict.fromkeys(
            [
                "probabilities",
                "selection",
                "left_out",
                "winner",
                "supporters",
                "open_ended",
                "support",
                "confidence",
                "calls",
                "rounds",
                "latencies_s",
                "cost_usd",
                "topped_up",
                "held_back",
                "cancelled",
                "abstained",
                "usage",
            ]
        ),
        "text": "secret",
        "vote": {"strategy": "majority", "decided_by": "vote", "scores": {"secret": 1.0}},
        "failures": {"c": {"error": "ValueError", "message": "secret"}},
        "answers": {"a": "secret", "b": None},
        "answer": "secret",
    }
    kept = kept_metadata(metadata, keep_answers=False)
    assert "secret" not in str(kept)
    assert (kept["answers"], kept["answer"]) == ({"a": "answer 1", "b": None}, "answer 1")
    assert kept_metadata(metadata, keep_answers=True)["answer"] == "secret"
