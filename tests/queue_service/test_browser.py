"""The page in a real browser: read, kept up to date, worked with by keyboard, on a phone, at night.

Chromium looks at a real server. What the service tells is canned where its looks are the matter,
and a real service's where something is done. Whatever a page asks for, and whatever it
complains of, is written down: nothing may come from elsewhere, nothing may be refused.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from starlette.types import Receive, Scope, Send

from labs.queue_service.api import create_app
from labs.queue_service.auth import Authenticator
from labs.queue_service.messages import State
from labs.queue_service.page import page_router
from labs.queue_service.passwords import PasswordFile, put_password
from labs.queue_service.server import serving
from labs.queue_service.service import QueueService
from labs.waiting import wait_until
from tests.conftest import missing
from tests.queue_service.grounds import claim_one, nack, put, state
from tests.queue_service.page_answers import NASTY, Answers
from tests.test_browser import QUIET

PATHS = ("/", "/failed", "/message/4500", "/schedules", "/nowhere")
PHONE = {"width": 320, "height": 640}
REFRESH_MS = 5_000
PATIENCE_MS = 60_000

PAPERS: dict[Literal["light", "dark"], str] = {
    "light": "rgb(255, 255, 255)",
    "dark": "rgb(19, 23, 28)",
}
CONTRASTS = """() => {
  for (const closed of document.querySelectorAll("details")) closed.open = true;
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, n) => sum + one * [0.2126, 0.7152, 0.0722][n], 0);
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = numbers(getComputedStyle(element).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return numbers(getComputedStyle(document.documentElement).backgroundColor);
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest("svg, script, style")) continue;
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([ratio, texts.currentNode.data.trim().slice(0, 40)]);
  }
  for (const way of document.querySelectorAll(".plot .way")) {
    const [a, b] = [light(numbers(getComputedStyle(way).stroke)), light(ground(document.body))];
    found.push([1.5 * (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), "line"]);  // 3 will do
  }
  return found;
}"""
"""How much each text stands out on its ground, as the W3C reckons it."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing("no chromium is installed")
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        arguments = [*QUIET, "--no-sandbox"] if as_root else [*QUIET]
        launched = playwright.chromium.launch(executable_path=path, args=arguments)
        expect.set_options(timeout=PATIENCE_MS)
        yield launched
        launched.close()


class Alone:
    """The page without the API around it."""

    def __init__(self, answers: Answers) -> None:
        self._router = page_router(answers.do)

    def stop(self) -> None:
        """Nobody waits here."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)


@pytest.fixture(scope="module")
def busy_url() -> Iterator[str]:
    """A server of canned answers, full of nasty names."""
    with serving(Alone(Answers.busy(NASTY))) as url:
        yield url


Opens = Callable[..., Page]


@pytest.fixture
def opens(chromium: Browser) -> Iterator[Opens]:
    """Opens a page; at the end nothing came from elsewhere, and nothing was complained of."""
    asked: list[str] = []
    complaints: list[str] = []
    with ExitStack() as stack:

        def opened(url: str, **how: Any) -> Page:
            context = stack.enter_context(chromium.new_context(**how))
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda said: complaints.append(said.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("dialog", lambda dialog: complaints.append(dialog.message))
            page.goto(url)
            return page

        yield opened
    hosts = {urlsplit(url).hostname for url in asked if url.startswith("http")}
    assert hosts <= {"127.0.0.1"}
    assert [one for one in complaints if not one.startswith("Failed to load")] == []


def test_each_page_reads_well_without_a_script_whatever_the_names_are(
    opens: Opens, busy_url: str
) -> None:
    page = opens("about:blank", java_script_enabled=False)
    for path in PATHS:
        page.goto(busy_url + path)
        assert page.title().endswith("· Queue service")
        for landmark in ("banner", "main", "contentinfo"):
            expect(page.get_by_role(landmark)).to_have_count(1)
        expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        for table in page.get_by_role("table").all():
            assert table.get_by_role("columnheader").count() > 1
            assert table.get_by_role("rowheader").count() == len(NASTY)
        expect(page.get_by_role("button", name="Pause")).to_have_count(0)


def test_the_curve_is_seen_and_can_be_read_as_a_table(opens: Opens, busy_url: str) -> None:
    page = opens(busy_url)

    picture = page.get_by_role("img", name="Queue lengths over the last 1h")
    expect(picture).to_be_visible()
    box = picture.bounding_box()
    assert box
    assert box["width"] > 600
    assert box["height"] > 100
    expect(page.locator(".plot .way.queued")).to_be_visible()
    page.get_by_text("The same as a table").click()
    assert page.get_by_role("rowheader").filter(has_text=":").count() > 5


def test_by_day_and_by_night_all_text_stands_out(opens: Opens, busy_url: str) -> None:
    page = opens("about:blank")
    for path in PATHS:
        page.goto(busy_url + path)
        for scheme, paper in PAPERS.items():
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
            found = page.evaluate(CONTRASTS)
            assert len(found) > 10
            assert [one for one in found if one[0] < 4.5] == []


def test_on_a_phone_nothing_is_wider_than_the_screen(opens: Opens, busy_url: str) -> None:
    page = opens("about:blank", viewport=PHONE)
    for path in PATHS:
        page.goto(busy_url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        tables = page.locator(".table")
        assert tables.evaluate_all("all => all.every(a => a.scrollWidth <= a.clientWidth)")

    page.goto(f"{busy_url}/failed")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="4501", exact=True))
    expect(row.get_by_role("cell")).to_have_count(5)
    assert row.evaluate("row => getComputedStyle(row).display") == "block"


def test_the_page_keeps_up_with_the_queue_unless_it_is_told_to_pause(
    opens: Opens, sqlite_service: QueueService
) -> None:
    with serving(create_app(sqlite_service)) as url:
        page = opens("about:blank")
        page.clock.install()
        page.goto(url)
        running = page.locator("#part-running")
        expect(running).to_contain_text("None.")
        put(sqlite_service, 4211, 7, job_name="deploy")
        claimed = claim_one(sqlite_service, owner="worker-1")

        page.clock.run_for(REFRESH_MS)
        expect(running).to_contain_text("worker-1")
        expect(page.locator("#numbers")).to_contain_text("Running1")

        page.get_by_role("button", name="Pause").click()
        nack(sqlite_service, claimed, final=True)
        page.clock.run_for(3 * REFRESH_MS)
        expect(running).to_contain_text("worker-1")
        page.get_by_role("button", name="Pause").click()
        page.clock.run_for(REFRESH_MS)
        expect(running).to_contain_text("None.")


def test_a_server_that_is_gone_is_said_and_one_that_is_back_is_read_again(
    opens: Opens, busy_url: str
) -> None:
    page = opens("about:blank")
    page.clock.install()
    page.goto(busy_url)
    page.route("**/*", lambda route: route.fulfill(status=503))

    page.clock.run_for(REFRESH_MS)
    expect(page.get_by_role("status")).to_contain_text("the service does not answer")
    expect(page.locator("#part-running")).to_contain_text("4300")

    page.unroute("**/*")
    page.clock.run_for(REFRESH_MS)
    expect(page.get_by_role("status")).to_be_empty()


def test_what_one_has_chosen_stays_while_the_page_keeps_up(opens: Opens, busy_url: str) -> None:
    page = opens("about:blank")
    page.clock.install()
    page.goto(f"{busy_url}/failed")
    box = page.get_by_role("checkbox", name="Choose 4501")
    box.check()
    as_of = page.locator("#as-of time").get_attribute("datetime")
    wait_until(lambda: datetime.now(UTC).isoformat() > f"{as_of}", 30, what="the next second")

    page.clock.run_for(REFRESH_MS)

    expect(page.locator("#as-of time")).not_to_have_attribute("datetime", str(as_of))
    expect(box).to_be_checked()


def test_failed_builds_are_replayed_and_discarded_by_keyboard_alone_without_a_script(
    opens: Opens, sqlite_service: QueueService, tmp_path: Path
) -> None:
    put_password(tmp_path / "passwords", "bob", ["sdapi"], "right")
    for build in (1, 2, 3):
        put(sqlite_service, build, build, max_attempts=1)
        nack(sqlite_service, claim_one(sqlite_service), reason=NASTY[0])
    doors = Authenticator(passwords=PasswordFile(tmp_path / "passwords"))
    with serving(create_app(sqlite_service, authenticator=doors)) as url:
        login = {"username": "bob", "password": "right"}
        page = opens(f"{url}/failed", http_credentials=login, java_script_enabled=False)
        expect(page.get_by_role("row")).to_have_count(4)

        page.get_by_role("checkbox", name="Choose 2", exact=True).focus()
        page.keyboard.press("Space")
        tab_to(page, "Replay the chosen")
        page.keyboard.press("Enter")
        expect(page.get_by_text("1 queued again.")).to_be_visible()
        assert state(sqlite_service, 2) is State.QUEUED

        tab_to(page, "Discard…")
        page.keyboard.press("Enter")
        tab_to(page, "Discard all")
        page.keyboard.press("Enter")
        expect(page.get_by_text("2 forgotten.")).to_be_visible()
        expect(page.get_by_role("main")).to_contain_text("None.")
        assert urlsplit(page.url).query == "discarded=2"
    doors.close()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the button of this name is the one that a key would press."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.locator(":focus").inner_text().strip() == name:
            assert (
                page.locator(":focus").evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
            )
            return
    raise AssertionError(name)
