"""`selectllm serve` as a process of its own, over members on a loopback server."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx

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


@contextmanager
def world(folder):
    """Artefact and pool file in a folder, over members on a loopback server."""
    fit(folder / "router", [[1, 0, 0], [0, 1, 1]])
    with WireServer().running() as members:
        (folder / "pool.yaml").write_text(POOL.format(url=members.url))
        yield folder


@contextmanager
def serving(folder, *, serve=SERVE):
    """A running `selectllm serve` and its URL."""
    port = free_port()
    command = [*serve, "router", "--pool", "pool.yaml", "--policy", "all_members", "--port", str(port)]
    env = {**os.environ, "SELECTLLM_API_KEYS": KEY, "OPENAI_API_KEY": "none", "NO_PROXY": "127.0.0.1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/health/live"), 180)
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
