"""The documentation site: every public name is in its Python reference."""

import re

import langchain_selectllm
from tests.support.pages import DOCS


def test_every_public_name_is_in_the_python_reference():
    text = (DOCS / "reference" / "python.md").read_text()
    assert re.findall(r"^::: langchain_selectllm\.(\w+)$", text, re.MULTILINE) == list(
        langchain_selectllm.__all__
    ), "run python docs/write_api.py"
