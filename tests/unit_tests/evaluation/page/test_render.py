import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from langchain_selectllm import SelectLLMClassifier, evaluate
from langchain_selectllm.evaluation.page.figure import short_names
from langchain_selectllm.evaluation.page.plots import save_plots
from langchain_selectllm.evaluation.page.render import by_answer, render_page
from langchain_selectllm.exceptions import MissingDependencyError
from tests.support.reports import MALICIOUS, POLICIES
from tests.support.worlds import score_table

QUESTIONS = ("worth", "members", "failures", "confidence", "price")


class Page(HTMLParser):
    """Numbers, scripts, styles and texts of a page."""

    def __init__(self, html):
        super().__init__()
        self.numbers, self.scripts, self.styles, self.texts, self.tags = [], [], [], [], []
        self.unmarked = []
        """Texts outside pictures that are no number of the report."""
        self._inside, self._in_picture = None, False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        self._inside = (tag, given)
        self._in_picture |= tag == "svg"
        if "data-path" in given:
            self.numbers.append([given["data-path"], ""])

    def handle_endtag(self, tag):
        self._inside = None
        self._in_picture &= tag != "svg"

    def handle_data(self, data):
        tag, given = self._inside or (None, {})
        if tag == "script":
            self.scripts.append((given.get("type"), data))
        elif tag == "style":
            self.styles.append(data)
        else:
            self.texts.append(data)
            if "data-path" not in given and not self._in_picture:
                self.unmarked.append(data)
        if "data-path" in given:
            self.numbers[-1][1] += data


@pytest.fixture(scope="module")
def report(fitted, demo):
    texts = tuple(f"{MALICIOUS} {text}" for text in demo[1].texts)
    report = evaluate(fitted, replace(demo[1], texts=texts), policies=POLICIES, rows=200)
    return json.loads(json.dumps(report.to_dict()))


@pytest.fixture(scope="module")
def html(report):
    return render_page(report)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_every_number_on_the_page_equals_the_report(page, report):
    assert len(page.numbers) > 300
    for path, text in page.numbers:
        found = report
        for key in path.split("/"):
            found = found[int(key)] if isinstance(found, list) else found[key]
        assert text_means(text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-"), found), text


CONSTANTS = {
    "95",  # per cent of intervals
    "1,000",  # queries that a cost is for
    "5",  # percentiles of distributions
    "25",
    "75",
    "0",  # difference or correlation of nothing
    "1",  # largest correlation
}


def strings_in(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for part in value.values():
            yield from strings_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings_in(part)


def numbers_in(value):
    if isinstance(value, (int, float)):
        yield float(value)
    elif isinstance(value, dict):
        for part in value.values():
            yield from numbers_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from numbers_in(part)


def test_no_other_number_stands_in_the_text_of_the_page(page, report):
    pool_sizes = range(1, len(report["members"]) + 1)
    known = CONSTANTS | {str(size) for size in (*pool_sizes, report["seed"], len(report["figures"]["rows"]))}
    # Names, texts of queries, the verdict and the definitions stand on the page as they are in the report.
    quoted = sorted(strings_in(report), key=len, reverse=True)
    quoted = [text for text in quoted if re.search(r"\d", text)]
    for text in page.unmarked:
        rest = text.replace("\N{NO-BREAK SPACE}", " ")
        for one in quoted:
            rest = rest.replace(one, "")
        assert set(re.findall(r"\d+(?:[.,]\d+)*", rest)) <= known, text


def test_every_number_in_a_chart_equals_the_report(page, report):
    """Charts show shares in percent or points and costs per 1,000 queries, in five significant digits."""
    known = {0.0}
    for number in numbers_in(report):
        for factor in (1, 100, 1000):
            known.add(float(f"{factor * number:.5g}"))
    data = page_data(page)
    compared = 0
    for name, spec in data["charts"].items():
        for row in rows_of(spec):
            for key, number in row.items():
                # The place in the curve, and whether the point is on the frontier.
                if key in {"place", "order"} or not isinstance(number, float):
                    continue
                compared += 1
                assert number in known, (name, key, number)
    assert compared > 300


def test_the_slider_moves_along_the_curve_of_the_report(page, report):
    curve = report["figures"]["confidence"]["curve"]
    for shown, point in zip(page_data(page)["curve"], curve, strict=True):
        assert shown == {key: point[key] for key in ("threshold", "coverage", "accuracy")}


def test_the_causes_on_the_page_sum_to_the_gap_to_the_oracle(page, report):
    errors = report["figures"]["errors"]
    shown = {path.rpartition("/")[2] for path, _ in page.numbers if path.startswith("figures/errors/")}
    causes = {"nobody_right", "not_called", "outvoted", "unreadable", "vote_beats_members"}
    assert shown == {*causes, "total", "oracle_gap"} == errors.keys()
    assert sum(errors[cause] for cause in causes) == pytest.approx(errors["total"], abs=1e-12)
    gap = sum(errors[cause] for cause in causes - {"nobody_right"})
    assert gap == pytest.approx(errors["oracle_gap"], abs=1e-12)


def page_data(page):
    return json.loads(next(text for kind, text in page.scripts if kind == "application/json"))


def rows_of(spec):
    """Rows of data in a chart or its layers."""
    if isinstance(spec, dict):
        data = spec.get("data")
        if isinstance(data, dict):
            yield from data["values"]
        for part in spec.values():
            yield from rows_of(part)
    elif isinstance(spec, list):
        for part in spec:
            yield from rows_of(part)


def text_means(text, value):
    """Whether the text is the value in its unit, up to rounding of the last digit shown."""
    number, _, unit = text.partition(" ")
    shown = float(number.replace(",", ""))
    # Bounds of intervals are in percent or points without repeating the unit.
    factors = {"%": [100], "points": [100], "USD": [1000], "s": [1], "": [1, 100]}[unit]
    decimals = len(number.partition("e")[0].partition(".")[2])
    tolerance = 0.5001 * 10.0**-decimals
    if unit in {"USD", "s"}:
        # Three significant digits.
        tolerance = 0.005001 * abs(shown)
    return any(abs(shown - factor * value) <= tolerance for factor in factors)


def test_each_question_opens_with_its_answer_in_words(page, html):
    for name in QUESTIONS:
        section = html.partition(f'<section id="{name}"')[2].partition("</section>")[0]
        assert section.index('<div class="answer"><p>') < section.index("<figure")
        assert len(section.partition('<div class="answer"><p>')[2].partition("</p>")[0]) > 40


def section_of(html, name):
    return html.partition(f'<section id="{name}"')[2].partition("</section>")[0]


def test_the_oracle_has_no_number_of_calls_in_words(html):
    answer = section_of(html, "worth").partition("<figure")[0]
    oracle = answer.partition("<strong>oracle</strong>")[2].partition("</p>")[0]
    assert "right when any member is" in oracle
    assert "calls" not in oracle


def test_distances_between_shares_are_in_points(page):
    shown = dict(page.numbers)
    for name in ("ece", "ece_by_chance"):
        assert shown[f"figures/confidence/{name}"].endswith("points")


def test_members_of_a_query_stand_after_their_answer(html):
    row = section_of(html, "failures").partition('<td class="answers">')[2].partition("</td>")[0]
    answers = re.findall(r"<b>(.*?)</b>", row)
    assert answers
    assert len(answers) == len(set(answers))
    grouped = by_answer({"m0": "A", "m1": None, "m2": "B", "m3": "B", "m4": None, "m5": None})
    assert grouped == [("B", ["m2", "m3"]), ("A", ["m0"]), (None, ["m1", "m4", "m5"])]


def test_a_query_with_a_script_is_shown_as_text(page, html):
    assert MALICIOUS not in html
    assert any(MALICIOUS in text for text in page.texts)
    # The data of the charts, and the page's own script.
    assert len(page.scripts) == 2


def test_the_content_policy_allows_this_script_and_this_style_alone(page):
    policy = next(given["content"] for tag, given in page.tags if given.get("http-equiv"))
    script = next(text for kind, text in page.scripts if kind == "module")

    def source(text):
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert "default-src 'none'" in policy
    assert f"script-src {source(script)};" in policy
    assert f"style-src {source(page.styles[0])};" in policy
    assert "unsafe" not in policy


def test_nothing_is_loaded_and_no_attribute_runs(page):
    for tag, given in page.tags:
        assert not given.keys() & {"src", "onerror", "onclick", "style"}, (tag, given)
        if tag == "a":
            assert given["href"].startswith("#")


def test_every_figure_has_a_picture_without_scripts_a_caption_and_a_table(html):
    figures = re.findall(r"<figure.*?</figure>", html, flags=re.DOTALL)
    assert len(figures) >= 12
    for figure in figures:
        assert "<noscript>" in figure
        assert "<svg" in figure
        assert "<figcaption>" in figure
        assert "<table>" in figure


def test_every_axis_names_its_unit(page):
    data = page_data(page)
    without_unit = {"category", "member", "system", "unavailable member", "members left in the pool", "round"}
    titles = set()
    for spec in data["charts"].values():
        for layer in spec.get("layer", [spec]):
            for channel in ("x", "y"):
                titles.add(layer.get("encoding", {}).get(channel, {}).get("title", "none"))
    counted = titles - without_unit - {"none", None}
    assert counted
    assert all(title.endswith(")") or title == "calls per query" for title in counted), counted


def test_the_headline_system_has_a_mark_of_its_own_and_the_oracle_a_line(page, report):
    data = page_data(page)["charts"]
    for name in ("accuracy-over-calls", "accuracy-over-cost-usd", "accuracy-over-latency-parallel-s"):
        rows = list(rows_of(data[name]))
        own = [row["system"] for row in rows if row["group"] == f"{report['headline']} (headline)"]
        assert own == [report["headline"]] == [row["system"] for row in rows if row["headline"]]
        shape = next(
            layer["encoding"]["shape"] for layer in data[name]["layer"] if "shape" in layer["encoding"]
        )
        shapes = dict(zip(shape["scale"]["domain"], shape["scale"]["range"], strict=True))
        assert len(set(shapes.values())) == len(shapes) == len({row["group"] for row in rows})
        oracle = data[name]["layer"][0]
        assert oracle["mark"]["type"] == "rule"
        assert "oracle" in oracle["transform"][0]["filter"]


def test_no_line_breaks_between_a_number_and_its_per_cent_sign(html):
    for opening, closing in (('<div class="answer">', "</div>"), ("<figcaption>", "</figcaption>")):
        for part in html.split(opening)[1:]:
            assert not re.search(r"\d %", part.partition(closing)[0])


def test_labels_of_charts_are_short_and_as_distinct_as_the_names():
    names = ["a/model", "b/model", *(f"provider/long-model-name-{k:02d}-instruct" for k in range(12))]
    labels = short_names(names)
    assert len(set(labels.values())) == len(names)
    assert max(map(len, labels.values())) <= 20
    assert short_names(["openai/gpt", "meta/llama"]) == {"openai/gpt": "gpt", "meta/llama": "llama"}


def test_a_report_without_replies_has_a_page_without_confidence():
    import numpy as np

    train, test = score_table(np.random.default_rng(0).random((60, 3))).split(0.5)
    html = render_page(evaluate(SelectLLMClassifier().fit(train), test).to_dict())
    assert "come without a confidence" in html
    assert "Neither cost nor latency was recorded" in html


def test_a_report_of_controls_alone_answers_the_first_question(fitted, demo, tmp_path):
    report = evaluate(fitted, demo[1], policies=["random:1"])
    report.save_html(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "No query-aware system was evaluated." in html
    assert 'id="members"' not in html


def test_every_chart_is_saved_as_svg_and_png(fitted, demo, tmp_path):
    report = evaluate(fitted, demo[1], policies=["selectllm:3"]).to_dict()
    paths = save_plots(report, tmp_path / "plots")
    assert len(paths) == len(list((tmp_path / "plots").iterdir())) >= 20
    for path in paths:
        start = path.read_bytes()[:200]
        assert start.startswith(b"\x89PNG" if path.suffix == ".png" else b"<svg")


def test_without_the_extra_the_error_names_it(fitted, demo, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "markupsafe", None)
    report = evaluate(fitted, demo[1], policies=["random:1"])
    with pytest.raises(
        MissingDependencyError, match=r'needs markupsafe. Install it: pip install ".*\[report\]"'
    ):
        report.save_html(tmp_path / "report.html")
