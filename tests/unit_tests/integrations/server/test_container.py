"""The container's recipe: no image is built here, but every file it copies and every command it runs is there."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from langchain_selectllm.cli.app import app
from langchain_selectllm.integrations.server.access import LIVENESS
from langchain_selectllm.integrations.server.settings import ServerSettings

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def steps():
    """Instruction and argument of each step of the Dockerfile, continued lines joined."""
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())


def values(steps, name):
    return [argument for instruction, argument in steps if instruction == name]


def test_every_copied_file_is_in_the_repository(steps):
    copied = [argument.split() for argument in values(steps, "COPY")]
    sources = [source for *given, _ in copied for source in given if not copied_from_stage(given)]
    assert len(sources) == 4
    for source in sources:
        assert (ROOT / source).exists(), source


def test_nothing_else_goes_to_the_engine(steps):
    """Neither tests nor keys that lie about in a checkout."""
    rules = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().split()
    named = [source for argument in values(steps, "COPY") for source in argument.split()[:-1]]
    sources = {source for source in named if (ROOT / source).exists()}
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == sources


def copied_from_stage(words):
    return words[0].startswith("--from=")


def test_what_is_removed_and_installed_exists(steps):
    (_, run, _) = values(steps, "RUN")
    removed = re.search(r"rm -rf (\S+)", run)[1]
    assert (ROOT / removed).is_dir()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert re.search(r"\.\[(\w+)\]", run)[1] in extras


def test_the_command_line_is_one_that_the_cli_takes(steps):
    (entry,), (arguments,) = values(steps, "ENTRYPOINT"), values(steps, "CMD")
    program, command, *rest = [*json.loads(entry), *json.loads(arguments)]
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert program in scripts
    cli = typer.main.get_command(app)
    parsed = cli.commands[command].make_context(command, rest).params
    # Older versions of typer leave the conversion to a path to the callback.
    assert [Path(parsed["router"]), Path(parsed["pool"])] == [Path("router"), Path("pool.yaml")]
    assert parsed["host"] == "0.0.0.0"


def test_it_does_not_run_as_root_and_is_probed_at_the_open_path(steps):
    (user,), (probe,) = values(steps, "USER"), values(steps, "HEALTHCHECK")
    assert user == "selectllm"
    port = ServerSettings.model_fields["port"].default
    assert f"'{port}'" in probe
    assert LIVENESS in probe
    assert values(steps, "EXPOSE") == [str(port)]


def test_the_services_fit_the_image(steps, compose):
    service = compose["services"]["selectllm"]
    build = service["build"]
    assert (ROOT / "deploy" / build["context"] / build["dockerfile"]).is_file()
    mounted = [volume.split(":")[1] for volume in service["volumes"]]
    (folder,) = values(steps, "WORKDIR")[1:]
    assert mounted == [f"{folder}/router", f"{folder}/pool.yaml"]
    # The engine waits longer than the server drains.
    drain_s = ServerSettings.model_fields["drain_s"].default
    assert float(service["stop_grace_period"].removesuffix("s")) > drain_s
    for name in [*service["depends_on"], *compose["services"]["pull"]["depends_on"]]:
        assert name in compose["services"]
