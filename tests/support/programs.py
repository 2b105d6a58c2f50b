"""Programs outside Python that tests start."""

import os
import shutil
import subprocess

import pytest

REQUIRED = "SELECTLLM_REQUIRE_PROGRAMS"
"""Set where every program has to be there (CI): the tests fail there instead of skipping."""


def program(name):
    """Path of a program; without it the test is skipped, or fails where it is required."""
    path = shutil.which(name)
    if path is None:
        missing(f"{name} is not installed (.ci/install-programs)")
    return path


def missing(reason):
    """Skips the test, or fails it where programs are required."""
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)


def install_node_client(folder):
    """Installs npm's openai package into a folder."""
    command = [program("npm"), "install", "--no-audit", "--no-fund", "openai@6"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        missing(f"npm cannot install openai: {done.stderr.strip().splitlines()[-1:]}")
