"""The pages about the server, executed as a reader would: a shell, a server in the background, clients beside it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from tests.support.pages import SERVED, named
from tests.support.programs import install_node_client, program

pytest.importorskip("torch")

BLOCK = re.compile(r"^```(bash|python|javascript)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT_S = 900


class Session:
    """A reader's shell in a folder of its own; the page's port is replaced by a free one."""

    def __init__(self, folder):
        self.folder = folder
        self.groups = []
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        programs = folder / "bin"
        programs.mkdir()
        command = programs / "selectllm"
        command.write_text(f"#!{sys.executable}\nfrom langchain_selectllm.cli import main\nmain()\n")
        command.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SELECTLLM")}
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self.env = {**kept, "PATH": path, "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}

    def run(self, kind, block):
        text = block.replace("8000", str(self.port))
        if kind == "javascript":
            install_node_client(self.folder)
        commands = {
            "bash": ["bash", "-euo", "pipefail", "-c", self.with_pid(text)],
            "python": [sys.executable, "-c", text],
            "javascript": ["node", "--input-type=module", "-e", text],
        }
        # Into a file: a server in the background would keep a pipe open.
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                commands[kind], cwd=self.folder, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
            self.groups.append(process.pid)
            code = process.wait(LIMIT_S)
        assert code == 0, f"{text}\n{(self.folder / 'log').read_text()[-3000:]}"
        if text.rstrip().endswith("&"):
            self.wait_for_the_server()

    def with_pid(self, text):
        if not text.rstrip().endswith("&"):
            return text
        return f"{text}\necho $! > server.pid\n"

    def wait_for_the_server(self):
        give_up = time.monotonic() + 120
        while True:
            try:
                assert httpx.get(f"http://127.0.0.1:{self.port}/health/live").status_code == 200
                break
            except httpx.TransportError:
                assert time.monotonic() < give_up, (self.folder / "log").read_text()[-3000:]
                time.sleep(0.2)
        self.env["SERVER_PID"] = (self.folder / "server.pid").read_text().strip()

    def close(self):
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.mark.parametrize("page", SERVED, ids=named)
def test_the_blocks_run_in_order_against_a_server(page, tmp_path):
    program("bash")
    program("curl")
    session = Session(tmp_path)
    try:
        for kind, block in BLOCK.findall(page.read_text()):
            session.run(kind, block)
    finally:
        session.close()
    assert "Traceback" not in (tmp_path / "log").read_text()
