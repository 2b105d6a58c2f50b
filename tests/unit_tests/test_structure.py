"""The check of the package's structure finds what passes a limit."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / ".ci/structure.py"


def check(package, source):
    for folder, text in (("", ""), ("dense", source), ("plain", "VALUE = 1\n" * 200)):
        (package / folder).mkdir(parents=True, exist_ok=True)
        (package / folder / "__init__.py").write_text(text)
    command = [sys.executable, SCRIPT, "--check", "--package", package.name]
    done = subprocess.run(command, cwd=package.parent, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_each_folder_is_held_to_the_density_of_comprehensions(tmp_path):
    # 3 in 100 lines are 30 per 1,000; over both folders they are 10 per 1,000.
    assert check(tmp_path / "package", "VALUE = 1\n" * 97 + "A = [x for x in ()]\n" * 3) == (
        1,
        "dense: 30.0 comprehensions per 1,000 lines, at most 20\n",
    )
    assert check(tmp_path / "package", "VALUE = 1\n" * 98 + "A = [x for x in ()]\n" * 2) == (0, "")


def test_each_folder_is_held_to_the_density_of_conditional_expressions(tmp_path):
    code, errors = check(tmp_path / "package", "VALUE = 1\n" * 98 + "A = 1 if VALUE else 2\n" * 2)
    assert code == 1
    assert errors == "dense: 20.0 conditional expressions per 1,000 lines, at most 10\n"
