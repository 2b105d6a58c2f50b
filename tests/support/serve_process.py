"""`selectllm serve` as a process of its own, over members on a loopback server."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager

import httpx

from langchain_selectllm import SelectLLMClassifier
from tests.support.waiting import LONG_S, wait_until
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


def fit(folder, rows):
    SelectLLMClassifier().fit(score_table(rows * 6)).save_pretrained(folder)


@contextmanager
def world(folder):
    """A folder with artefact and pool file, and the loopback server of the members."""
    fit(folder / "router", [[1, 0, 0], [0, 1, 1]])
    with WireServer().running() as members:
        (folder / "pool.yaml").write_text(POOL.format(url=members.url))
        yield folder, members


@contextmanager
def serving(folder, *, serve=SERVE, environment=()):
    """A running `selectllm serve` with further variables in its environment, and its URL."""
    # The system chooses the port, so that nobody else has it.
    command = [*serve, "router", "--pool", "pool.yaml", "--policy", "all_members", "--port", "0"]
    env = {**os.environ, "SELECTLLM_API_KEYS": KEY, "OPENAI_API_KEY": "none", "NO_PROXY": "127.0.0.1"}
    env.update(environment)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    try:
        wait_until(lambda: announced(folder, process))
        yield process, announced(folder, process)
    finally:
        process.kill()
        process.wait(LONG_S)


def announced(folder, process):
    """The URL that the server says it answers at; None as long as it says none."""
    told = (folder / "log").read_text()
    assert process.poll() is None, told
    found = re.search(r"(http://127.0.0.1:\d+)/v1", told)
    return found and found[1]


def get(url, path):
    """What the server answers, however long it takes."""
    return httpx.get(f"{url}{path}", headers=HEADERS, timeout=LONG_S)


def ask(url, client=httpx):
    return client.post(f"{url}/v1/chat/completions", json=BODY, headers=HEADERS, timeout=LONG_S)
