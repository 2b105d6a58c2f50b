"""Pages of the documentation, and their blocks executed in order."""

import re
import shlex
from pathlib import Path

import pytest

from langchain_selectllm.cli import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "cookbook/README.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

SLOW = [
    DOCS / "how-to/collect.md",
    DOCS / "how-to/answer-a-batch.md",
    DOCS / "how-to/several-samples.md",
    DOCS / "how-to/token-probabilities.md",
    DOCS / "reference/embedded-pool.md",
]
"""Pages whose blocks run language models; `make pages` runs them."""

SERVED = [DOCS / "how-to/serve-over-http.md", DOCS / "how-to/production-loop.md"]
"""Pages whose blocks talk to a server; `make pages` runs them as shell sessions."""


def named(page):
    return page.relative_to(ROOT).as_posix()


def run_console(block, monkeypatch):
    for line in block.splitlines():
        if line.startswith("$ selectllm"):
            monkeypatch.setattr("sys.argv", shlex.split(line[2:], comments=True))
            with pytest.raises(SystemExit) as stop:
                main()
            assert not stop.value.code, f"{line} ended in exit code {stop.value.code}"


def run_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    names = {"__name__": "__docs__"}
    for found in BLOCK.finditer(text):
        kind, block = found.groups()
        if kind == "console":
            run_console(block, monkeypatch)
        else:
            # Blank lines in front make an error point to the line of the page.
            exec(compile("\n" * text.count("\n", 0, found.start(2)) + block, str(page), "exec"), names)
