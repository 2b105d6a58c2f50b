"""The command as a process: start, reload by SIGHUP, drain at SIGTERM."""

import os
import shutil
import signal
import socket
import subprocess
import threading

import httpx
import pytest

from tests.support.serve_process import KEY, SERVE, ask, fit, get, serving, world
from tests.support.waiting import LONG_S, wait_until


@pytest.fixture
def members(tmp_path):
    """The loopback server of the members."""
    with world(tmp_path) as (_, members):
        yield members


@pytest.fixture
def folder(tmp_path, members):
    """Artefact and pool file over these members."""
    return tmp_path


def test_a_reload_loses_no_request_and_a_broken_artefact_changes_nothing(folder):
    with serving(folder) as (process, url):
        before = get(url, "/version").json()["artefact"]
        statuses, stop = [], threading.Event()

        def keep_asking():
            with httpx.Client() as client:
                while not stop.is_set():
                    statuses.append(ask(url, client).status_code)

        asking = [threading.Thread(target=keep_asking) for _ in range(2)]
        for thread in asking:
            thread.start()
        fit(folder / "new", [[1, 0, 1], [0, 1, 0]])
        shutil.move(folder / "router", folder / "old")
        shutil.move(folder / "new", folder / "router")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: get(url, "/version").json()["artefact"] != before)
        after = get(url, "/version").json()["artefact"]
        (folder / "router" / "config.json").write_text("{}")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Reload refused" in (folder / "log").read_text())
        assert get(url, "/version").json()["artefact"] == after
        wait_until(lambda: len(statuses) > 5)
        stop.set()
        for thread in asking:
            thread.join()
        assert set(statuses) == {200}
        assert KEY not in (folder / "log").read_text()
        assert "Which?" not in (folder / "log").read_text()


def test_sigterm_finishes_what_is_in_flight_and_what_comes_at_that_moment(folder, members):
    # All of them: a vote that one late member cannot change ends without it.
    text = (folder / "pool.yaml").read_text().replace("says:", "slow:")
    (folder / "pool.yaml").write_text(text)
    # A moment that is long enough for a busy machine.
    moment = {"SELECTLLM_SERVE_DRAIN_NOTICE_S": "8", "SELECTLLM_SERVE_DRAIN_S": "100"}
    with serving(folder, environment=moment) as (process, url):
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(ask(url).status_code)) for _ in range(4)]
        for thread in threads[:2]:
            thread.start()
        wait_until(lambda: "selectllm_in_flight 2.0" in get(url, "/metrics").text)
        process.send_signal(signal.SIGTERM)
        for thread in threads[2:]:
            thread.start()
        # Three members each.
        wait_until(lambda: len(members.requests) == 4 * 3)
        assert statuses == []
        members.release.set()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 4
        assert process.wait(LONG_S) in (0, -signal.SIGTERM)


def refused(folder, *options):
    """Exit code and standard error of a server that does not start."""
    command = [*SERVE, "router", "--pool", "pool.yaml", *options]
    env = {name: value for name, value in os.environ.items() if not name.startswith("SELECTLLM")}
    env["OPENAI_API_KEY"] = "none"
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=600
    )
    return done.returncode, done.stderr


def test_a_public_host_without_keys_does_not_start(folder):
    code, told = refused(folder, "--host", "0.0.0.0")
    assert code == 2
    assert "SELECTLLM_API_KEYS" in told


def test_a_store_that_cannot_be_opened_is_told_in_a_line(folder):
    code, told = refused(folder, "--port", "0", "--store", "sqlite:///no/such/folder.db")
    assert code == 2
    assert told.startswith("Error: sqlite:///no/such/folder.db cannot be opened")
    assert "Traceback" not in told


def test_a_taken_port_is_not_announced(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, told = refused(folder, "--port", str(taken.getsockname()[1]))
    assert code != 0
    assert "address already in use" in told
    assert "Serving" not in told


def test_the_url_is_announced_once_it_answers(folder):
    with serving(folder) as (_, url):
        assert f"Serving router on {url}/v1" in (folder / "log").read_text()
        assert get(url, "/health/live").status_code == 200
