import json
import re

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from rich.console import Console
from typer.main import get_command

from langchain_selectllm import __version__
from langchain_selectllm.answers import semantic
from langchain_selectllm.cli import report_table
from langchain_selectllm.cli.app import app
from langchain_selectllm.members import registry
from langchain_selectllm.members.registry import Member
from langchain_selectllm.outcomes.simulated import write_demo_outcomes
from tests.support.commands import run

# The commands of this file call no model of LangChain but a judge, whose calls other tests make on every pair.
pytestmark = pytest.mark.newest


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write_demo_outcomes(folder / "outcomes", n_queries=150)
    return folder


@pytest.fixture
def selectllm(monkeypatch, capsys):
    return lambda *arguments: run(monkeypatch, capsys, *arguments)


@pytest.fixture
def trained(world, selectllm):
    if not (world / "router").exists():
        assert selectllm("split", world / "outcomes", world / "train", world / "test", "--test", 0.4)[0] == 0
        assert selectllm("train", world / "train", "--out", world / "router", "--json")[0] == 0
    return world


def test_the_whole_job(trained, selectllm):
    code, out, _ = selectllm(
        "evaluate", trained / "router", trained / "test", "--report", trained / "report.json"
    )
    assert code == 0
    assert "Verdict: selectllm:3" in out
    report = json.loads((trained / "report.json").read_text())
    assert report["n_queries"] == 60
    code, out, _ = selectllm("route", trained / "router", "What is 3 * 4?", "--policy", "max_conf:2")
    assert code == 0
    assert "P(correct)" in out
    code, out, _ = selectllm("inspect", trained / "router")
    assert code == 0
    assert all(words in out for words in ("SelectLLM router for 5 members", "Guard", "Operating points"))


def test_a_file_of_prompts_is_routed_and_bad_lines_are_counted(trained, selectllm, tmp_path):
    prompts, decisions = tmp_path / "prompts.jsonl", tmp_path / "decisions.jsonl"
    prompts.write_text('{"query": "What is 3 * 4?"}\n')
    arguments = ("route", trained / "router", "--input", prompts, "--output", decisions)
    code, out, _ = selectllm(*arguments, "--policy", "max_conf:2")
    assert code == 0
    assert f"1 lines in {decisions} by max_conf:2." in out
    prompts.write_text('{"query": "What is 3 * 4?"}\nnothing\n')
    code, out, err = selectllm(*arguments, "--policy", "max_conf:2")
    assert code == 1
    assert "2 lines" in out
    assert "1 of them by an earlier run" in out
    assert f"The first: {prompts}:2: no JSON" in err
    code, out, _ = selectllm(*arguments, "--policy", "max_conf:2", "--json")
    assert code == 0
    assert json.loads(out)["n_earlier"] == 2


def test_route_takes_a_prompt_or_files(trained, selectllm, tmp_path):
    for arguments in ((), ("text", "--input", "a"), ("--input", "a"), ("text", "--output", "b")):
        code, _, err = selectllm("route", trained / "router", *arguments)
        assert code == 2
        assert "Give either a prompt, or --input with --output." in err


def test_json_everywhere(trained, selectllm, tmp_path):
    folder, router = trained / "outcomes", trained / "router"
    split = json.loads(selectllm("split", folder, tmp_path / "a", tmp_path / "b", "--json")[1])
    assert (split["n_train"], split["n_test"]) == (105, 45)
    config = json.loads(
        selectllm("train", folder, "--members", "reader,guesser", "--out", tmp_path / "r", "--json")[1]
    )
    assert config["members"] == ["reader", "guesser"]
    report = json.loads(
        selectllm("evaluate", router, trained / "test", "--policy", "max_conf:2", "--json")[1]
    )
    assert [system["name"] for system in report["systems"]] == [
        "oracle",
        "single_best",
        "all_members",
        "max_conf:2",
        "fixed_best:2",
    ]
    decision = json.loads(selectllm("route", router, "Add 1 and 2.", "--json")[1])
    assert decision["policy"] == "selectllm:3"
    three = json.loads(selectllm("route", router, "Add 1 and 2.", "--policy", "max_conf:3", "--json")[1])
    assert len(three["selection"]) == 3
    assert json.loads(selectllm("inspect", router, "--json")[1])["members"] == report["members"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nowhere", "--out", "x"), "nowhere is not a folder"),
        (("train", "OUTCOMES", "--members", "nobody", "--out", "x"), "No outcome of 'nobody' was recorded"),
        (("train", "OUTCOMES", "--validation", "0.9", "--out", "x"), "validation is 0.9"),
        (("train", "OUTCOMES", "--answer", "poem", "--out", "x"), "Unknown answer extractor 'poem'"),
        (("train", "OUTCOMES", "--out", "OUTCOMES"), "is no artefact of this package"),
        (("evaluate", "nowhere", "OUTCOMES"), "has no config.json"),
        (("evaluate", "ROUTER", "TRAIN"), "were in the training outcomes"),
        (("evaluate", "ROUTER", "TEST", "--policy", "max_conf:9"), "does not fit the pool"),
        (("route", "ROUTER", "x", "--policy", "no"), "Policy 'no' is unknown"),
        (("ask", "ROUTER", "x"), "'reader' are not embedded models"),
        (("ask", "OUTCOMES", "x"), "has no config.json"),
        (("demo", "--out", "TRAIN"), "exists and is not an empty folder"),
        (("inspect", "OUTCOMES"), "has no config.json"),
        (("split", "OUTCOMES", "TRAIN", "new"), "exists and is not an empty folder"),
        (("split", "OUTCOMES", "new1", "new2", "--test", "1"), "test share of 1.0"),
        (("split", "nowhere", "new1", "new2"), "nowhere is not a folder"),
        (("split", "OUTCOMES", "new", "new"), "new is the folder of both sides"),
        (("split", "OUTCOMES", "new", "other/../new"), "new is the folder of both sides"),
        (("train", "OUTCOMES", "--out", "new", "--seed", "-1"), "seed is -1. Use a whole number from 0."),
        (("compare", "ROUTER/README.md", "ROUTER/README.md"), "README.md is no report"),
        (("compare", "nowhere.json", "nowhere.json"), "nowhere.json: no such file or directory."),
        (("route", "ROUTER", "--input", "nowhere", "--output", "new"), "nowhere: no such file or directory."),
        (("drift", "sqlite:///nowhere.db", "ROUTER"), "selectllm collect (or serve) --store"),
        (
            ("evaluate", "ROUTER", "TEST", "--report", "nowhere/report.json"),
            "nowhere is no folder: nowhere/report.json cannot be written",
        ),
    ],
)
def test_bad_input_ends_in_code_2_and_one_clear_line(
    trained, selectllm, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    places = {"OUTCOMES": "outcomes", "ROUTER": "router", "TRAIN": "train", "TEST": "test"}
    heads = [argument.partition("/") for argument in arguments]
    code, out, err = selectllm(
        *(f"{trained / places[h]}{s}{t}" if h in places else h + s + t for h, s, t in heads)
    )
    assert code == 2
    assert message in err
    assert err.strip().count("\n") == 0
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command_ends_in_code_2(selectllm):
    assert selectllm("fly")[0] == 2


def test_a_report_becomes_a_page_and_plots_and_two_reports_are_compared(trained, selectllm, tmp_path):
    router, test = trained / "router", trained / "test"
    page, plots, first = tmp_path / "report.html", tmp_path / "plots", tmp_path / "a.json"
    narrow = ("--policy", "selectllm:3")
    code, _, err = selectllm(
        "evaluate", router, test, *narrow, "--html", page, "--plots", plots, "--report", first
    )
    assert code == 0, err
    assert "Wrongly answered queries" in page.read_text()
    assert (plots / "leave-one-out.png").exists()
    second = tmp_path / "b.json"
    assert (
        selectllm("evaluate", router, test, *narrow, "--no-texts", "--html", page, "--report", second)[0] == 0
    )
    assert "Wrongly answered queries" not in page.read_text()
    assert json.loads(first.read_text())["figures"]["rows"]
    assert json.loads(second.read_text())["figures"]["rows"] == []
    compared = json.loads(selectllm("compare", first, second, "--json")[1])
    assert {system["verdict"] for system in compared["systems"]} == {"no difference shown"}
    assert "no difference shown" in selectllm("compare", first, second)[1]
    (tmp_path / "c.json").write_text("[]")
    code, _, err = selectllm("compare", first, tmp_path / "c.json")
    assert code == 2
    assert "is no report" in err


def test_the_version_is_that_of_the_package(selectllm):
    assert selectllm("--version")[:2] == (0, f"langchain-selectllm {__version__}\n")


@pytest.mark.parametrize("command", [(), *((name,) for name in sorted(get_command(app).commands))])
def test_every_command_explains_itself_by_h_and_by_help(command, selectllm):
    code, short, _ = selectllm(*command, "-h")
    assert code == 0
    assert short.startswith("Usage: selectllm")
    assert selectllm(*command, "--help")[1] == short


def test_the_list_of_commands_says_what_each_does_in_whole_sentences(selectllm, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = selectllm("--help")
    commands = out.partition("Commands:\n")[2].strip().splitlines()
    assert code == 0
    assert len(commands) == len(get_command(app).commands)
    assert [line for line in commands if line.endswith("...") or not line.endswith(".")] == []
    assert max(map(len, commands)) <= 80


def test_the_shell_can_complete_commands(selectllm, monkeypatch):
    out = selectllm("--help")[1]
    assert "--install-completion" in out
    assert "--show-completion" in out
    monkeypatch.setenv("_SELECTLLM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "selectllm ev")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert selectllm()[1].split() == ["evaluate"]


def test_evaluate_prints_recommended_systems_and_controls_within_80_columns(trained, selectllm, monkeypatch):
    monkeypatch.setattr(report_table, "out", Console(width=80))
    out = selectllm("evaluate", trained / "router", trained / "test")[1]
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    families = set(re.findall(r"^ ([a-z_]+)\S* .*\d \[", out, re.MULTILINE))
    assert families == {"oracle", "single_best", "all_members", "fixed_best", "selectllm"}
    assert "further systems: --all." in out
    everything = selectllm("evaluate", trained / "router", trained / "test", "--all")[1]
    assert max(map(len, everything.splitlines())) <= 80
    assert "weighted_max_conf:3" in everything
    assert "--all" not in everything


def test_the_analysis_names_the_router_and_each_member(trained, selectllm, tmp_path):
    command = ("analyze", trained / "test", "--router", trained / "router")
    code, out, err = selectllm(*command, "--plots", tmp_path / "plots")
    assert code == 0, err
    assert "some member right, selectllm:3 wrong" in out
    assert "members whose wrong" in out
    assert "tests on 60 queries" in out
    analysis = json.loads(selectllm(*command, "--json")[1])
    names = [comparison["name"] for comparison in analysis["comparisons"]]
    assert names[0] == "selectllm:3"
    assert "reader" in names
    assert (tmp_path / "plots" / "linguistics-members.svg").exists()


def accuracies(out):
    return {system["name"]: system["accuracy"] for system in json.loads(out)["systems"]}


@pytest.fixture
def judge_calls(monkeypatch):
    """Prompts of a judge that always names the first answer, whatever provider string names it."""
    calls = []

    def reply(messages):
        calls.append(messages)
        return AIMessage("1")

    def connect(name, spec):
        return Member(RunnableLambda(reply))

    monkeypatch.setattr(registry, "connect_member", connect)
    return calls


def test_evaluate_replays_a_judge_whose_replies_stand_beside_the_outcomes(trained, selectllm, judge_calls):
    command = ("evaluate", trained / "router", trained / "test", "--policy", "max_conf:2", "--json")
    judged = (*command, "--parser", "judge:openai:some", "--answer", "number", "--allow-unreadable")
    code, first, _ = selectllm(*judged)
    recorded = trained / "test" / "judge-replies.jsonl"
    assert code == 0
    assert len(judge_calls) == len(recorded.read_text().splitlines()) > 0
    n_calls = len(judge_calls)
    assert accuracies(selectllm(*judged)[1]) == accuracies(first)
    assert len(judge_calls) == n_calls
    # Another file is another record.
    selectllm(*judged, "--judge-replies", trained / "other.jsonl")
    assert len(judge_calls) == 2 * n_calls
    recorded.unlink()


def test_evaluate_votes_by_meaning(trained, selectllm, monkeypatch):
    monkeypatch.setattr(semantic, "SentenceEncoder", OneMeaning)
    command = ("evaluate", trained / "router", trained / "test", "--policy", "max_conf:1", "--json")
    code, out, _ = selectllm(*command, "--parser", "semantic:some/model", "--allow-unreadable")
    assert code == 0
    assert accuracies(out)["all_members"] != accuracies(selectllm(*command)[1])["all_members"]


class OneMeaning:
    """Every text means the same."""

    def __init__(self, model):
        self.model = model

    def encode(self, texts):
        return np.ones((len(texts), 2))


def test_an_unknown_parser_is_refused(trained, selectllm):
    code, _, err = selectllm("evaluate", trained / "router", trained / "test", "--parser", "judge")
    assert (code, "--parser judge is unknown. Use semantic:MODEL or judge:MODEL." in err) == (2, True)
