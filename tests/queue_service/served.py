"""Servers for the tests of the API: one that is the test's own, and one that asks who comes.

`doors.shared_url` is the one for tests that don't mind company.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from labs.queue_service.api import create_app
from labs.queue_service.api_guard import Limits
from labs.queue_service.auth import Authenticator
from labs.queue_service.auth_tokens import TokenChecker
from labs.queue_service.keys import public_pem, sign_token
from labs.queue_service.server import serving
from labs.queue_service.service import QueueService

MAX_BODY_BYTES = 10_000
BODY_WITHIN_S = 0.3


def make_key() -> rsa.RSAPrivateKey:
    """A key that signs tokens."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def authenticator(key: rsa.RSAPrivateKey) -> Authenticator:
    """Whoever has signed with this key may come in."""
    return Authenticator(tokens=TokenChecker([public_pem(key.public_key()).decode()]))


@dataclass(frozen=True)
class Locked:
    """A server that asks for tokens, and has little patience."""

    url: str
    _key: rsa.RSAPrivateKey = field(repr=False)

    def token(self, *scopes: str, subject: str = "ann") -> str:
        """A good token with these scopes."""
        return sign_token(self._key, subject=subject, scopes=scopes)

    def bearer(self, *scopes: str) -> dict[str, str]:
        """The header that brings one."""
        return {"Authorization": f"Bearer {self.token(*scopes)}"}


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    """One for the whole run."""
    key = make_key()
    knows = authenticator(key)
    file = tmp_path_factory.mktemp("locked") / "builds.db"
    limits = Limits(max_body_bytes=MAX_BODY_BYTES, body_within_s=BODY_WITHIN_S)
    with (
        QueueService.at(f"sqlite:///{file}") as service,
        serving(create_app(service, authenticator=knows, limits=limits)) as url,
    ):
        yield Locked(url, key)
    knows.close()


@pytest.fixture
def served(sqlite_service: QueueService) -> Iterator[str]:
    """Where an empty queue is served, to everybody and to nobody else."""
    with serving(create_app(sqlite_service)) as url:
        yield url


def asking(url: str) -> httpx.Client:
    """A client of all paths."""
    return httpx.Client(base_url=url, trust_env=False, timeout=30)
