"""The report page in a browser, offline: light and dark, narrow and wide, without scripts, and printed."""

import pytest

from tests.support.programs import program
from tests.support.reports import MALICIOUS, large_report

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 320, "height": 700}


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    large_report().save_html(path)
    return path


@pytest.fixture(scope="module")
def short_path(path, tmp_path_factory):
    """The same page with few queries, because the accessibility checker looks at every element."""
    from langchain_selectllm.evaluation.page.render import render_page

    report = large_report().to_dict()
    report["figures"] = {**report["figures"], "rows": report["figures"]["rows"][:10]}
    path = tmp_path_factory.mktemp("page") / "short.html"
    path.write_text(render_page(report), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def crowded_path(tmp_path_factory):
    """A page with long answers, and with intervals of confidence that end below the diagonal, in each bin."""
    from langchain_selectllm.evaluation.page.render import render_page

    report = large_report().to_dict()
    rows = [
        {**row, "answer": "answer = " + "[1, 2, 3]" * 8, "reference": "1" * 80}
        for row in report["figures"]["rows"]
    ]
    bins = []
    for k in range(10):
        low, high = k / 10, (k + 1) / 10
        ends = [max(low - 0.1, 0.0), low + 0.02]
        bins.append({"low": low, "high": high, "n": 1200, "confidence": high, "accuracy": low, "ci95": ends})
    confidence = {**report["figures"]["confidence"], "bins": bins}
    report["figures"] = {**report["figures"], "rows": rows[:10], "confidence": confidence}
    path = tmp_path_factory.mktemp("page") / "crowded.html"
    path.write_text(render_page(report), encoding="utf-8")
    return path


class Visit:
    """One view of the page, with what it requested and what it logged."""

    def __init__(self, browser, path, **options):
        self.context = browser.new_context(offline=True, **options)
        self.context.set_default_timeout(120_000)
        self.page = self.context.new_page()
        self.requests, self.messages = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            self.page.wait_for_selector("html[data-ready=yes]")

    def open_details(self):
        self.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")

    def overflow(self):
        """Pixels by which the page is wider than the window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


@pytest.fixture(scope="module")
def views(browser, path):
    """The page, wide and narrow, for tests that only look at it."""
    with Visit(browser, path, viewport=WIDE) as wide, Visit(browser, path, viewport=NARROW) as narrow:
        yield wide, narrow


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_one_request_without_errors_or_accessibility_violations(
    browser, short_path, scheme, viewport
):
    from axe_playwright_python.sync_playwright import Axe

    with Visit(browser, short_path, color_scheme=scheme, viewport=viewport) as visit:
        assert visit.requests == [short_path.as_uri()]
        assert visit.messages == []
        assert visit.page.locator("[data-chart] svg").count() >= 15
        assert visit.overflow() <= 0
        visit.open_details()
        # The content policy keeps out added scripts; the checker comes in past it, through the debugger.
        found = visit.page.evaluate(
            f"() => {{ {Axe().axe_script}; return axe.run().then(r => r.violations); }}"
        )
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_20_systems_12_members_and_200_queries_fit_in_one_and_a_half_mebibytes(path):
    report = large_report().to_dict()
    assert len(report["systems"]) >= 20
    assert len(report["members"]) == 12
    assert len(report["figures"]["rows"]) == 200
    # The limit is 1.5 MiB; 60 KiB stay free for one more figure.
    assert path.stat().st_size <= (1536 - 60) * 2**10


def test_charts_stay_inside_their_figures(views):
    inside = """() => [...document.querySelectorAll('figure')].filter(figure => {
        const chart = figure.querySelector('[data-chart] svg').getBoundingClientRect();
        return chart.width < 100 || chart.right > figure.getBoundingClientRect().right + 1;
    }).map(figure => figure.id)"""
    for visit in views:
        assert visit.page.evaluate(inside) == []


def test_no_text_of_a_chart_is_cut_off(views):
    cut_off = """() => [...document.querySelectorAll('figure')].flatMap(figure => {
        const right = figure.querySelector('[data-chart]').getBoundingClientRect().right;
        return [...figure.querySelectorAll('[data-chart] text')].filter(t => t.getAttribute('opacity') !== '0')
            .filter(t => t.getBoundingClientRect().right > right + 2).map(t => [figure.id, t.textContent]);
    })"""
    for visit in views:
        assert visit.page.evaluate(cut_off) == []


def test_numbers_in_the_cells_of_a_pair_do_not_overlap(browser, tmp_path):
    few = tmp_path / "few.html"
    large_report(n_members=8).save_html(few)
    overlapping = """() => ['answer-agreement', 'error-correlation'].flatMap(name => {
        const texts = document.querySelectorAll(`#figure-${name} .role-mark.mark-text text`);
        const boxes = [...texts].filter(t => t.getAttribute('opacity') !== '0').map(t => t.getBoundingClientRect());
        return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
            a.left < b.right && b.left < a.right && a.top < b.bottom - 3 && b.top < a.bottom - 3)).map(() => name);
    })"""
    for viewport in (WIDE, NARROW):
        with Visit(browser, few, viewport=viewport) as visit:
            assert visit.page.evaluate(overlapping) == []


def test_counts_of_the_reliability_diagram_touch_no_mark(browser, crowded_path):
    touching = """() => {
        const figure = document.querySelector('#figure-reliability');
        const boxes = (kind) => [...figure.querySelectorAll(kind)].map(one => one.getBoundingClientRect());
        const texts = boxes('.mark-text.role-mark text');
        const marks = boxes('.mark-rule.role-mark line, .mark-symbol.role-mark path, .mark-line.role-mark path');
        const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
        const others = (i) => [...marks, ...texts.slice(i + 1)];
        return [texts.length > 0 && marks.length > texts.length, texts.flatMap((a, i) => others(i).filter(b => meet(a, b))).length];
    }"""
    for viewport in (WIDE, NARROW):
        with Visit(browser, crowded_path, viewport=viewport) as visit:
            assert visit.page.evaluate(touching) == [True, 0]


def test_every_column_of_the_queries_is_seen_without_scrolling(browser, crowded_path):
    with Visit(browser, crowded_path, viewport=WIDE) as visit:
        table = visit.page.locator("#queries").bounding_box()
        assert table["width"] <= visit.page.locator(".scroll.tall").bounding_box()["width"]


def test_labels_of_an_axis_do_not_overlap(views):
    overlapping = """() => [...document.querySelectorAll('[data-chart] .role-axis-label')].flatMap(axis => {
        const boxes = [...axis.querySelectorAll('text')].filter(t => t.getAttribute('opacity') !== '0')
            .map(t => t.getBoundingClientRect());
        return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
            a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3))
            .map(() => axis.closest('figure').id);
    })"""
    for visit in views:
        assert visit.page.evaluate(overlapping) == []


def test_a_query_with_a_script_is_shown_as_text(browser, path):
    with Visit(browser, path, viewport=WIDE) as visit:
        assert visit.page.title() == "Router report"
        assert MALICIOUS in visit.page.locator("#queries tbody th").first.inner_text()
        assert visit.page.locator("#queries img").count() == 0


def test_filters_work_by_keyboard(browser, path):
    with Visit(browser, path, viewport=WIDE) as visit:
        keyboard, output = visit.page.keyboard, visit.page.locator("#filter-output")
        assert output.inner_text() == "200 of 200 queries shown"
        visit.page.locator("#filter-category").focus()
        keyboard.press("ArrowDown")
        category = visit.page.locator("#filter-category").input_value()
        visible = visit.page.locator("#queries tbody tr:visible")
        assert 0 < visible.count() < 200
        assert {row.get_attribute("data-category") for row in visible.all()} == {category}
        keyboard.press("ArrowUp")
        # Cause, then the search field.
        keyboard.press("Tab")
        keyboard.press("Tab")
        keyboard.type("no query holds these words")
        assert output.inner_text() == "0 of 200 queries shown"


def test_the_threshold_slider_works_by_keyboard_and_equals_the_report(browser, path):
    report = large_report().to_dict()
    curve = report["figures"]["confidence"]["curve"]
    with Visit(browser, path, viewport=WIDE) as visit:
        slider, output = visit.page.locator("#threshold-slider"), visit.page.locator("#threshold-output")
        slider.focus()
        for place, key in ((0, "Home"), (1, "ArrowRight"), (len(curve) - 1, "End")):
            visit.page.keyboard.press(key)
            point = curve[place]
            coverage, accuracy = 100 * point["coverage"], 100 * point["accuracy"]
            text = f"{point['threshold']:.2f}: answers {coverage:.1f} % of the queries, {accuracy:.1f} % of them right"
            assert output.inner_text() == text
            assert slider.get_attribute("aria-valuetext") == text


def test_without_scripts_pictures_and_rows_are_there(browser, path):
    with Visit(browser, path, viewport=WIDE, java_script_enabled=False) as visit:
        assert visit.page.locator("noscript svg, .static svg").count() >= 15
        assert visit.page.locator("#queries tbody tr").count() == 200
        assert not visit.page.locator("#threshold").is_visible()
        assert not visit.page.locator("#filters").is_visible()
        assert visit.messages == []
        assert visit.overflow() <= 0


def test_pictures_without_scripts_keep_readable_labels_on_a_narrow_screen(browser, path):
    with Visit(browser, path, viewport=NARROW, java_script_enabled=False) as visit:
        for picture in visit.page.locator(".static").all():
            # The picture keeps its size and scrolls within its place.
            assert picture.locator("svg").bounding_box()["width"] == 640
            assert picture.bounding_box()["width"] <= 320
        assert visit.overflow() <= 0


def test_printed_the_page_is_black_on_white_with_every_query(browser, path):
    with Visit(browser, path, viewport=WIDE, color_scheme="dark") as visit:
        visit.page.emulate_media(media="print")
        colours = visit.page.evaluate(
            "(() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]; })()"
        )
        assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
        assert not visit.page.locator("#filters").is_visible()
        table = visit.page.locator("#queries").bounding_box()
        scroll = visit.page.locator(".scroll.tall").bounding_box()
        assert scroll["height"] >= table["height"]
        assert len(visit.page.pdf()) > 50_000
        # Width of an A4 page in pixels, less the margins: no column of the table is cut off.
        visit.page.set_viewport_size({"width": 718, "height": 900})
        table = visit.page.locator("#queries").bounding_box()
        assert table["x"] + table["width"] <= 718
        # A usual name of a category stays on one line.
        cell = visit.page.locator("#queries tbody td").first
        cell.evaluate("one => { one.textContent = 'engineering'; }")
        lines = "one => { const r = document.createRange(); r.selectNodeContents(one); return r.getClientRects().length; }"
        assert cell.evaluate(lines) == 1
        too_wide = "[...document.querySelectorAll('#queries thead th')].filter(one => one.scrollWidth > one.clientWidth)"
        assert visit.page.evaluate(f"{too_wide}.map(one => one.textContent)") == []
