"""Health, metrics, models, route, reload: everything beside the replies."""

import gc

import pytest

from langchain_selectllm import SelectLLMClassifier
from langchain_selectllm.exceptions import ArtefactError, MemberMismatchError, PolicyError, ServerConfigError
from langchain_selectllm.integrations.server.adapter import allowed_policies, load_served
from langchain_selectllm.integrations.server.running import calm_collector
from langchain_selectllm.integrations.server.settings import ServerSettings
from tests.support.pages import DOCS
from tests.support.served import LETTERS, chat, client, events, make_app, served_router
from tests.support.worlds import score_table

CHAT = "/v1/chat/completions"


async def test_models_are_the_router_its_policies_and_its_members(fitted):
    async with client(make_app(fitted, policies=["max_conf:1"])) as http:
        listed = [model["id"] for model in (await http.get("/v1/models")).json()["data"]]
        assert listed == ["selectllm", "selectllm/all_members", "selectllm/max_conf:1", *LETTERS]
        for name in listed:
            assert (await http.get(f"/v1/models/{name}")).json()["id"] == name
        assert (await http.get("/v1/models/other")).status_code == 404


async def test_readiness_ends_when_the_server_drains_and_connections_are_closed(fitted):
    app = make_app(fitted)
    async with client(app) as http:
        assert (await http.get("/health/ready")).json()["status"] == "ready"
        app.state.selectllm.draining = True
        response = await http.get("/health/ready")
        assert (response.status_code, response.headers["connection"]) == (503, "close")
        # What still comes is answered.
        assert (await http.post(CHAT, json=chat())).status_code == 200
        assert (await http.get("/health/live")).status_code == 200


async def test_route_tells_the_decision_and_calls_nobody(fitted):
    async with client(make_app(fitted, policies=["max_conf:2"])) as http:
        body = chat(model="selectllm/max_conf:2")
        decision = (await http.post("/v1/selectllm/route", json=body)).json()
        assert (len(decision["members"]), decision["policy"]) == (2, "max_conf:2")
        assert set(decision["probabilities"]) == set(LETTERS)
        refused = await http.post("/v1/selectllm/route", json=chat(model="reader"))
        assert refused.status_code == 400
        metrics = (await http.get("/metrics")).text
    assert "selectllm_calls_total 0.0" in metrics


async def test_metrics_count_requests_votes_and_members(fitted):
    async with client(make_app(fitted)) as http:
        await http.post(CHAT, json=chat())
        await http.post(CHAT, json=chat(n=2))
        events((await http.post(CHAT, json=chat(stream=True))).text)
        metrics = (await http.get("/metrics")).text
    assert 'selectllm_requests_total{endpoint="/v1/chat/completions",status="200"} 2.0' in metrics
    assert 'selectllm_requests_total{endpoint="/v1/chat/completions",status="400"} 1.0' in metrics
    assert 'selectllm_votes_total{decided_by="vote",policy="all_members"} 2.0' in metrics
    assert "selectllm_calls_total 10.0" in metrics
    assert 'selectllm_member_calls_total{member="reader",outcome="replied"} 2.0' in metrics
    assert "selectllm_unknown_cost_total 2.0" in metrics
    assert "selectllm_first_token_seconds_count 1.0" in metrics
    assert "selectllm_in_flight 0.0" in metrics


async def test_paths_that_a_client_makes_up_do_not_become_labels(fitted):
    async with client(make_app(fitted)) as http:
        response = await http.get("/made-up-path")
        metrics = (await http.get("/metrics")).text
    assert response.json()["error"]["message"] == "There is nothing at this path."
    assert "made-up" not in metrics
    assert 'endpoint="other",status="404"' in metrics


async def test_a_wrong_method_is_refused_in_the_same_shape(fitted):
    async with client(make_app(fitted)) as http:
        response = await http.get(CHAT)
    assert (response.status_code, response.json()["error"]["type"]) == (405, "invalid_request_error")


async def test_the_clients_request_id_comes_back_and_a_bad_one_is_replaced(fitted):
    async with client(make_app(fitted)) as http:
        kept = await http.get("/version", headers={"x-request-id": "mine-1"})
        replaced = await http.get("/version", headers={"x-request-id": "x" * 200})
    assert kept.headers["x-request-id"] == "mine-1"
    assert replaced.headers["x-request-id"].startswith("req-")


async def test_a_reload_swaps_the_router_and_a_failed_one_keeps_the_old(fitted):
    app = make_app(fitted, reload_endpoint=True)
    state = app.state.selectllm
    old = state.served
    new = served_router(fitted)

    def fail():
        raise ArtefactError("config.json is missing")

    async with client(app) as http:
        state.load = fail
        refused = await http.post("/v1/selectllm/reload")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "reload_refused")
        assert state.served is old
        assert (await http.post(CHAT, json=chat())).status_code == 200
        state.load = lambda: new
        assert (await http.post("/v1/selectllm/reload")).json()["artefact"] == new.digest
        assert state.served is new
        metrics = (await http.get("/metrics")).text
    assert 'selectllm_reloads_total{result="accepted"} 1.0' in metrics
    assert 'selectllm_reloads_total{result="refused"} 1.0' in metrics


async def test_callers_cannot_reload_unless_the_operator_lets_them(fitted):
    async with client(make_app(fitted)) as http:
        assert (await http.post("/v1/selectllm/reload")).status_code == 403


async def test_a_failure_of_the_server_itself_is_logged_without_its_text(fitted, caplog):
    app = make_app(fitted)

    def fail():
        raise KeyError("PROMPT-WORD")

    app.state.selectllm.served.answer = lambda call: fail()
    async with client(app) as http:
        response = await http.post(CHAT, json=chat())
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "PROMPT-WORD" not in response.text + caplog.text


def test_settings_come_from_file_environment_and_command_line(tmp_path, monkeypatch):
    file = tmp_path / "serve.yaml"
    file.write_text("port: 1\nmax_calls: 5\npolicies: [all_members]\n")
    monkeypatch.setenv("SELECTLLM_SERVE_PORT", "2")
    settings = ServerSettings.load(file, host="localhost", port=None)
    assert (settings.host, settings.port, settings.max_calls) == ("localhost", 2, 5)
    assert settings.policies == ("all_members",)
    assert ServerSettings.load(file, port=3).port == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("api_keys: [x]", "api_keys is unknown.*API keys come from the environment"),
        ("port: -1", "port is -1"),
        ("shadow: 0.1", "^shadow calls need a store. Give one such as sqlite:///served.db.$"),
        ("- port", "serve.yaml holds no settings. Write one on each line"),
        ("a: [", "serve.yaml is no YAML: while parsing"),
        ("port: \udcff", "serve.yaml cannot be read: it is no text in UTF-8"),
    ],
)
def test_wrong_settings_are_named(tmp_path, text, message):
    file = tmp_path / "serve.yaml"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(ServerConfigError, match=message):
        ServerSettings.load(file)


def test_a_settings_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ServerConfigError, match="nowhere.yaml is not a file"):
        ServerSettings.load(tmp_path / "nowhere.yaml")


def test_every_setting_is_on_the_page():
    page = (DOCS / "how-to/serve-over-http.md").read_text()
    table = page.partition("| field | default |")[2].partition("\n\n")[0]
    missing = [name for name in ServerSettings.model_fields if f"`{name}`" not in table]
    assert missing == []


def test_every_endpoint_is_on_the_page(fitted):
    page = (DOCS / "how-to/serve-over-http.md").read_text()
    paths = [route.path.partition("/{")[0] for route in make_app(fitted).routes]
    assert [path for path in paths if path not in page] == []


POOL = """
members:
  m0: {model: "openai:gpt-4o-mini", price_input_usd_per_million: 1, price_output_usd_per_million: 1}
  m1: {model: "openai:gpt-4o"}
  judge: {model: "openai:gpt-4o"}
"""


def test_a_router_is_loaded_over_a_pool_file_and_every_allowed_policy_is_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    classifier = SelectLLMClassifier().fit(score_table([[1, 0], [0, 1]] * 6))
    classifier.save_pretrained(tmp_path / "router")
    pool = tmp_path / "pool.yaml"
    pool.write_text(POOL)
    settings = ServerSettings(policy="all_members", policies=("max_conf:1",), sticky_threads=5)
    served = load_served(tmp_path / "router", pool, settings)
    assert (served.members, served.policy, served.digest) == (
        ("m0", "m1"),
        "all_members",
        classifier.learned.digest,
    )
    assert served.unpriced == ["m1"]
    with pytest.raises(PolicyError, match="size=3"):
        load_served(tmp_path / "router", pool, ServerSettings(policy="all_members", policies=("max_conf:3",)))
    with pytest.raises(MemberMismatchError, match="not embedded"):
        load_served(tmp_path / "router", None, settings)


def test_without_a_policy_the_default_of_the_router_is_served(tmp_path, monkeypatch):
    """Two members trained on scores alone: neither a third one nor an operating point."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    SelectLLMClassifier().fit(score_table([[1, 0], [0, 1]] * 6)).save_pretrained(tmp_path / "router")
    pool = tmp_path / "pool.yaml"
    pool.write_text(POOL)
    settings = ServerSettings(policies=("max_conf:1",))
    served = load_served(tmp_path / "router", pool, settings)
    assert allowed_policies(settings, served) == ("weighted_max_conf:2", "max_conf:1")


def test_collections_of_garbage_are_rare_and_spare_what_is_loaded():
    before = gc.get_threshold()
    try:
        calm_collector()
        assert gc.get_freeze_count() > 10_000
        # The later generations are collected as often per earlier one as before.
        assert gc.get_threshold() == (10_000, *before[1:])
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
