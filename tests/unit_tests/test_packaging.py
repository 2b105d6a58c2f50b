"""Metadata of the distribution, and messages about packages that are not installed."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import langchain_selectllm
from langchain_selectllm._optional import pip_line, require
from langchain_selectllm.exceptions import MissingDependencyError

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


class Distribution:
    """A distribution with a record of its source, as pip writes it."""

    def __init__(self, record):
        self.record = record

    def read_text(self, name):
        assert name == "direct_url.json"
        return self.record and json.dumps(self.record)


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (None, 'pip install "langchain-selectllm[train]"'),
        ({"url": "file:///home/me/a%20checkout", "dir_info": {}}, 'pip install "/home/me/a checkout[train]"'),
        (
            {"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            'pip install "langchain-selectllm[train] @ git+https://example.org/x.git"',
        ),
    ],
)
def test_the_pip_line_names_the_place_that_the_package_came_from(monkeypatch, record, line):
    monkeypatch.setattr(metadata, "distribution", lambda name: Distribution(record))
    assert pip_line("train") == line


def test_a_missing_package_is_named_as_pip_knows_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(
        MissingDependencyError, match=r"Training needs scikit-learn\. Install it: pip install .*train"
    ):
        require("sklearn.linear_model", extra="train", needed_by="Training")


def test_training_and_comparing_effects_without_the_extra_train_name_it(tmp_path):
    code = (
        "import sys; sys.modules.update(sklearn=None, scipy=None, threadpoolctl=None)\n"
        "from pathlib import Path\n"
        "from langchain_selectllm import OutcomeTable, SelectLLMClassifier, write_demo_outcomes\n"
        f"write_demo_outcomes(Path({str(tmp_path / 'outcomes')!r}), n_queries=60)\n"
        f"table = OutcomeTable.from_folders({str(tmp_path / 'outcomes')!r})\n"
        "try: SelectLLMClassifier().fit(table)\n"
        "except ImportError as error: print(type(error).__name__, error)\n"
        "from langchain_selectllm.evaluation.effects import p_value\n"
        "try: p_value(table.scores[:, 0], table.scores[:, 1])\n"
        "except ImportError as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(
        r"MissingDependencyError Training needs \S+\. Install it: pip install .*\[train\].*\n"
        r"MissingDependencyError A comparison of effects needs \S+\. Install it: pip install .*\[train\].*\n",
        done.stdout,
    )


def test_one_version_everywhere():
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "langchain_selectllm/__init__.py"
    (cited,) = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited == langchain_selectllm.__version__


def test_the_package_index_shows_absolute_links_only():
    shown = (ROOT / "README.md").read_text()
    assert re.search(r"\]\((?!http)", shown)
    for rule in PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        shown = re.sub(rule["pattern"], rule["replacement"], shown)
    links = re.findall(r"\]\(([^)]*)\)", shown)
    assert links
    assert [link for link in links if not link.startswith(("https://", "http://", "#"))] == []


def test_the_address_of_the_repository_is_the_same_everywhere():
    home = PROJECT["project"]["urls"]["Homepage"]
    owner, name = home.removeprefix("https://github.com/").split("/")
    text = (ROOT / "pyproject.toml").read_text()
    addresses = re.findall(r"https://(?:github|raw\.githubusercontent)\.com/([\w-]+)/([\w-]+)", text)
    assert len(addresses) >= 6
    assert set(addresses) == {(owner, name)}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_demo_prints_a_plan_and_installs_what_the_demo_needs_and_nothing_else(tmp_path):
    done = subprocess.run(
        ["make", "--dry-run", "demo", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "make demo: 1. create" in done.stdout
    assert [line for line in done.stdout.splitlines() if "[4/4] selectllm demo" in line]
    installed = re.findall(r"pip install (.*)", done.stdout)
    assert len(installed) == 2
    assert installed[0].endswith(" torch")
    # pip shows no progress of a download where it is told to be quiet.
    assert "--quiet" not in installed[0]
    assert installed[1].endswith('-e ".[embedded,train]"')


def test_full_is_the_sum_of_its_parts():
    extras = PROJECT["project"]["optional-dependencies"]
    assert extras["full"] == ["langchain-selectllm[sentence,fine-tune,embedded,train]"]
    assert not any(
        name.startswith(("scikit", "scipy", "torch")) for name in PROJECT["project"]["dependencies"]
    )


def test_every_dependency_has_a_floor():
    lists = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    unbounded = [
        item
        for items in lists
        for item in items
        if ">=" not in item and not item.startswith("langchain-selectllm[")
    ]
    assert unbounded == []
