"""The flows of the page about the architecture: the files that a prompt, a training and a collection visit.

Usage: python -m tests.support.flows

Writes the tables of the page again. A file that stays keeps its words; a new one gets the first line of its docstring.
"""

import ast
import re
import sys
import tempfile
import threading
import typing
from contextlib import contextmanager
from pathlib import Path

import langchain_selectllm
from langchain_selectllm import (
    OutcomeTable,
    SelectLLMClassifier,
    SelectLLMRouter,
    collect_outcomes,
    export_outcomes,
    grade_outcomes,
    write_demo_outcomes,
)
from langchain_selectllm.fanout.daemon_threads import CALLS
from langchain_selectllm.testing import ReplayChatModel, replay_models
from tests.support.fitted import load_or_fit
from tests.support.pages import DOCS
from tests.support.worlds import demo_table

PACKAGE = Path(langchain_selectllm.__file__).parent
PAGE = DOCS / "explanation/architecture.md"
ROW = re.compile(r"^\| `([\w/]+\.py)` \| (.*) \| (.*) \|$", re.MULTILINE)


@contextmanager
def visited_files():
    """A list that fills with paths below the package, in the order of their first call, in every thread the block starts.

    Module bodies, lambdas and comprehensions are no visits. Threads that were started before are not seen.
    """
    files = []
    seen = set()

    def note(frame, event, _):
        code = frame.f_code
        if event != "call" or code in seen:
            return
        # `isinstance` with a protocol reads properties in an order that differs from process to process.
        if frame.f_back is not None and frame.f_back.f_code.co_filename == typing.__file__:
            return
        seen.add(code)
        if code.co_filename.startswith(str(PACKAGE)) and not code.co_name.startswith("<"):
            file = Path(code.co_filename).relative_to(PACKAGE).as_posix()
            if file not in {"testing.py", *files}:
                files.append(file)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def prompt_flow(classifier, outcomes):
    """Files that one prompt visits, the router being warm."""
    router = SelectLLMRouter(classifier=classifier, models=replay_models(outcomes), policy="selectllm:3")
    router.invoke(outcomes.texts[0])
    # Idle threads would be reused, and what runs in them would not be seen.
    CALLS.forget()
    with visited_files() as files:
        router.invoke(outcomes.texts[1])
    return files


def training_flow(folder):
    """Files that reading, fitting and saving visit."""
    write_demo_outcomes(folder / "outcomes", n_queries=120)
    with visited_files() as files:
        table = OutcomeTable.from_folders(folder / "outcomes")
        SelectLLMClassifier().fit(table).save_pretrained(folder / "router")
    return files


def collection_flow(folder):
    """Files that collecting, grading and exporting visit."""
    queries = [
        {"query_id": f"q{i}", "query": f"{i} + 1?", "reference": str(i + 1), "answer_type": "number"}
        for i in range(3)
    ]
    models = {name: ReplayChatModel(model=name, default="The answer is 2.") for name in ("one", "two")}
    store = f"sqlite:///{folder / 'store.db'}"
    with visited_files() as files:
        collect_outcomes(models, queries, store, samples=2)
        grade_outcomes(store)
        export_outcomes(store, folder / "exported")
    return files


def section(name):
    """What stands before, between and behind the two markers of a section."""
    before, start, rest = PAGE.read_text().partition(f"<!-- {name} -->")
    between, end, behind = rest.partition(f"<!-- /{name} -->")
    return before + start, between, end + behind


def listed(name):
    """Files of a section's table, in their order."""
    return [file for file, _, _ in ROW.findall(section(name)[1])]


def write(name, files):
    """Write a section's table for these files."""
    before, between, behind = section(name)
    known = {file: (step, words) for file, step, words in ROW.findall(between)}
    rows = ["| file | step | task |", "|---|---|---|"]
    for file in files:
        step, words = known.get(file, (file.partition("/")[0], summary(file)))
        rows.append(f"| `{file}` | {step} | {words} |")
    PAGE.write_text(before + "\n\n" + "\n".join(rows) + "\n\n" + behind)


def summary(file):
    """First line of a module's docstring."""
    return ast.get_docstring(ast.parse((PACKAGE / file).read_text())).splitlines()[0].rstrip(".")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        training, test = demo_table(Path(folder), n_queries=400).split(0.3, seed=0)
        write("prompt", prompt_flow(load_or_fit(training), test))
        write("training", training_flow(Path(folder)))
        write("collection", collection_flow(Path(folder)))
