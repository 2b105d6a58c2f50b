"""collect, grade, export and train on a store, through the command; the members are stubs of embedded models."""

import json
import sys
import types

import pytest

from langchain_selectllm.collection.open_store import open_store
from langchain_selectllm.outcomes.simulated import write_demo_outcomes
from tests.support.commands import run
from tests.support.live_models import CountingModel

POOL = """
members:
  good: {model: "embedded:good", max_tokens: 20, price_input_usd_per_million: 1, price_output_usd_per_million: 2}
  poor: {model: "embedded:poor"}
  judge: {model: "embedded:judge"}
"""


@pytest.fixture
def selectllm(monkeypatch, capsys):
    return lambda *arguments: run(monkeypatch, capsys, *arguments)


@pytest.fixture
def models(monkeypatch):
    """Replies by member: "good" is right on every query, "poor" on every third, the judge likes what ends in 2."""
    answers = {
        "good": lambda prompt, n: f"The answer is {prompt.split()[-1]}.",
        "poor": lambda prompt, n: f"The answer is {int(prompt.split()[-1]) % 3 and 1}.",
        "judge": lambda prompt, n: "VERDICT: CORRECT" if "2.\n" in prompt else "VERDICT: INCORRECT",
    }
    made = {name: CountingModel(model=name, answer=answer) for name, answer in answers.items()}
    module = types.ModuleType("langchain_selectllm.embedded")
    module.load_embedded = lambda name, **settings: made[name]
    monkeypatch.setitem(sys.modules, "langchain_selectllm.embedded", module)
    return made


@pytest.fixture
def world(tmp_path, monkeypatch, models):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pool.yaml").write_text(POOL)
    rows = [
        {"query_id": f"q{i:02d}", "query": f"Say {i}", "reference": str(i), "answer_type": "number"}
        for i in range(60)
    ]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


COLLECT = ("collect", "--pool", "pool.yaml", "--queries", "queries.jsonl", "--samples", "2")


def test_from_queries_to_a_router(world, models, selectllm):
    code, out, _ = selectllm(*COLLECT, "--dry-run")
    assert code == 0
    assert "360 calls left; no model was called" in out
    assert not any(model.calls for model in models.values())
    code, out, err = selectllm(*COLLECT)
    assert code == 0, err
    assert "Complete. Next: selectllm grade sqlite:///outcomes.db" in out
    assert json.loads(selectllm(*COLLECT, "--json")[1])["left"] == 0
    assert sum(model.calls.total() for model in models.values()) == 360
    graded = json.loads(selectllm("grade", "sqlite:///outcomes.db", "--json")[1])
    assert graded["members"]["good"] == {"replies": 120, "graded": 120, "mean": 1.0}
    # 0 of the multiples of three, and 1.
    assert graded["members"]["poor"]["mean"] == pytest.approx(2 / 60)
    code, out, _ = selectllm("train", "sqlite:///outcomes.db", "--members", "good,poor", "--out", "router")
    assert code == 0
    assert "60 training queries" in out
    code, out, _ = selectllm("export", "sqlite:///outcomes.db", "folder")
    assert code == 0
    assert "good 120, judge 120, poor 120" in out
    assert selectllm("split", "folder", "train", "test")[0] == 0
    # The pool file serves as well; its judge is no member of this router.
    asked = json.loads(
        selectllm("ask", "router", "Say 12", "--pool", "pool.yaml", "--policy", "max_conf:1", "--json")[1]
    )
    assert asked["reply"] == "The answer is 12."
    code, out, _ = selectllm(
        "evaluate", "router", "sqlite:///outcomes.db", "--allow-training-queries", "--json"
    )
    assert json.loads(out)["member_accuracy"]["good"] == 1.0


def test_every_way_to_grade(world, models, selectllm):
    selectllm(*COLLECT)
    (world / "graders.py").write_text("def half(reply, reference, query):\n    return 0.5\n")
    out = selectllm("grade", "sqlite:///outcomes.db", "--function", "graders.py:half")[1]
    assert "grading 'half'" in out
    assert "0.500" in out
    calls = models["judge"].calls.total()
    judged = json.loads(
        selectllm(
            "grade",
            "sqlite:///outcomes.db",
            "--judge",
            "judge",
            "--pool",
            "pool.yaml",
            "--name",
            "ai",
            "--json",
        )[1]
    )
    # Of 0..59 six end in 2.
    assert judged["members"]["good"]["mean"] == pytest.approx(0.1)
    assert models["judge"].calls.total() - calls == 360
    assert selectllm("train", "sqlite:///outcomes.db", "--out", "router")[0] == 2
    assert selectllm("train", "sqlite:///outcomes.db", "--grade", "half", "--out", "router")[0] == 0


def test_without_references_labels_come_from_agreement(world, selectllm):
    (world / "queries.jsonl").write_text(
        "".join(
            json.dumps({"query_id": f"q{i:02d}", "query": f"Say {i}", "answer_type": "number"}) + "\n"
            for i in range(60)
        )
    )
    selectllm(*COLLECT)
    assert selectllm("train", "sqlite:///outcomes.db", "--out", "router")[0] == 2
    code, out, err = selectllm(
        "train", "sqlite:///outcomes.db", "--label-from-agreement", "--out", "router", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["training"]["labels_from"] == "agreement with the pool's own vote"


def test_calls_that_are_left_end_in_code_1(world, models, selectllm):
    models["poor"].answer = lambda prompt, n: TypeError("out of order") if prompt == "Say 7" else "1"
    code, out, _ = selectllm(*COLLECT)
    assert code == 1
    assert "2 calls are left (failures). Run the same command again" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("collect", "--pool", "nowhere.yaml", "--queries", "queries.jsonl"), "nowhere.yaml cannot be read"),
        (("collect", "--pool", "pool.yaml", "--queries", "nowhere.jsonl"), "nowhere.jsonl cannot be read"),
        ((*COLLECT, "--max-cost-usd", "1"), "Member 'poor' has no bound on the cost of a call"),
        ((*COLLECT, "--store", "outcomes.db"), "'outcomes.db' is no database URL"),
        (("grade", "sqlite:///new.db", "--answer", "poem"), "Unknown answer extractor 'poem'"),
        (("grade", "sqlite:///new.db", "--answer", "text", "--judge", "x"), "three ways to grade"),
        (("grade", "sqlite:///new.db", "--judge", "x", "--pool", "pool.yaml"), "pool.yaml has no member 'x'"),
        (("grade", "sqlite:///new.db"), "There is no store at sqlite:///new.db"),
        (("export", "sqlite:///new.db", "folder"), "There is no store at sqlite:///new.db"),
        (("train", "sqlite:///new.db", "--out", "x"), "There is no store at sqlite:///new.db"),
        (("train", "sqlite:///new.db", "folder", "--out", "x"), "a store stands alone"),
    ],
)
def test_bad_input_ends_in_code_2_and_one_clear_line(world, selectllm, arguments, message):
    before = sorted(world.iterdir())
    code, out, err = selectllm(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.strip().count("\n") == 0
    assert sorted(world.iterdir()) == before


def test_a_collection_that_makes_no_call_leaves_no_store(world, models, selectllm):
    before = sorted(world.iterdir())
    (world / "priced.yaml").write_text("\n".join(POOL.splitlines()[:3]))
    only_priced = ("collect", "--pool", "priced.yaml", "--queries", "queries.jsonl")
    code, out, _ = selectllm(*only_priced, "--max-cost-usd", "0.0000001")
    # "Say 0" is 5 bytes, and 128 tokens go to the template: 133 at 1 and 20 at 2 dollars a million are 0.000173.
    assert code == 1
    assert "The smallest --max-cost-usd that permits one more call is 0.000173 USD" in out
    (world / "outcomes.db.lock").mkdir()
    assert selectllm(*only_priced)[0] == 2
    (world / "outcomes.db.lock").rmdir()
    (world / "priced.yaml").unlink()
    assert sorted(world.iterdir()) == before
    assert not models["good"].calls


def test_the_smallest_budget_that_is_named_permits_one_call(world, models, selectllm):
    (world / "priced.yaml").write_text("\n".join(POOL.splitlines()[:3]))
    only_priced = ("collect", "--pool", "priced.yaml", "--queries", "queries.jsonl", "--json")
    refused = json.loads(selectllm(*only_priced, "--max-cost-usd", "0")[1])
    least = refused["smallest_budget_usd"]
    assert least == 0.000173
    selectllm(*only_priced, "--max-cost-usd", str(least))
    assert models["good"].calls.total() >= 1


def test_a_store_that_was_there_before_stays(world, selectllm):
    (world / "priced.yaml").write_text("\n".join(POOL.splitlines()[:3]))
    only_priced = ("collect", "--pool", "priced.yaml", "--queries", "queries.jsonl", "--samples", "1")
    assert selectllm(*only_priced)[0] == 0
    assert selectllm(*only_priced, "--engine", "ray")[0] == 2
    assert len(json.loads(selectllm(*only_priced, "--json")[1])["members"]) == 1
    assert (world / "outcomes.db").exists()


def test_a_dry_run_creates_no_store(world, selectllm):
    before = sorted(world.iterdir())
    assert selectllm(*COLLECT, "--dry-run")[0] == 0
    assert sorted(world.iterdir()) == before


def test_an_unknown_cost_is_never_printed_as_zero(world, selectllm):
    code, out, _ = selectllm(*COLLECT)
    assert code == 0
    # "good" has prices, 10 tokens at 1 and 5 at 2 dollars a million: 120 x 0.00002.
    assert "Recorded cost of the store: 0.002400 USD, and 240 replies of unknown cost" in out
    members = {member["member"]: member for member in json.loads(selectllm(*COLLECT, "--json")[1])["members"]}
    assert members["good"]["cost_usd"] == 0
    (world / "free.yaml").write_text("members:\n  poor: {model: 'embedded:poor'}\n")
    code, out, _ = selectllm(*COLLECT, "--pool", "free.yaml", "--store", "sqlite:///free.db")
    assert "Recorded cost of the store: unknown: 120 replies of unknown cost" in out
    assert "unknown" in next(line for line in out.splitlines() if "poor" in line)


def test_folders_are_still_trained_on(world, selectllm):
    write_demo_outcomes(world / "outcomes", n_queries=60)
    assert selectllm("train", "outcomes", "--out", "router")[0] == 0


def test_a_csv_file_becomes_queries_that_can_be_collected(world, selectllm):
    (world / "questions.csv").write_text("question;answer\nSay 1;1\nSay 2;2\n")
    code, out, err = selectllm("import", "questions.csv", "--out", "imported")
    assert code == 0, err
    assert "2 queries in imported/queries.jsonl (query from 'question', reference from 'answer')" in out
    plan = json.loads(
        selectllm(
            "collect", "--pool", "pool.yaml", "--queries", "imported/queries.jsonl", "--dry-run", "--json"
        )[1]
    )
    # Three members, ten samples of two queries.
    assert plan["calls"] == 60
    described = json.loads(selectllm("import", "questions.csv", "--out", "again", "--json")[1])
    assert described["n_queries"] == 2
    code, _, err = selectllm("import", "questions.csv", "--out", "x", "--question", "nothing")
    assert code == 2
    assert not (world / "x").exists()


def test_grading_training_and_evaluating_stop_where_nobody_is_ever_right(world, models, selectllm):
    """References of another kind than the replies: everything would be wrong, and a router be trained on it."""
    rows = [
        {"query_id": f"q{i:02d}", "query": f"Say {i}", "reference": "seven and a bit", "answer_type": "text"}
        for i in range(60)
    ]
    (world / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert selectllm(*COLLECT)[0] == 0
    for command in (
        ("grade", "sqlite:///outcomes.db"),
        ("train", "sqlite:///outcomes.db", "--out", "router"),
    ):
        code, _, err = selectllm(*command)
        assert code == 2
        assert "60 text queries: no member is ever right. First reply" in err
        assert not (world / "router").exists()
    with open_store("sqlite:///outcomes.db") as opened:
        assert opened.gradings() == {}
        assert opened.grade_summary("reference") == {}
    assert selectllm("grade", "sqlite:///outcomes.db", "--allow-unreadable")[0] == 0
    assert selectllm("train", "sqlite:///outcomes.db", "--out", "router", "--allow-unreadable")[0] == 0
    evaluate = ("evaluate", "router", "sqlite:///outcomes.db", "--allow-training-queries")
    assert "no member is ever right" in selectllm(*evaluate)[2]
    assert selectllm(*evaluate, "--allow-unreadable")[0] == 0


def test_an_inferred_kind_of_answer_is_named(world, selectllm):
    rows = [{"query_id": f"q{i:02d}", "query": f"Say {i}", "reference": str(i)} for i in range(60)]
    (world / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    selectllm(*COLLECT)
    code, _, err = selectllm("train", "sqlite:///outcomes.db", "--members", "good,poor", "--out", "router")
    assert code == 0
    assert "60 of 60 queries have no answer_type. Inferred from references and replies: number (60)" in err
