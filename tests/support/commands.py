"""The command line, called in this process."""

import pytest

from langchain_selectllm.cli import main


def run(monkeypatch, capsys, *arguments):
    """Exit code, stdout, stderr of one command."""
    monkeypatch.setattr("sys.argv", ["selectllm", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err
