"""The documentation site: every page is in its navigation, every public name in its Python reference."""

import re

import yaml

import langchain_selectllm
from tests.support.pages import DOCS, ROOT


def pages_of(entries):
    for entry in entries:
        for target in entry.values():
            if isinstance(target, list):
                yield from pages_of(target)
            else:
                yield target


def test_every_page_is_in_the_navigation_once():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = sorted(pages_of(site["nav"]))
    assert listed == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_every_public_name_is_in_the_python_reference():
    text = (DOCS / "reference" / "python.md").read_text()
    assert re.findall(r"^::: langchain_selectllm\.(\w+)$", text, re.MULTILINE) == langchain_selectllm.__all__
