"""The page about the architecture lists the files that a prompt, a training and a collection really visit."""

import re

from tests.support.flows import PACKAGE, PAGE, collection_flow, listed, prompt_flow, training_flow

REWRITE = "Run: python -m tests.support.flows"


def test_every_folder_of_the_package_is_on_the_page():
    folders = set(re.findall(r"^\| `(\w+)/` \|", PAGE.read_text(), re.MULTILINE))
    assert folders == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_one_prompt_visits_the_listed_files_in_the_listed_order(demo, fitted):
    assert prompt_flow(fitted, demo[1]) == listed("prompt"), REWRITE


def test_training_visits_the_listed_files(tmp_path):
    assert sorted(training_flow(tmp_path)) == sorted(listed("training")), REWRITE


def test_collection_visits_the_listed_files(tmp_path):
    assert sorted(collection_flow(tmp_path)) == sorted(listed("collection")), REWRITE
