"""The documentation site: its pages in their order, lists that it renders, every public name in its reference."""

import re

import yaml

import langchain_selectllm
from tests.support.pages import DOCS, ROOT


def test_every_public_name_is_in_the_python_reference():
    text = (DOCS / "reference" / "python.md").read_text()
    assert re.findall(r"^::: langchain_selectllm\.(\w+)$", text, re.MULTILINE) == list(
        langchain_selectllm.__all__
    ), "run python docs/write_api.py"


def test_the_site_has_every_page_in_the_order_of_the_index():
    listed = re.findall(r"^- \[[^\]]*\]\(([\w/-]+\.md)\)", (DOCS / "index.md").read_text(), re.MULTILINE)
    shown = []
    for section in yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]:
        if isinstance(section, str):
            shown.append(section)
        else:
            shown += next(iter(section.values()))
    assert shown == ["index.md", *listed]
    assert sorted(shown) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


def test_lists_and_tables_begin_after_an_empty_line():
    """The site takes a list right below a line of text for a part of that line."""
    for page in DOCS.rglob("*.md"):
        text = re.sub(r"^```.*?^```$", "```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        item = r"(?:- |\d+\. |\|)"
        swallowed = re.findall(rf"^(?!\s|{item}|$).*\n{item}.*$", text, re.MULTILINE)
        assert not swallowed, page
