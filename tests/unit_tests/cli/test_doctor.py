import json
import tomllib
from pathlib import Path

import pytest

from langchain_selectllm import __version__
from langchain_selectllm.cli import doctor
from tests.support.commands import run

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
MODULES = {
    "scikit-learn": "sklearn",
    "pyyaml": "yaml",
    "psycopg[binary]": "psycopg",
    "vl-convert-python": "vl_convert",
    "opentelemetry-sdk": "opentelemetry.sdk",
}


def test_what_is_missing_is_named_with_its_commands_and_the_pip_line(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name in {"torch", "ray"} else object())
    report = json.loads(run(monkeypatch, capsys, "doctor", "--json")[1])
    assert report["version"] == __version__
    assert report["extras"]["embedded"] == {
        "needed_for": "demo, members embedded:NAME",
        "missing": ["torch"],
    }
    assert report["extras"]["train"]["missing"] == []
    code, out, _ = run(monkeypatch, capsys, "doctor")
    assert code == 0
    assert "[embedded,sentence,fine-tune,ray]" in out
    assert f"langchain-selectllm {__version__}, Python 3" in out


def test_every_extra_is_listed():
    # "full" is the sum of others.
    assert {extra.name for extra in doctor.EXTRAS} == PROJECT["optional-dependencies"].keys() - {"full"}


def test_a_module_of_a_missing_package_is_missing():
    extra = doctor.Extra(name="x", modules=("no_such_package.module", "json"), needed_for="x")
    assert extra.missing == ["no_such_package.module"]


def test_nothing_is_to_be_installed_where_everything_is_there(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "find_spec", lambda name: object())
    assert "pip install" not in run(monkeypatch, capsys, "doctor")[1]


@pytest.mark.parametrize("extra", doctor.EXTRAS, ids=lambda extra: extra.name)
def test_the_modules_of_an_extra_are_those_of_its_packages(extra):
    declared = set()
    requirements = list(PROJECT["optional-dependencies"][extra.name])
    for requirement in requirements:
        package = requirement.partition(">=")[0]
        if package.startswith("langchain-selectllm["):
            for other in package.partition("[")[2].rstrip("]").split(","):
                requirements += PROJECT["optional-dependencies"][other]
        package = package.partition("[")[0]
        declared.add(MODULES.get(package) or package.replace("-", "_").removesuffix("_core"))
    assert set(extra.modules) <= declared
