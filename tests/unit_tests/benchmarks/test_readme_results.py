"""The figure and the table of the README show the figures of the results page."""

import html
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


RESULTS = ROOT / "docs/explanation/results.md"


@pytest.fixture(scope="module", autouse=True)
def scripts():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield
    sys.path.remove(str(ROOT / "benchmarks"))


def test_the_figure_was_drawn_from_the_results_page():
    from figure import read_table

    title, systems = read_table(RESULTS)
    assert title.startswith("MMLU-Pro, eight members")
    assert {"single_best", "all_members", "selectllm:4", "fixed_best:4", "weighted_max_conf:4"} <= set(
        systems
    )
    drawn = re.search(
        r"<dc:description>(.*?)</dc:description>", (ROOT / "docs" / "results.svg").read_text(), re.DOTALL
    )
    assert {name: tuple(pair) for name, pair in json.loads(html.unescape(drawn[1])).items()} == systems


def test_the_table_of_the_readme_was_taken_from_the_results_page():
    from markers import read_section
    from result_tables import read_results
    from summary import summarise

    tables = read_results(RESULTS)
    assert len(tables) >= 5
    assert read_section(ROOT / "README.md", "summary") == summarise(tables)


PAGE = """<!-- results -->

**First pool** (`a`, 10 test queries per seed)

| system | accuracy | calls | cost, 1e-3 USD | vs fixed_best, points [95 %] |
|---|---:|---:|---:|---|
| `oracle` | 90.0 | 1.00 | 0.1 |  |
| `single_best` | 60.0 | 1.00 | 0.1 |  |
| `all_members` | 61.0 | 4.00 | 0.1 |  |
| `fixed_best:3` | 62.0 | 3.00 | 0.1 |  |
| `weighted_max_conf:3` | 63.0 | 3.00 | 0.1 | +1.0 [-1.0, +3.0] no difference shown |
| `selectllm:3` | 64.0 | 2.26 | 0.1 | +2.0 [+1.0, +3.0] better |
| selectllm, cost of single best | 60.0 | 1.00 | 0.1 |  |

**Pool without votes** (`b`, 10 test queries per seed)

| system | accuracy | calls | vs single_best |
|---|---:|---:|---|
| `single_best` | 60.0 | 1.00 |  |

<!-- /results -->
"""


def test_one_row_per_pool_that_can_vote(tmp_path):
    from result_tables import read_results
    from summary import summarise

    (tmp_path / "page.md").write_text(PAGE)
    rows = summarise(read_results(tmp_path / "page.md")).splitlines()[2:]
    assert rows == [
        "| First pool | 60.0 | 61.0 | 62.0 | 63.0 | 64.0 (2.3) | 90.0 | +2.0 [+1.0, +3.0] better |"
    ]


def test_a_file_without_results_is_refused(tmp_path):
    from figure import read_table

    (tmp_path / "page.md").write_text("nothing")
    with pytest.raises(SystemExit, match="has no <!-- results -->"):
        read_table(tmp_path / "page.md")
