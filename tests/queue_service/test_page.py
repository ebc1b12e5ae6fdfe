"""The page as it goes over the wire: what it tells, whom it trusts, what it lets nobody do.

How it looks and works in a browser is in `test_browser`. Here pages are read as HTML, over canned
answers; the last test puts them before a real service.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from labs.errors import LabError
from labs.queue_service.api import create_app
from labs.queue_service.auth import Authenticator
from labs.queue_service.auth_tokens import TokenChecker
from labs.queue_service.errors import Overloaded
from labs.queue_service.keys import load_private, make_pair, sign_token
from labs.queue_service.messages import State
from labs.queue_service.operations import Discard, Find, PutSchedule, Replay
from labs.queue_service.page import page_router
from labs.queue_service.page_forms import LONGEST_FORM, SECRET_COOKIE
from labs.queue_service.page_words import LONGEST_JSON, as_json, cut, lasting, legible
from labs.queue_service.passwords import PasswordFile, put_password
from labs.queue_service.service import QueueService
from labs.task_queue.errors import StoreUnreachable
from tests.queue_service.grounds import claim_one, nack, put
from tests.queue_service.page_answers import NASTY, Answers, message

ROOT = Path(__file__).parents[2]
PAGES = ("/", "/messages", "/schedules", "/message/4300", *(f"/{state}" for state in State))
INLINE = ("a", "b", "bdi", "code", "span", "time")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass
class Read(HTMLParser):
    """A page: its elements with their attributes, and its words."""

    html: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        self.words += "" if tag in INLINE else " "

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] not in ("script", "style"):
            self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


class InProcess(httpx.BaseTransport):
    """To an application without a server between."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def answered() -> httpx.Response:
            answer = await self._app.handle_async_request(request)
            return httpx.Response(
                answer.status_code, headers=answer.headers, content=await answer.aread()
            )

        return asyncio.run(answered())


class Reader:
    """Somebody who reads pages and sends their forms, as a browser does."""

    def __init__(self, answers: Answers, authenticator: Authenticator | None = None) -> None:
        self._come_to(page_router(answers.do, authenticator=authenticator))

    @classmethod
    def of(cls, app: ASGIApp) -> Reader:
        """Of the page of a whole application."""
        reader = cls.__new__(cls)
        reader._come_to(app)
        return reader

    def _come_to(self, app: ASGIApp) -> None:
        self.http = httpx.Client(transport=InProcess(app), base_url="http://queue.test")

    def page(self, path: str, status: int = 200, **asked: str) -> Read:
        response = self.http.get(path, headers=asked)
        assert response.status_code == status, Read(response.text).words
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        return Read(response.text)

    def secret(self, path: str = "/failed") -> str:
        page = self.page(path)
        return next(str(one["value"]) for one in page.all("input") if one.get("name") == "secret")

    def send(
        self, path: str, status: int = 303, asked: dict[str, str] | None = None, **form: object
    ) -> str:
        """Send a form; where it leads, or what is said."""
        response = self.http.post(path, data=form, headers=asked or {})
        assert response.status_code == status, response.text
        return response.headers.get("location") or Read(response.text).words


@pytest.fixture
def answers() -> Answers:
    return Answers.busy()


@pytest.fixture
def reader(answers: Answers) -> Reader:
    return Reader(answers)


# --- What it tells ------------------------------------------------------------------------------


def test_the_overview_tells_how_all_stands(reader: Reader) -> None:
    words = reader.page("/").words

    assert "Queued 3 Blocked 3 Frozen 3 Running 3 Done 3 Failed 3 Collapsed 3 Stopped 3" in words
    assert "Workers 3" in words
    assert "Oldest waits 7 min 7 s" in words
    assert re.search(
        r"4300 main job 1 worker main 1 of 3 [\d: -]+ \(1 min 2\d s ago\) [\d: -]+ \(in 3\d s\)",
        words,
    )
    assert re.search(r"4100 main job 1 job 7 ", words)
    assert re.search(r"4200 main job 1 [\d: -]+ \(in 2 d 2 h\)", words)
    assert re.search(r"4500 main job 1 3 of 3 exit status 1: main ", words)
    assert re.search(
        r"H 9-17 \* \* MON-FRI that is 16 9-17 \* \* MON-FRI [\d: -]+ \(in 59 min", words
    )
    assert "Europe/Berlin" in words


def test_an_empty_queue_has_a_page_too() -> None:
    words = Reader(Answers()).page("/").words

    assert "Running None. Blocked None. Frozen None. Failed None. Schedules None." in words
    assert "Oldest waits 0 s" in words


def test_what_the_curve_shows_is_told_in_words_and_in_a_table(answers: Answers) -> None:
    at = datetime.now(UTC) - timedelta(minutes=3)
    answers.samples = [
        replace(answers.samples[0], at=at, counts={State.QUEUED: 1234, State.BLOCKED: 9})
    ]

    page = Reader(answers).page("/")

    assert page.all("svg")[-1]["role"] == "img"
    title, words = str(page.all("svg")[-1]["aria-labelledby"]).split()
    assert [page.all("title")[-1]["id"], page.all("desc")[-1]["id"]] == [title, words]
    assert "Queue lengths over the last 1h" in page.words
    assert "Queued: 3 now, between 3 and 1,234; running: 3 now, between 0 and 3" in page.words
    assert f"{at:%H:%M:%S} 1,234 0 9 0" in page.words


@pytest.mark.parametrize("span", ["15min", "1h", "6h", "24h"])
def test_one_looks_back_as_far_as_one_likes(reader: Reader, span: str) -> None:
    page = reader.page(f"/?span={span}")

    assert f"Queue lengths over the last {span}" in page.words
    assert [a["href"] for a in page.all("a") if a.get("aria-current") == "true"] == [
        f"/?span={span}"
    ]


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (State.QUEUED, "4000 main job 1 5 linux 0 of 3"),
        (State.BLOCKED, "4100 main job 1 job 7"),
        (State.DONE, "4400 main job 1 1 of 3"),
        (State.COLLAPSED, "4600 main job 1 9001"),
        (State.STOPPED, "4700 main job 1 0 of 3"),
    ],
)
def test_each_state_has_a_page_of_its_messages(reader: Reader, state: State, says: str) -> None:
    page = reader.page(f"/{state}")

    assert says in page.words
    assert f"{state.capitalize()} Newest first, of 3" in page.words


def test_what_was_stopped_before_it_came_has_no_job_yet(answers: Answers) -> None:
    answers.messages = [message(1, datetime.now(UTC), job_id=0, state=State.STOPPED)]
    for path in ("/stopped", "/message/1"):
        page = Reader(answers).page(path)
        assert "not known: it was stopped before it came" in page.words
        assert "jobId=0" not in page.html


def test_a_message_that_waits_for_its_own_job_says_so(answers: Answers) -> None:
    blocked = message(1, NOW, state=State.BLOCKED, job_id=7, waits_for=7)
    answers.messages = [blocked]

    assert "a build of its own job" in Reader(answers).page("/blocked").words
    assert "blocked: waits for a build of its own job" in Reader(answers).page("/message/1").words


def test_long_lists_come_in_pages_of_which_each_leads_to_the_next(answers: Answers) -> None:
    now = datetime.now(UTC)
    answers.messages = [message(n, now, job_id=9) for n in range(120)]
    reader = Reader(answers)
    found: list[str] = []
    path = "/queued?jobId=9"
    while path:
        page = reader.page(path)
        hrefs = [str(one["href"]) for one in page.all("a")]
        found += [href for href in hrefs if href.startswith("/message/")]
        query = next((href for href in hrefs if href.startswith("?")), "")
        path = query and f"/queued{query}"
        assert not query or "jobId=9" in query

    assert found == [f"/message/{n}" for n in range(120)]


def test_a_message_has_a_page_with_all_about_it(answers: Answers) -> None:
    at = datetime.now(UTC) - timedelta(minutes=5)
    one = message(
        17,
        at,
        id="7@2026-11-23T09:00:00Z/é?#",
        build_id=None,
        state=State.FAILED,
        blocked_by=(7, 8),
        cluster="linux",
        reason="exit status 1",
        result={"log": ["a", "<b>"]},
        started_at=at,
        ended_at=at + timedelta(minutes=1),
    )
    answers.messages = [one]
    reader = Reader(answers)
    (href,) = {a["href"] for a in reader.page("/failed").all("a") if "/message/" in str(a["href"])}

    words = reader.page(str(href)).words

    assert f"Message {one.id}" in words
    assert "State failed Reason exit status 1 Job main job 18" in words
    assert "Build none: a schedule has made the message" in words
    assert "Cluster linux Priority 0 Attempts 0 of 3 Blocked by job 7, job 8" in words
    assert f"Enqueued {one.enqueued_at:%H:%M:%S} (12 min" in words.replace(f"{at:%Y-%m-%d} ", "")
    assert "Ended" in words
    assert '{ "log": [ "a", "<b>" ] }' in words
    assert '"container": "node:22"' in words


def test_its_place_in_line_is_told_as_far_as_it_was_counted(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(answers)
    assert "Place in line 3 Job" in reader.page("/message/4000").words
    assert "Place in line" not in reader.page("/message/4300").words
    real = answers.do

    async def far(operation: object) -> object:
        answer = await real(operation)  # type: ignore[arg-type]
        far_back = {"position": 101, "position_at_least": True}
        return replace(answer, **far_back) if isinstance(operation, Find) else answer

    monkeypatch.setattr(answers, "do", far)
    assert "Place in line 101 or more" in Reader(answers).page("/message/4000").words


def test_head_is_answered_like_get_without_the_page(reader: Reader) -> None:
    response = reader.http.head("/")
    assert (response.status_code, response.content) == (200, b"")


# --- What strangers write -----------------------------------------------------------------------


def outline(page: Read) -> Counter[tuple[str, tuple[str, ...]]]:
    """What elements there are, and what attributes they have."""
    return Counter((tag, tuple(sorted(attributes))) for tag, attributes in page.elements)


@pytest.mark.parametrize("path", PAGES)
def test_no_name_adds_an_element_to_a_page_or_an_attribute(path: str) -> None:
    tame = Reader(Answers.busy([f"name {n}" for n in range(len(NASTY))]))
    nasty = Reader(Answers.busy(NASTY))

    assert outline(nasty.page(path)) == outline(tame.page(path))
    assert not [
        a for _, attributes in nasty.page(path).elements for a in attributes if a[:2] == "on"
    ]


def test_letters_that_deceive_the_eye_are_written_out() -> None:
    words = Reader(Answers.busy(NASTY)).page("/queued").words

    assert r"\u202egnp.exe\u202c" in words
    assert r"a\x00b\x1b[31mred" in words
    assert r"half a letter \ud800" in words
    assert "構建 बिल्ड" in words
    assert "{{ 7 * 7 }}{% for %}" in words
    assert "W" * 80 + "…" in words
    assert "W" * 81 not in words


@settings(deadline=None)
@given(st.text())
def test_nothing_invisible_is_left_of_any_text(text: str) -> None:
    shown = legible(text)
    kept = shown.replace("\n", "").replace("\u200c", "").replace("\u200d", "")

    assert all(one.isprintable() or one.isspace() for one in kept)
    assert shown.encode().decode() == shown
    assert len(cut(text, 10)) <= 11 * len(r"\U0010ffff")


def test_of_a_long_body_no_more_is_shown_than_one_reads(answers: Answers) -> None:
    many = {"lines": ["x" * 1000] * 10_000}
    answers.messages = [message(1, NOW, body=many, result="y" * 10_000_000)]

    page = Reader(answers).page("/message/1")

    assert len(page.html) < 3 * LONGEST_JSON + 20_000
    assert "…" in page.words
    assert as_json({"a": [1, "é"]}) == "{\n  &#34;a&#34;: [\n    1,\n    &#34;é&#34;\n  ]\n}"


def test_durations_are_told_by_their_two_largest_units() -> None:
    seconds = [0, 59.9, 60, 3599, 3600, 7500, 86400, 90061, -5]
    assert [lasting(one) for one in seconds] == [
        *("0 s", "59 s", "1 min", "59 min 59 s", "1 h", "2 h 5 min", "1 d", "1 d 1 h", "0 s"),
    ]


# --- What comes with it -------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "/nowhere", "/message/0"])
def test_nothing_but_the_pages_own_script_and_style_counts_in_a_browser(path: str) -> None:
    reader = Reader(Answers.busy())
    nonces = []
    for _ in range(2):
        response = reader.http.get(path)
        page, policy = Read(response.text), response.headers["content-security-policy"]
        (nonce,) = set(re.findall(r"'nonce-([\w-]+)'", policy))
        nonces.append(nonce)
        ours = page.all("script") + page.all("style")
        assert [one["nonce"] for one in ours] == [nonce] * len(ours)
        assert not [tag for tag, attributes in page.elements if "style" in attributes]
        assert all(url.startswith(("/", "?", "#", "data:,")) for url in _addresses(page))

    assert nonces[0] != nonces[1]
    assert re.sub(r"'nonce-[\w-]+'", "NONCE", policy).split("; ") == [
        *("default-src 'none'", "style-src NONCE", "script-src NONCE", "img-src data:"),
        *("connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"),
    ]
    headers = response.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-opener-policy"] == "same-origin"


def _addresses(page: Read) -> list[str]:
    found = [
        attributes[name]
        for _, attributes in page.elements
        for name in ("href", "src", "action", "formaction")
        if name in attributes
    ]
    return [str(one) for one in found]


# --- Replay and discard -------------------------------------------------------------------------


def test_failed_messages_are_replayed_by_a_form(answers: Answers, reader: Reader) -> None:
    back = reader.send("/failed/replay", secret=reader.secret(), id=["4500", "4502", "nonsense"])

    assert back == "/failed?replayed=2"
    assert "2 queued again." in reader.page(back).words
    assert [one.id for one in answers.messages if one.state is State.FAILED] == ["4501"]


def test_all_of_them_are_at_once(answers: Answers, reader: Reader) -> None:
    assert reader.send("/failed/replay", secret=reader.secret(), all="1") == "/failed?replayed=3"
    assert Replay(ids=None) in answers.asked


def test_failed_messages_are_discarded_by_a_form(answers: Answers, reader: Reader) -> None:
    back = reader.send("/failed/discard", secret=reader.secret(), id="4501")

    assert back == "/failed?discarded=1"
    assert "1 forgotten." in reader.page(back).words
    assert Discard(ids=("4501",)) in answers.asked


def test_a_message_can_be_replayed_on_its_own_page(reader: Reader) -> None:
    page = reader.page("/message/4501")
    assert {"type": "hidden", "name": "id", "value": "4501"} in page.all("input")
    assert "/failed/replay" in _addresses(page)
    assert "/failed/replay" not in _addresses(reader.page("/message/4300"))


def test_a_form_in_which_nothing_was_chosen_does_nothing(answers: Answers, reader: Reader) -> None:
    said = reader.send("/failed/replay", 422, secret=reader.secret())

    assert "No message was chosen." in said
    assert "take all" in said
    assert not [one for one in answers.asked if isinstance(one, Replay)]


@pytest.mark.parametrize(
    "asked",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"origin": "http://queue.test.evil.test"},
    ],
)
def test_a_form_on_another_page_does_nothing(
    answers: Answers, reader: Reader, asked: dict[str, str]
) -> None:
    said = reader.send("/failed/discard", 403, asked, secret=reader.secret(), all="1")

    assert "not sent by this page" in said
    assert not [one for one in answers.asked if isinstance(one, Discard)]


@pytest.mark.parametrize("told", [None, "", "guessed", "é"])
def test_nor_one_that_does_not_know_the_cookies_secret(
    answers: Answers, reader: Reader, told: str | None
) -> None:
    reader.secret()
    form: dict[str, Any] = {} if told is None else {"secret": told}
    reader.send("/failed/discard", 403, all="1", **form)

    reader.http.cookies.clear()
    reader.send("/failed/discard", 403, all="1", **form)
    reader.http.cookies.set(SECRET_COOKIE, "")
    reader.send("/failed/discard", 403, all="1", **form)
    assert not [one for one in answers.asked if isinstance(one, Discard)]


def test_the_pages_own_form_counts_by_each_way_in_which_browsers_say_so(reader: Reader) -> None:
    for asked in ({"sec-fetch-site": "same-origin"}, {"origin": "http://queue.test"}, {}):
        reader.send("/failed/replay", 303, asked, secret=reader.secret(), id="0")


def test_the_secret_stays_from_page_to_page_and_no_script_can_read_it(reader: Reader) -> None:
    cookie = reader.http.get("/failed").headers["set-cookie"]

    assert cookie.startswith(f"{SECRET_COOKIE}=")
    assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    assert "set-cookie" not in reader.http.get("/failed").headers
    assert reader.secret() == reader.secret()


@pytest.mark.parametrize(
    "body", [b"x" * (LONGEST_FORM + 1), b"&".join([b"id=1"] * 2000), b"secret=%ff%fe"]
)
def test_a_form_that_is_too_long_or_no_form_is_refused(reader: Reader, body: bytes) -> None:
    response = reader.http.post("/failed/replay", content=body)

    assert response.status_code == 413
    assert "too long" in Read(response.text).words


def test_what_a_form_does_is_not_done_by_looking(answers: Answers, reader: Reader) -> None:
    for path in ("/failed/replay", "/failed/discard", "/logout"):
        assert reader.http.get(path).status_code in (404, 405)
    assert not [one for one in answers.asked if isinstance(one, Replay | Discard)]


# --- Who asks -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Doors:
    """A page that takes tokens, and one that takes passwords: bob's is `right`."""

    key: PrivateKeyTypes
    by_token: Authenticator
    by_password: Authenticator

    def token(self, *scopes: str) -> str:
        return sign_token(self.key, subject="ann <b>", scopes=scopes)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    private, public = make_pair(folder)
    put_password(folder / "passwords", "bob", ["sdapi"], "right")
    made = Doors(
        load_private(private),
        Authenticator(tokens=TokenChecker([public])),
        Authenticator(passwords=PasswordFile(folder / "passwords")),
    )
    yield made
    made.by_token.close()
    made.by_password.close()


def test_whoever_is_not_known_is_asked_for_a_password(doors: Doors) -> None:
    reader = Reader(Answers.busy(), doors.by_password)

    for path in PAGES:
        response = reader.http.get(path)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Basic ")
        assert "4300" not in response.text.replace("/message/4300", "")
    assert not [one for one in reader.page("/", 401).all("input") if one["name"] == "token"]
    reader.http.auth = ("bob", "wrong")
    assert "Wrong name or password" in reader.page("/", 401).words
    reader.http.auth = ("bob", "right")
    assert "bob" in reader.page("/").words


def test_a_token_is_kept_in_a_cookie_until_one_logs_out(doors: Doors) -> None:
    reader = Reader(Answers.busy(), doors.by_token)
    asked = reader.page("/", 401)
    secret = next(str(one["value"]) for one in asked.all("input") if one["name"] == "secret")

    token = doors.token("sdapi")
    response = reader.http.post("/login", data={"secret": secret, "token": f" {token} "})

    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(response.headers["set-cookie"].split("; "))
    page = reader.page("/")
    assert "ann <b>" in page.words
    assert token not in page.html
    assert reader.send("/failed/replay", secret=secret, all="1") == "/failed?replayed=3"
    reader.send("/logout", secret=secret)
    reader.page("/", 401)


@pytest.mark.parametrize("token", ["", "a b", "{}; Path=/x", "é", "x.y.z", "x" * 9000])
def test_what_is_no_good_token_is_not_kept(doors: Doors, token: str) -> None:
    reader = Reader(Answers.busy(), doors.by_token)
    asked = reader.page("/", 401)
    secret = next(str(one["value"]) for one in asked.all("input") if one["name"] == "secret")

    token = token.format(doors.token("sdapi"))
    response = reader.http.post("/login", data={"secret": secret, "token": token})

    assert response.status_code == 401
    assert "set-cookie" not in response.headers
    assert 'name="token"' in response.text
    assert not token or token not in response.text


def test_nobody_is_logged_in_or_out_by_another_page(doors: Doors) -> None:
    reader = Reader(Answers.busy(), doors.by_token)
    reader.page("/", 401)
    reader.send("/login", 403, token=doors.token("sdapi"))
    reader.http.cookies.set("token", doors.token("sdapi"))
    reader.send("/logout", 403)
    reader.page("/")


def test_who_may_only_look_is_offered_nothing_else(doors: Doors) -> None:
    answers = Answers.busy()
    reader = Reader(answers, doors.by_token)
    reader.http.cookies.set("token", doors.token("worker"))
    page = reader.page("/failed")

    assert [form["action"] for form in page.all("form")] == ["/logout"]
    assert "would need the scope sdapi" in page.words
    assert "/failed/replay" not in _addresses(reader.page("/message/4500"))
    said = reader.send("/failed/replay", 403, secret=reader.secret("/"), all="1")
    assert "Insufficient scope" in said
    assert not [one for one in answers.asked if isinstance(one, Replay)]


# --- What goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/nowhere", 404, "There is no such page."),
        ("/favicon.ico", 404, "There is no such page."),
        ("/message/0", 404, "There is no message"),
        ("/message/%00", 422, "id"),
        ("/?span=1y", 422, "There is no span '1y'."),
        ("/queued?limit=x", 422, "limit"),
        ("/queued?jobId=0", 422, "jobId"),
        ("/messages?what=1", 422, "what"),
        ("/messages?state=lost", 422, "state"),
    ],
)
def test_what_is_not_there_is_said_on_a_page(
    reader: Reader, path: str, status: int, says: str
) -> None:
    page = reader.page(path, status)

    assert says in page.words
    assert "To the overview" in page.words


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreUnreachable("PostgreSQL does not answer.", remedy="Look after it."), 503),
        (Overloaded("Too many wait.", retry_after_s=2, remedy="Come again."), 429),
    ],
)
def test_a_store_that_is_away_is_said_on_a_page(
    answers: Answers, reader: Reader, error: LabError, status: int
) -> None:
    secret = reader.secret()
    answers.fails_with = error
    for path in PAGES:
        page = reader.page(path, status)
        assert f"{error} {error.remedy}" in page.words
        assert int(reader.http.get(path).headers["retry-after"]) in (1, 2)
    assert str(error) in reader.send("/failed/replay", status, secret=secret, all="1")

    answers.fails_with = None
    assert "Running 3" in reader.page("/").words


def test_of_many_schedules_those_are_shown_that_run_next(answers: Answers) -> None:
    later = timedelta(hours=1)
    answers.schedules = [
        replace(answers.schedules[0], job_id=n, next_run=NOW + n * later) for n in range(1, 600)
    ]
    reader = Reader(answers)

    assert "job 10 " in reader.page("/").words
    assert "job 11 " not in reader.page("/").words
    words = reader.page("/schedules").words
    assert "job 500 " in words
    assert "These are the next 500; there are more." in words


def test_a_schedule_whose_zone_is_gone_does_not_take_the_page_with_it(answers: Answers) -> None:
    answers.schedules = [replace(answers.schedules[0], time_zone="Atlantis/Poseidonis")]

    words = Reader(answers).page("/schedules").words

    assert "Atlantis/Poseidonis" in words
    assert "(in 59 min" in words


# --- Before a real service, and in a real package -----------------------------------------------


def test_a_real_services_queue_is_shown_and_its_failed_are_replayed(
    sqlite_service: QueueService,
) -> None:
    put(sqlite_service, 1, 7, max_attempts=1)
    nack(sqlite_service, claim_one(sqlite_service), reason="exit status 1")
    put(sqlite_service, 2, 8)
    claim_one(sqlite_service, owner="worker <1>")
    put(sqlite_service, 3, 8)
    today = datetime.now(UTC).isoweekday()
    window = f"* * ? * {today},{today % 7 + 1}"
    put(sqlite_service, 4, 9, freeze_windows=(window,))
    for job_id in range(20, 32):
        sqlite_service.call(PutSchedule(job_id=job_id, cron="H H * * *", body={}))
    reader = Reader.of(create_app(sqlite_service))

    words = reader.page("/").words

    assert "Queued 0 Blocked 1 Frozen 1 Running 1 Done 0 Failed 1" in words
    assert "2 job 8 worker <1> 1 of 3" in words
    assert "3 job 8 a build of its own job" in words
    assert re.search(r"Frozen all frozen .* 4 job 9 [\d-]+ 00:00:00 \(in ", words)
    assert "1 job 7 1 of 1 exit status 1" in words
    assert words.count("H H * * * that is ") == 10
    assert reader.page("/schedules").words.count("H H * * * that is ") == 12
    assert reader.send("/failed/replay", secret=reader.secret(), id="1") == "/failed?replayed=1"
    assert "State queued Place in line 1" in reader.page("/message/1").words


def test_a_package_of_it_has_the_templates(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )

    (wheel,) = tmp_path.glob("*.whl")
    there = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if "templates" in name}
    assert there == {path.name for path in (ROOT / "labs/queue_service/templates").iterdir()}
