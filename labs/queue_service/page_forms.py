"""What a form of the page sends, if it is the page's own.

A browser sends its login by itself, with the forms of strangers' pages too. So a form counts if it
comes from this page (`auth.sent_by_own_page`) and brings back the cookie's secret.
No instance has to know the secret, so any can check it.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from starlette.requests import Request

from labs.queue_service.auth import sent_by_own_page
from labs.queue_service.problems import Problem, Refused
from labs.queue_service.shapes import MOST_AT_ONCE

SECRET_COOKIE = "queue-service-form"  # noqa: S105 - its name
SHORTEST_SECRET = 16
LONGEST_FORM = 64 * 1024
MOST_FIELDS = MOST_AT_ONCE + 10

NOT_OURS = Problem(
    403,
    "Forbidden",
    "This form was not sent by this page, or the page is too old.",
    "Load the page anew and try again. Cookies must be allowed.",
)
TOO_LONG = Problem(
    413, "TooLarge", "This form is too long, or can't be read.", "Choose fewer messages at a time."
)

Form = Mapping[str, Sequence[str]]
"""Each field's name, and its values."""


def secret_of(request: Request) -> str:
    """What a form of this browser must bring; empty: it has no such cookie yet."""
    secret = request.cookies.get(SECRET_COOKIE, "")
    return secret if len(secret) >= SHORTEST_SECRET else ""


async def own_form(request: Request) -> Form:
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
    if not (sent_by_own_page(request.scope["headers"]) and _has_secret(request, form)):
        raise Refused(NOT_OURS)
    return form


def _has_secret(request: Request, form: Form) -> bool:
    known, told = secret_of(request), form.get("secret", [""])[0]
    return bool(known) and hmac.compare_digest(known.encode(), told.encode())
