"""Every python block and every `$ selectllm` line of README and docs, executed in order, file by file."""

import copy
import importlib.util
import re
from collections import deque
from importlib.util import find_spec

import pytest
from typer.main import get_command

import langchain_selectllm
from langchain_selectllm import SelectLLMRouter, evaluate, exceptions
from langchain_selectllm.classifier import fitting
from langchain_selectllm.cli.app import app
from langchain_selectllm.testing import replay_models
from tests.support.pages import BLOCK, DOCS, PAGES, ROOT, SERVED, SLOW, named, run_page

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def fits():
    """Classifiers fitted by the pages of this run, by outcomes and settings."""
    return {}


@pytest.fixture
def fit_once(fits, monkeypatch):
    """Pages that train on equal outcomes share one fit."""
    learn = fitting.learn

    def shared(outcomes, encoder, **settings):
        chosen = sorted((name, value) for name, value in settings.items() if name != "progress")
        key = repr((encoder.name, chosen, outcomes.members, outcomes.query_ids, outcomes.scores.tobytes()))
        if key not in fits:
            fits[key] = learn(outcomes, encoder, **settings)
        return copy.deepcopy(fits[key])

    monkeypatch.setattr(fitting, "learn", shared)


# LlamaIndex's workflows look at every attribute of an agent, pydantic's deprecated ones included.
@pytest.mark.filterwarnings(
    "ignore::pydantic.PydanticDeprecatedSince20", "ignore::pydantic.PydanticDeprecatedSince211"
)
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if BLOCK.search(page.read_text()) and page not in SLOW + SERVED],
    ids=named,
)
@pytest.mark.usefixtures("fit_once")
def test_blocks_run_in_order(page, tmp_path, monkeypatch):
    if "from llama_index" in page.read_text() and find_spec("llama_index") is None:
        pytest.skip("llama-index-core is not installed")
    run_page(page, tmp_path, monkeypatch)


def links(page):
    targets = LINK.findall(FENCED.sub("", page.read_text()))
    return [target for target in targets if "://" not in target]


def anchors(page):
    """Anchors of a page's headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for link in links(page):
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


def test_every_page_is_reached_from_the_index():
    reached, waiting = set(), deque([DOCS / "index.md"])
    while waiting:
        page = waiting.popleft()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [
                (page.parent / link.partition("#")[0]).resolve() for link in links(page) if link[0] != "#"
            ]
    assert set(DOCS.rglob("*.md")) <= reached


def test_every_command_and_option_is_in_the_reference():
    text = (DOCS / "reference/cli.md").read_text()
    for name, command in get_command(app).commands.items():
        assert f"## selectllm {name}" in text
        section = text.partition(f"## selectllm {name}\n")[2].partition("\n## ")[0]
        for parameter in command.params:
            for option in (
                parameter.opts if parameter.param_type_name == "option" else [parameter.name.upper()]
            ):
                assert f"`{option}" in section, f"{name} {option}"


def keys(page):
    return set(re.findall(r"^\| `(\w+)`", (DOCS / page).read_text(), re.MULTILINE))


def test_every_key_of_the_report_is_in_the_reference(demo, fitted):
    report = evaluate(fitted, demo[1], policies=["selectllm:2"]).to_dict()
    system = report["systems"][-1]
    wanted = {*report, *system, *next(iter(system["versus"].values())), *report["classifier"]}
    assert wanted <= keys("reference/report.md")


def test_every_key_of_the_metadata_is_in_the_reference(demo, fitted):
    router = SelectLLMRouter(classifier=fitted, models=replay_models(demo[1]), policy="selectllm:3")
    told = router.invoke(demo[1].texts[0]).response_metadata["selectllm"]
    assert set(told) <= keys("reference/metadata.md")
    text = (DOCS / "reference/metadata.md").read_text()
    for inner in ("selection", "vote"):
        for key in told[inner]:
            assert f"`{inner}.{key}`" in text


def test_the_figures_of_the_embedded_pool_are_those_of_its_card():
    card = (ROOT / "langchain_selectllm/embedded/models/README.md").read_text()
    page = (DOCS / "reference/embedded-pool.md").read_text()
    rows = re.findall(r"^\| (?:arithmetic|letters|measures|generalist|hasty) \|.*$", page, re.MULTILINE)
    assert len(rows) == 5
    assert all(row in card for row in rows)
    oracle, points = re.search(r"right by majority\): ([\d.]+), ([\d.]+) points", card).groups()
    assert f"right by majority on {100 * float(oracle):.1f} %" in page
    assert f"{points}\npoints above the single best" in page


def test_every_error_is_in_the_reference():
    text = (DOCS / "reference/errors.md").read_text()
    names = {
        name for name, kind in vars(exceptions).items() if isinstance(kind, type) and name.endswith("Error")
    }
    assert {name for name in names if f"`{name}`" not in text} == set()


def api_writer():
    """The script `docs/write_api.py` as a module."""
    spec = importlib.util.spec_from_file_location("write_api", DOCS / "write_api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_is_in_the_api_reference():
    writer = api_writer()
    listed = [name for names in writer.GROUPS.values() for name in names]
    assert sorted(listed) == sorted(langchain_selectllm.__all__)
    text = (DOCS / "reference/api.md").read_text()
    for name in listed:
        for signature, _ in writer.entries(name):
            assert f"| `{signature}` |" in text, "run python docs/write_api.py"


def test_the_project_tree_of_the_readme_is_complete():
    tree = (ROOT / "README.md").read_text().partition("## Project structure")[2].partition("```\n")[0]
    package, top = (set(re.findall(rf"^{indent}(\w+)/", tree, re.MULTILINE)) for indent in ("    ", ""))
    assert package == {path.parent.name for path in (ROOT / "langchain_selectllm").glob("*/__init__.py")}
    assert {"langchain_selectllm", "docs", "benchmarks", "cookbook", "tests"} <= top


ODD = re.compile(
    r"\b(told|telling|whoever|so many|as they come|worth|(?<!make )bench|given up|as ever)\b", re.IGNORECASE
)
"""Words that have no meaning of their own here, or another one than in the glossary."""


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in {"api.md", "CHANGELOG.md"}], ids=named
)
def test_pages_use_the_words_of_the_glossary(page):
    assert ODD.findall(FENCED.sub("", page.read_text())) == []
