import re

from langchain_selectllm.integrations.server.page import page_content
from langchain_selectllm.testing import ReplayChatModel
from tests.support.served import LETTERS, chat, client, make_app, make_state

CHAT = "/v1/chat/completions"


async def test_the_page_shows_requests_members_and_the_last_decisions(fitted):
    app = make_app(fitted)
    async with client(app) as http:
        assert "No request was answered yet" in (await http.get("/")).text
        decision = (await http.post(CHAT, json=chat("PROMPT-WORD"))).json()["selectllm"]["decision_id"]
        await http.post(CHAT, json=chat(n=2))
        response = await http.get("/")
    page = page_content(app.state.selectllm)
    assert dict(page.cards)["requests"] == "2"
    assert dict(page.cards)["member calls"] == "5"
    assert {line.name: line.share_percent for line in page.members} == dict.fromkeys(LETTERS, 100)
    assert sum(line.won for line in page.members) == 1
    assert decision in response.text
    assert "PROMPT-WORD" not in response.text
    assert "The answer is" not in response.text


async def test_names_are_escaped_and_nothing_can_run_or_load(fitted):
    app = make_app(fitted)
    async with client(app) as http:
        await http.post(CHAT, json=chat())
        metadata = app.state.selectllm.recent.last(1)[0].metadata
        metadata["selection"]["reason"] = "<script>alert(1)</script>"
        response = await http.get("/")
    assert "<script" not in response.text
    assert "&lt;script&gt;alert(1)" in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert re.findall(r"(?:src|href)=(\S+)", response.text) == ['"data:,">']


async def test_failures_and_unknown_figures_are_shown(fitted):
    models = {name: ReplayChatModel(model=name, default="The answer is (A).") for name in LETTERS}
    models["reader"] = ReplayChatModel(model="reader", error=RuntimeError("x"))
    app = make_app(fitted, models)
    async with client(app) as http:
        await http.post(CHAT, json=chat())
    page = page_content(app.state.selectllm)
    failed = {line.name: line.failed for line in page.members}
    assert failed == {**dict.fromkeys(LETTERS, 0), "reader": 1}
    assert page.decisions[0].cost == "–"
    assert dict(page.cards)["known cost"] == "–"
    assert dict(page.cards)["requests of unknown cost"] == "1"


def test_a_server_without_requests_has_a_page(fitted):
    page = page_content(make_state(fitted))
    assert page.members[0].median == "–"
    assert dict(page.cards)["known cost"] == "0.0000 USD"
    assert page.decisions == []
