"""The server's page in a browser: light and dark, wide and narrow, and no violation of accessibility rules."""

import os
from pathlib import Path

import httpx
import pytest

from tests.support.programs import program
from tests.support.served import chat, listening, make_app
from tests.support.waiting import LONG_S

pytestmark = pytest.mark.filterwarnings("ignore")
VIEWS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
    "phone-dark": {"color_scheme": "dark", "viewport": {"width": 320, "height": 640}},
}


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=program("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(fitted):
    app = make_app(fitted, keys=["page-key"])
    with listening(app) as address:
        for i in range(12):
            headers = {"authorization": "Bearer page-key"}
            httpx.post(f"{address}/v1/chat/completions", json=chat(f"Add {i} and 4."), headers=headers)
        for decision in app.state.selectllm.recent.last(12):
            # As long as those of `selectllm:3`.
            decision.metadata["selection"]["reason"] = (
                "the most probable member (probability less cost), and up to 3 more where the confidence is below 0.83"
            )
        yield address


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_fits_every_view_and_breaks_no_accessibility_rule(browser, url, view):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(
        http_credentials={"username": "any", "password": "page-key"}, bypass_csp=True, **VIEWS[view]
    )
    context.set_default_timeout(1000 * LONG_S)
    page = context.new_page()
    requested, messages = [], []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.goto(url)
    assert page.locator("h1").inner_text() == "SelectLLM server"
    assert page.locator("tbody tr").count() >= 5 + 2 + 12
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
    # On a phone the wide table is scrolled, instead of its columns being a few letters wide.
    assert (
        page.evaluate("Math.max(...[...document.querySelectorAll('tr')].map(row => row.offsetHeight))") < 200
    )
    loaded = set(requested)
    assert loaded <= {f"{url}/", "data:,"}
    folder = os.environ.get("SELECTLLM_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"server-{view}.png", full_page=True)
    results = axe.run(page)
    assert results.response["violations"] == []
    assert [text for text in messages if "401" not in text] == []
    context.close()
