"""The container's build steps, run in a folder: what goes into the image is small enough, and it serves."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import program
from tests.support.serve_process import ask, serving, world

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "serve-over-http.md"
LIMIT_MB = 250
# Debian's and Python's part, which cannot be fetched here.
BASE_MB = 125

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment that the first stage of the Dockerfile leaves, in another folder."""
    program("strip")
    source, target = tmp_path_factory.mktemp("src"), tmp_path_factory.mktemp("opt") / "selectllm"
    text = re.sub(r"\\\n", " ", (ROOT / "deploy" / "Dockerfile").read_text())
    stage = text.split("\nFROM ")[1]
    for copied in re.findall(r"^COPY (.+) \S+$", stage, re.MULTILINE):
        for name in copied.split():
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, source / name)
    (step,) = [run for run in re.findall(r"^RUN (.+)$", stage, re.MULTILINE) if "pip install" in run]
    step = step.replace("/opt/selectllm", str(target)).replace("python -m venv", f"{sys.executable} -m venv")
    subprocess.run(["sh", "-euc", step], cwd=source, check=True, capture_output=True)
    return target


def test_the_image_is_as_small_as_the_page_says(environment):
    size = sum(file.stat().st_size for file in environment.rglob("*") if not file.is_symlink())
    assert BASE_MB + size / 1e6 <= LIMIT_MB
    assert f"{LIMIT_MB} MB" in PAGE.read_text()


def test_what_training_needs_is_not_in_the_image(environment):
    packages = {folder.name for folder in environment.glob("lib/python*/site-packages/*")}
    assert {"numpy", "langchain_openai", "langchain_ollama"} <= packages
    assert not packages & {"torch", "sklearn", "scipy", "pip"}


def test_a_server_of_the_image_answers(environment, tmp_path, monkeypatch):
    # Else it would import the checkout.
    monkeypatch.delenv("PYTHONPATH", raising=False)
    serve = [str(environment / "bin" / "selectllm"), "serve"]
    with world(tmp_path) as (folder, _), serving(folder, serve=serve) as (_, url):
        answer = ask(url)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "The answer is (B)."
