"""The door of the page: who asks, what becomes of a form, and how each page goes out.

Requests come in, a `Visit` each, and go on to whoever makes the page, unless their sender may not
see it, or a form is not the page's own (`page_forms`). Refusals are pages too. All pages go out
with headers that let nothing in from outside: no script, no style, no frame but what this
request's nonce stands for. They are made in threads, while others are served.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from labs.errors import LabError
from labs.queue_service.auth import NOBODY, Authenticator, Principal
from labs.queue_service.page_forms import SECRET_COOKIE, Form, own_form, secret_of
from labs.queue_service.page_words import environment
from labs.queue_service.problems import FAILED, Problem, Refused, problem_of
from labs.task_queue.errors import Unauthorised

CHANGES = "sdapi"
"""The scope that replaying and discarding need."""
TOKEN_COOKIE = "token"  # noqa: S105 - its name
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

NO_SUCH_PAGE = Problem(404, "NoSuchPath", "There is no such page.", "Begin at the overview.")

logger = logging.getLogger(__name__)


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
        known = secret_of(self.request)
        secret = known or secrets.token_urlsafe(24)
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
Count = Callable[[Principal, Scope], None]
"""Counts a request of somebody. Raises Overloaded: it is one too many."""


class Door:
    """Lets requests in to the page, or says why not."""

    def __init__(self, authenticator: Authenticator | None, count: Count) -> None:
        self.authenticator, self._count = authenticator, count
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
            if of_anybody:
                self._count(NOBODY, visit.request.scope)
            else:
                visit = await self._admitted(visit, need)
            return await sent(visit, await own_form(visit.request))

        return self._refusing(admitted)

    def no_such_page(self) -> Endpoint:
        """What is said where there is none."""

        async def missing(visit: Visit) -> Response:
            self._count(NOBODY, visit.request.scope)
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
                problem = problem_of(error, self.challenges)
                if problem is FAILED:
                    logger.exception("The page failed.")
                return await visit.refused(problem)

        return endpoint

    async def _admitted(self, visit: Visit, need: str | None = None) -> Visit:
        scope = visit.request.scope
        if self.authenticator is not None:
            principal = await self.authenticator.admit(scope["headers"], need)
            visit = replace(visit, principal=principal)
        self._count(visit.principal or NOBODY, scope)
        return visit
