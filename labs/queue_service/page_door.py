"""The door of the page: who asks, whether a form is the page's own, and how each page goes out.

A browser sends its login by itself, with the forms of strangers' pages too. So a form counts if it
comes from this page (by `Sec-Fetch-Site`, else by `Origin`) and brings back the cookie's secret:
no instance has to know it, any can check it. All pages go out with headers that let nothing in
from outside: no script, no style, no frame but what this request's nonce stands for.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from labs.errors import LabError
from labs.queue_service.auth import Authenticator, Principal
from labs.queue_service.page_words import environment
from labs.queue_service.problems import Problem, Refused, problem_of
from labs.queue_service.shapes import MOST_AT_ONCE
from labs.task_queue.errors import Unauthorised

CHANGES = "sdapi"
"""The scope that replaying and discarding need."""
SECRET_COOKIE = "queue-service-form"  # noqa: S105 - its name
TOKEN_COOKIE = "token"  # noqa: S105 - its name
LONGEST_FORM = 64 * 1024
MOST_FIELDS = MOST_AT_ONCE + 10
SHORTEST_SECRET = 16
TOKEN = re.compile(r"[\w.=-]{1,8192}", re.ASCII)
POLICY = (
    "default-src 'none'; style-src 'nonce-{0}'; script-src 'nonce-{0}'; img-src data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",  # with `no-referrer`, forms would have no Origin
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

NOT_OURS = Problem(
    403,
    "Forbidden",
    "This form was not sent by this page, or the page is too old.",
    "Load the page anew and try again. Cookies must be allowed.",
)
TOO_LONG = Problem(
    413, "TooLarge", "This form is too long, or can't be read.", "Choose fewer messages at a time."
)
NO_SUCH_PAGE = Problem(404, "NoSuchPath", "There is no such page.", "Begin at the overview.")

Form = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Visit:
    """A request to the page that was let in."""

    request: Request
    door: Door
    principal: Principal | None = None
    """None: nobody is asked who they are, or it is not known yet."""
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def may_change(self) -> bool:
        """Whether forms are of use."""
        if self.principal is None:
            return self.door.authenticator is None
        return CHANGES in self.principal.scopes

    @property
    def came_by_cookie(self) -> bool:
        """Whether there is a login that can be ended here."""
        return TOKEN_COOKIE in self.request.cookies and self.principal is not None

    async def page(
        self,
        template: str,
        *,
        status: int = HTTPStatus.OK,
        headers: Sequence[tuple[str, str]] = (),
        **values: Any,
    ) -> Response:
        """A page, made of a template and what it is to show, while others are served.

        Args:
            values: by name; a function is asked for its value.
        """
        return await asyncio.to_thread(self._page, template, status, headers, values)

    def _page(
        self,
        template: str,
        status: int,
        headers: Sequence[tuple[str, str]],
        values: Mapping[str, Any],
    ) -> Response:
        secret = self.request.cookies.get(SECRET_COOKIE, "")
        known = len(secret) >= SHORTEST_SECRET
        secret = secret if known else secrets.token_urlsafe(24)
        html = self.door.templates.get_template(template).render(
            visit=self,
            secret=secret,
            now=self.now,
            **{name: value() if callable(value) else value for name, value in values.items()},
        )
        response = Response(html.encode(errors="replace"), status, media_type="text/html")
        response.headers.update(HEADERS)
        response.headers["Content-Security-Policy"] = POLICY.format(self.nonce)
        for name, value in headers:
            response.headers.append(name, value)
        if not known:
            self.set_cookie(response, SECRET_COOKIE, secret, samesite_strict=True)
        return response

    async def refused(self, problem: Problem) -> Response:
        """The page that says why not."""
        return await self.page(
            "refused.html",
            status=problem.status,
            headers=problem.headers,
            problem=problem,
            title=HTTPStatus(problem.status).phrase,
            takes_tokens=problem.status == HTTPStatus.UNAUTHORIZED and self.door.takes_tokens,
        )

    def back(self, path: str) -> Response:
        """After a form: to a page that may be loaded anew without sending it again."""
        return RedirectResponse(path, HTTPStatus.SEE_OTHER, headers=HEADERS)

    def set_cookie(
        self, response: Response, name: str, value: str, *, samesite_strict: bool = False
    ) -> None:
        """One that no script can read, and no other page's form brings along."""
        response.set_cookie(
            name,
            value,
            httponly=True,
            secure=self.request.url.scheme == "https",
            samesite="strict" if samesite_strict else "lax",
        )


Page = Callable[[Visit], Awaitable[Response]]
Sent = Callable[[Visit, Form], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


class Door:
    """Lets requests in to the page, or says why not."""

    def __init__(self, authenticator: Authenticator | None) -> None:
        self.authenticator = authenticator
        self.templates: Environment = environment()

    @property
    def challenges(self) -> tuple[str, ...]:
        """What is asked of who is not known."""
        return self.authenticator.challenges if self.authenticator else ()

    @property
    def takes_tokens(self) -> bool:
        """Whether a token can be brought."""
        return any(one.startswith("Bearer") for one in self.challenges)

    def shows(self, page: Page) -> Endpoint:
        """A page for whoever is known."""

        async def admitted(visit: Visit) -> Response:
            return await page(await self._admitted(visit))

        return self._refusing(admitted)

    def takes(
        self, sent: Sent, need: str | None = CHANGES, *, of_anybody: bool = False
    ) -> Endpoint:
        """What a form of the page does.

        Args:
            need: the scope of who sends it.
            of_anybody: it is how one becomes known.
        """

        async def admitted(visit: Visit) -> Response:
            if not of_anybody:
                visit = await self._admitted(visit, need)
            return await sent(visit, await _own_form(visit.request))

        return self._refusing(admitted)

    def no_such_page(self) -> Endpoint:
        """What is said where there is none."""

        async def missing(visit: Visit) -> Response:
            return await visit.refused(NO_SUCH_PAGE)

        return self._refusing(missing)

    async def log_in(self, visit: Visit, form: Form) -> Response:
        """Keep a token in a cookie, if it is good."""
        token = form.get("token", [""])[0].strip()
        if self.authenticator is None or not TOKEN.fullmatch(token):
            raise Unauthorised(
                "This is no token.", remedy="Paste the whole of it: three parts with dots between."
            )
        await self.authenticator.admit([(b"cookie", f"{TOKEN_COOKIE}={token}".encode())])
        response = visit.back("/")
        visit.set_cookie(response, TOKEN_COOKIE, token)
        return response

    async def log_out(self, visit: Visit, _: Form) -> Response:
        """Forget the cookie."""
        response = visit.back("/")
        response.delete_cookie(TOKEN_COOKIE)
        return response

    def _refusing(self, page: Page) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            visit = Visit(request, self)
            try:
                return await page(visit)
            except Refused as refused:
                return await visit.refused(refused.problem)
            except LabError as error:
                return await visit.refused(problem_of(error, self.challenges))

        return endpoint

    async def _admitted(self, visit: Visit, need: str | None = None) -> Visit:
        if self.authenticator is None:
            return visit
        headers = visit.request.scope["headers"]
        return replace(visit, principal=await self.authenticator.admit(headers, need))


async def _own_form(request: Request) -> Form:
    """What a form of this page has sent. Raises Refused: it is another's, or too long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_FORM:
            raise Refused(TOO_LONG)
    try:
        form = parse_qs(body.decode(), max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise Refused(TOO_LONG) from None
    if not (_from_here(request) and _has_secret(request, form)):
        raise Refused(NOT_OURS)
    return form


def _from_here(request: Request) -> bool:
    """Whether the browser says that it was sent by this page; one that says nothing is old."""
    if site := request.headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _has_secret(request: Request, form: Form) -> bool:
    known, told = request.cookies.get(SECRET_COOKIE, ""), form.get("secret", [""])[0]
    return len(known) >= SHORTEST_SECRET and hmac.compare_digest(known.encode(), told.encode())
