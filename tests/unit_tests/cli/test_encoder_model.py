"""The option `--encoder-model` of the commands that load a router."""

import pytest
from typer.testing import CliRunner

from langchain_selectllm.classifier.classifier import SelectLLMClassifier
from langchain_selectllm.cli.app import app


class LoadedError(Exception):
    """Ends a command once it has loaded its router."""


@pytest.mark.parametrize(
    "command",
    [["route", "FOLDER", "x"], ["ask", "FOLDER", "x"], ["evaluate", "FOLDER", "outcomes"]],
    ids=lambda command: command[0],
)
def test_the_named_model_reaches_the_loading_of_the_router(fitted, tmp_path, monkeypatch, command):
    given = []

    def load(folder, *, encoder_model=None):
        given.append(encoder_model)
        raise LoadedError

    folder = tmp_path / "router"
    fitted.save_pretrained(folder)
    monkeypatch.setattr(SelectLLMClassifier, "from_pretrained", load)
    monkeypatch.setattr("langchain_selectllm.routing.load_router.check_embedded", lambda members: None)
    monkeypatch.setattr("langchain_selectllm.embedded.embedded_models", lambda members: {})
    arguments = [str(folder) if part == "FOLDER" else part for part in command]
    result = CliRunner().invoke(app, [*arguments, "--encoder-model", "models/small"])
    assert isinstance(result.exception, LoadedError)
    assert given == ["models/small"]
