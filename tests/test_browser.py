"""What a learner sees: JupyterLab in a real browser, a notebook run, its picture on the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from labs.broker.address import Address
from labs.jupyter import JupyterLab
from tests.conftest import missing

ROOT = Path(__file__).parent.parent
NOTEBOOK = "02-work-queues.ipynb"
PATIENCE_MS = 120_000
QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        missing("no chromium is installed")
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        # Chromium's sandbox is not for root; an ordinary user keeps it.
        arguments = [*QUIET, "--no-sandbox"] if as_root else [*QUIET]
        launched = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def lab(vhost: Address, labs_home: Path, tmp_path: Path) -> Iterator[JupyterLab]:
    """The notebooks in JupyterLab, a copy of them: whoever runs a notebook there changes it."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "copy" / "notebooks")
    environment = {**os.environ, "AMQP_URL": vhost.url, "LABS_PACE": "0.2"}
    server = JupyterLab(tmp_path / "copy", labs_home / "jupyter", environment=environment)
    server.start()
    yield server
    server.stop()


def run_all_cells(page: Page) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def test_a_notebook_run_in_a_browser_shows_its_picture_and_asks_nothing_of_the_outside(
    browser: Browser, lab: JupyterLab
) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(lab.url.replace("00-start-here.ipynb", NOTEBOOK))
    page.get_by_role("menuitem", name="Run", exact=True).wait_for(timeout=PATIENCE_MS)
    # Cells that are run before their kernel is there make Lab ask which kernel to use.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=PATIENCE_MS)
    run_all_cells(page)

    picture = page.locator(".jp-OutputArea svg[role=img]").first
    picture.wait_for(timeout=PATIENCE_MS)
    picture.scroll_into_view_if_needed()
    assert picture.is_visible()
    assert "alice" in (picture.get_attribute("aria-label") or "")
    assert (
        page.get_by_text("Would you like to get notified about official Jupyter news").count() == 0
    )
    local = {"127.0.0.1", "localhost", None}
    strangers = {url for url in asked if urlsplit(url).scheme.startswith("http")}
    assert {url for url in strangers if urlsplit(url).hostname not in local} == set()
