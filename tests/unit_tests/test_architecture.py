"""The page about the architecture lists the files that a prompt, a training and a collection really visit."""

import re

from langchain_selectllm import (
    OutcomeTable,
    SelectLLMClassifier,
    SelectLLMRouter,
    collect_outcomes,
    export_outcomes,
    grade_outcomes,
    write_demo_outcomes,
)
from langchain_selectllm.testing import ReplayChatModel, replay_models
from tests.support.pages import DOCS
from tests.support.visited import PACKAGE, visited_files

PAGE = DOCS / "explanation/architecture.md"


def listed(section):
    """Files in the tables between `<!-- section -->` and `<!-- /section -->`, in their order."""
    text = PAGE.read_text().partition(f"<!-- {section} -->")[2].partition(f"<!-- /{section} -->")[0]
    return re.findall(r"^\| `([\w/]+\.py)` \|", text, re.MULTILINE)


def without_test_double(files):
    return [file for file in files if file != "testing.py"]


def test_every_file_and_folder_of_the_page_exists():
    files = [file for section in ("prompt", "training", "collection") for file in listed(section)]
    assert [file for file in files if not (PACKAGE / file).exists()] == []
    folders = set(re.findall(r"^\| `(\w+)/` \|", PAGE.read_text(), re.MULTILINE))
    assert folders == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_one_prompt_visits_the_listed_files_in_the_listed_order(demo, fitted):
    test = demo[1]
    router = SelectLLMRouter(classifier=fitted, models=replay_models(test), policy="selectllm:3")
    router.invoke(test.texts[0])
    with visited_files() as files:
        router.invoke(test.texts[1])
    assert without_test_double(files) == listed("prompt")


def test_training_visits_the_listed_files(tmp_path):
    write_demo_outcomes(tmp_path / "outcomes", n_queries=120)
    with visited_files() as files:
        table = OutcomeTable.from_folders(tmp_path / "outcomes")
        SelectLLMClassifier().fit(table).save_pretrained(tmp_path / "router")
    assert sorted(files) == sorted(listed("training"))


def test_collection_visits_the_listed_files(tmp_path):
    queries = [
        {"query_id": f"q{i}", "query": f"{i} + 1?", "reference": str(i + 1), "answer_type": "number"}
        for i in range(3)
    ]
    models = {name: ReplayChatModel(model=name, default="The answer is 2.") for name in ("one", "two")}
    store = f"sqlite:///{tmp_path / 'outcomes.db'}"
    with visited_files() as files:
        collect_outcomes(models, queries, store, samples=2)
        grade_outcomes(store)
        export_outcomes(store, tmp_path / "exported")
    assert sorted(without_test_double(files)) == sorted(listed("collection"))
