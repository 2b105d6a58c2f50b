import base64

import pytest

from langchain_selectllm.exceptions import ServerConfigError
from langchain_selectllm.integrations.server.access import LIVENESS, ApiKeys
from langchain_selectllm.testing import ReplayChatModel
from tests.support.served import LETTERS, chat, client, make_app

SECRET = "sk-very-secret-key"
PATHS = [
    ("GET", "/"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/selectllm"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/version"),
    ("GET", "/nowhere"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/selectllm/route"),
    ("POST", "/v1/selectllm/feedback"),
    ("POST", "/v1/selectllm/reload"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"x-api-key": ""}])
async def test_without_a_key_nothing_but_liveness_answers(fitted, method, path, headers):
    async with client(make_app(fitted, keys=[SECRET])) as http:
        response = await http.request(method, path, json=chat(), headers=headers)
        assert (await http.get("/health/live")).json() == {"status": "live"}
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"


def test_every_path_of_the_server_is_among_them(fitted):
    paths = {route.path for route in make_app(fitted, keys=[SECRET]).routes}
    known = {path.replace("models/selectllm", "models/{model:path}") for _, path in PATHS}
    assert paths - {LIVENESS} == known - {"/nowhere"}


def basic(password):
    return "Basic " + base64.b64encode(f"any:{password}".encode()).decode()


@pytest.mark.parametrize(
    "headers",
    [{"authorization": f"Bearer {SECRET}"}, {"x-api-key": SECRET}, {"authorization": basic(SECRET)}],
)
async def test_the_key_is_taken_from_each_usual_header(fitted, headers):
    async with client(make_app(fitted, keys=["another", SECRET])) as http:
        assert (await http.get("/v1/models", headers=headers)).status_code == 200


async def test_a_browser_is_asked_for_the_key_at_the_page_only(fitted):
    async with client(make_app(fitted, keys=[SECRET])) as http:
        assert (await http.get("/")).headers["www-authenticate"].startswith("Basic")
        assert (await http.get("/v1/models")).headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("[::1]:8000", 200),
        ("[::1]", 200),
        ("evil.example", 403),
        ("evil.example:8000", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
    ],
)
async def test_without_keys_only_loopback_names_are_answered(fitted, host, status):
    async with client(make_app(fitted)) as http:
        assert (await http.get("/v1/models", headers={"host": host})).status_code == status


async def test_a_form_of_another_site_cannot_start_calls(fitted):
    async with client(make_app(fitted)) as http:
        body = b'{"model": "selectllm", "messages": [{"role": "user", "content": "x"}]}'
        response = await http.post(
            "/v1/chat/completions", content=body, headers={"content-type": "text/plain"}
        )
    assert response.status_code == 415


def test_a_public_host_needs_keys(fitted):
    with pytest.raises(ServerConfigError, match=r"0\.0\.0\.0.*SELECTLLM_API_KEYS"):
        make_app(fitted, host="0.0.0.0")
    assert make_app(fitted, host="0.0.0.0", keys=[SECRET])


def test_keys_are_read_from_variable_and_file(tmp_path):
    file = tmp_path / "keys"
    file.write_text("third\n\n fourth \n")
    keys = ApiKeys.from_environment(
        {"SELECTLLM_API_KEYS": "first, second", "SELECTLLM_API_KEYS_FILE": str(file)}
    )
    names = {keys.caller(key) for key in ("first", "second", "third", "fourth")}
    assert None not in names
    assert len(names) == 4
    assert keys.caller("fifth") is None
    assert not ApiKeys.from_environment({})


@pytest.mark.parametrize("environ", [{"SELECTLLM_API_KEYS": " "}, {"SELECTLLM_API_KEYS_FILE": "/nowhere"}])
def test_a_variable_without_a_key_is_refused(environ):
    with pytest.raises(ServerConfigError, match="SELECTLLM_API_KEYS"):
        ApiKeys.from_environment(environ)


async def test_keys_are_neither_logged_nor_counted_nor_returned(fitted, caplog):
    app = make_app(fitted, keys=[SECRET])
    caplog.set_level("DEBUG")
    async with client(app, headers={"authorization": f"Bearer {SECRET}"}) as http:
        texts = [(await http.post("/v1/chat/completions", json=chat("PROMPT-WORD"))).text]
        texts += [(await http.post("/v1/chat/completions", json=chat("PROMPT-WORD", n=7))).text]
        metrics = (await http.get("/metrics")).text
    assert SECRET not in caplog.text + metrics + "".join(texts)
    assert "PROMPT-WORD" not in caplog.text + metrics
    assert SECRET not in repr(vars(app.state.selectllm))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_what_providers_write_into_their_errors_is_repeated_nowhere(fitted, caplog, path, stream):
    """Some repeat the key or the prompt."""
    error = RuntimeError(f"401: Incorrect API key {SECRET}. The request was PROMPT-WORD.")
    models = {name: ReplayChatModel(model=name, error=error) for name in LETTERS}
    caplog.set_level("DEBUG")
    body = {**chat("PROMPT-WORD", stream=stream), "input": "PROMPT-WORD"}
    body.pop("messages" if path == "/v1/responses" else "input")
    async with client(make_app(fitted, models)) as http:
        failed = await http.post(path, json=body)
        seen = [(await http.get(shown)).text for shown in ("/", "/metrics", "/version", "/health/ready")]
    assert failed.status_code == 502
    for text in (failed.text, caplog.text, *seen):
        assert SECRET not in text
        assert "PROMPT-WORD" not in text
