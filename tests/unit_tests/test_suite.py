"""The suite itself: what test modules may import, and which folders run once."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def imported(file):
    """Names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", ["unit_tests", "integration_tests", "benchmarks", "support"])
def test_no_module_imports_a_test(folder):
    tests = {
        f"{file.relative_to(TESTS)}: {name}"
        for file in (TESTS / folder).rglob("*.py")
        for name in imported(file)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    }
    assert tests == set()
