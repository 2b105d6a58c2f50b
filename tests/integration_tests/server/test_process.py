"""The command as a process: start, reload by SIGHUP, drain at SIGTERM."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from langchain_selectllm import SelectLLMClassifier
from tests.support.wire_server import WireServer
from tests.support.worlds import score_table

SERVE = [sys.executable, "-c", "from langchain_selectllm.cli import main; main()", "serve"]
KEY = "sk-of-the-process"
HEADERS = {"authorization": f"Bearer {KEY}"}
BODY = {"model": "selectllm", "messages": [{"role": "user", "content": "Which?"}]}
POOL = """
members:
  m0: {{model: "openai:says:The answer is (B).", base_url: {url}/v1}}
  m1: {{model: "openai:says:The answer is (A).", base_url: {url}/v1}}
  m2: {{model: "openai:says:The answer is (B).", base_url: {url}/v1}}
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fit(folder, rows):
    SelectLLMClassifier().fit(score_table(rows * 6)).save_pretrained(folder)


@pytest.fixture
def world(tmp_path):
    """Artefact and pool file, over members on a loopback server."""
    fit(tmp_path / "router", [[1, 0, 0], [0, 1, 1]])
    with WireServer().running() as members:
        (tmp_path / "pool.yaml").write_text(POOL.format(url=members.url))
        yield tmp_path


@contextmanager
def serving(folder, *arguments):
    """A running `selectllm serve` and its URL."""
    port = free_port()
    command = [*SERVE, "router", "--pool", "pool.yaml"]
    command += ["--policy", "all_members", "--port", str(port), *arguments]
    env = {**os.environ, "SELECTLLM_API_KEYS": KEY, "OPENAI_API_KEY": "none", "NO_PROXY": "127.0.0.1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/health/live"), 60)
        yield process, url
    finally:
        process.kill()
        process.wait(10)


def answers(url):
    try:
        return httpx.get(url, headers=HEADERS).status_code == 200
    except httpx.TransportError:
        return False


def wait_until(holds, seconds):
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def ask(url, client=httpx):
    return client.post(f"{url}/v1/chat/completions", json=BODY, headers=HEADERS, timeout=30)


def test_a_reload_loses_no_request_and_a_broken_artefact_changes_nothing(world):
    with serving(world) as (process, url):
        before = httpx.get(f"{url}/version", headers=HEADERS).json()["artefact"]
        statuses, stop = [], threading.Event()

        def keep_asking():
            with httpx.Client() as client:
                while not stop.is_set():
                    statuses.append(ask(url, client).status_code)

        asking = [threading.Thread(target=keep_asking) for _ in range(2)]
        for thread in asking:
            thread.start()
        fit(world / "new", [[1, 0, 1], [0, 1, 0]])
        shutil.move(world / "router", world / "old")
        shutil.move(world / "new", world / "router")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: httpx.get(f"{url}/version", headers=HEADERS).json()["artefact"] != before, 30)
        after = httpx.get(f"{url}/version", headers=HEADERS).json()["artefact"]
        (world / "router" / "config.json").write_text("{}")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Reload refused" in (world / "log").read_text(), 30)
        assert httpx.get(f"{url}/version", headers=HEADERS).json()["artefact"] == after
        stop.set()
        for thread in asking:
            thread.join(30)
        assert len(statuses) > 5
        assert set(statuses) == {200}
        assert KEY not in (world / "log").read_text()
        assert "Which?" not in (world / "log").read_text()


def test_sigterm_finishes_what_is_in_flight_and_what_comes_at_that_moment(world):
    text = (world / "pool.yaml").read_text().replace("says:The answer is (A).", "slow:The answer is (A).")
    (world / "pool.yaml").write_text(text)
    with serving(world) as (process, url):
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(ask(url).status_code)) for _ in range(4)]
        for thread in threads[:2]:
            thread.start()
        wait_until(lambda: "selectllm_in_flight 2.0" in httpx.get(f"{url}/metrics", headers=HEADERS).text, 30)
        process.send_signal(signal.SIGTERM)
        for thread in threads[2:]:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert statuses == [200] * 4
        assert process.wait(30) in (0, -signal.SIGTERM)


def test_a_public_host_without_keys_does_not_start(world):
    command = [*SERVE, "router", "--pool", "pool.yaml"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("SELECTLLM")}
    env["OPENAI_API_KEY"] = "none"
    done = subprocess.run(
        [*command, "--host", "0.0.0.0"], cwd=world, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "SELECTLLM_API_KEYS" in done.stderr
