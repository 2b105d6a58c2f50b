"""The container's health check as the engine runs it, against a server."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.served import listening, make_app

DOCKERFILE = Path(__file__).parents[3] / "deploy" / "Dockerfile"


def probed(port):
    """Exit code of the health check with the server's port in its environment."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    (command,) = re.findall(r"^HEALTHCHECK .*CMD (.+)$", text, re.MULTILINE)
    _, *arguments = json.loads(command)
    env = {"PATH": os.defpath, "SELECTLLM_SERVE_PORT": str(port)}
    return subprocess.run([sys.executable, *arguments], env=env, capture_output=True, check=False).returncode


def test_the_probe_follows_the_port_and_fails_where_nothing_answers(fitted):
    with listening(make_app(fitted, keys=["first-key"])) as url:
        port = int(url.rpartition(":")[2])
        assert probed(port) == 0
    assert probed(port) == 1
