"""The figure of the README shows the figures of its table."""

import html
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def figure():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import figure

    yield figure
    sys.path.remove(str(ROOT / "benchmarks"))


def test_the_figure_was_drawn_from_the_table_that_stands_there(figure):
    title, systems = figure.read_table(ROOT / "README.md")
    assert title.startswith("MMLU-Pro, eight members")
    assert {"single_best", "all_members", "selectllm:4", "fixed_best:4", "weighted_max_conf:4"} <= set(
        systems
    )
    drawn = re.search(
        r"<dc:description>(.*?)</dc:description>", (ROOT / "docs" / "results.svg").read_text(), re.DOTALL
    )
    assert {name: tuple(pair) for name, pair in json.loads(html.unescape(drawn[1])).items()} == systems


def test_a_file_without_results_is_refused(figure, tmp_path):
    (tmp_path / "page.md").write_text("nothing")
    with pytest.raises(SystemExit, match="has no <!-- results -->"):
        figure.read_table(tmp_path / "page.md")
