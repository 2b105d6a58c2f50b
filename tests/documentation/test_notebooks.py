"""The cookbook's notebooks, executed offline from their sources."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.support.notebooks import SOURCES
from tests.support.pages import ROOT

# A proxy that does not answer: any download would fail.
OFFLINE = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_runs_offline_and_its_assertions_hold(source, tmp_path):
    environment = {**os.environ, **OFFLINE, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, source],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if find_spec("torch") is None and "MissingDependencyError: The embedded pool needs torch" in ran.stderr:
        pytest.skip("torch is not installed (extra `embedded`)")
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout
