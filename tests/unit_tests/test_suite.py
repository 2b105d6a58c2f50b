"""The suite itself: what test modules may import, and which folders run once."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
UNIT = TESTS / "unit_tests"
MAKEFILE = TESTS.parent / "Makefile"
FRAMEWORKS = {"langchain", "langchain_core", "langgraph", "llama_index"}


def imported(file):
    """Names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    "folder", ["unit_tests", "integration_tests", "documentation", "benchmarks", "support"]
)
def test_no_module_imports_a_test(folder):
    tests = {
        f"{file.relative_to(TESTS)}: {name}"
        for file in (TESTS / folder).rglob("*.py")
        for name in imported(file)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    }
    assert tests == set()


def listed(variable):
    """Folders that a variable of the Makefile names."""
    (folders,) = re.findall(rf"^{variable} := (.*)$", MAKEFILE.read_text(), re.MULTILINE)
    return folders.split()


def folders_with_tests(parent):
    """Names of the folders within a folder that hold tests."""
    return sorted(file.name for file in parent.iterdir() if file.is_dir() and list(file.rglob("test_*.py")))


def test_every_folder_of_unit_tests_runs_once_or_once_per_pair():
    assert sorted(listed("RUN_ONCE") + listed("RUN_PER_PAIR")) == folders_with_tests(UNIT)


def test_every_folder_of_integration_tests_runs():
    folder = TESTS / "integration_tests"
    assert sorted(listed("INTEGRATION")) == folders_with_tests(folder)
    assert list(folder.glob("test_*.py")) == []


def test_the_test_command_runs_every_target():
    pairs = [f"unit-{pair}" for pair in listed("PAIRS")]
    folders = [f"integration-{folder}" for folder in listed("INTEGRATION")]
    assert sorted(listed("LONGEST_FIRST")) == sorted(["unit-once", *pairs, *folders])


def test_what_depends_on_no_version_of_langchain_runs_on_one_pair():
    """The recipe that older pairs run leaves out what is marked, and what pyproject.toml leaves out for all."""
    options = re.findall(r"-m ['\"](.*?)['\"]", (TESTS.parent / "pyproject.toml").read_text())
    assert listed("NOT_NEWEST") == f'-m "{options[0]} and not newest"'.split()
    recipes = subprocess.run(
        ["make", "--dry-run", "--always-make", *(f"unit-{pair}" for pair in listed("PAIRS"))],
        check=True,
        capture_output=True,
        text=True,
        cwd=TESTS.parent,
    ).stdout.splitlines()
    runs = [line for line in recipes if "tests/unit_tests/routing" in line]
    assert ["not newest" in line for line in runs] == [True] * (len(listed("PAIRS")) - 1) + [False]


def test_what_the_test_command_leaves_out_runs_in_continuous_integration():
    steps = re.findall(r"\bmake ([\w-]+)", (TESTS.parent / ".ci" / "run").read_text())
    assert {"test", "soak", "pages"} <= set(steps)


def test_folders_that_run_once_import_no_framework():
    files = [file for folder in listed("RUN_ONCE") for file in (UNIT / folder).rglob("*.py")]
    names = [
        ".".join(file.relative_to(TESTS.parent).with_suffix("").parts)
        for file in [*files, TESTS / "conftest.py"]
    ]
    code = "import importlib, sys\n" + "".join(
        f"importlib.import_module({name!r})\n"
        f"for found in {FRAMEWORKS!r} & set(sys.modules): sys.exit(f'{name} imports {{found}}')\n"
        for name in sorted(names)
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=TESTS.parent)
    assert (done.returncode, done.stderr) == (0, "")
