"""Where the queue service is measured: a store, so many messages waiting in it, an instance.

The instance is `labs queue-service serve`, a process of its own, which accepts tokens signed with
a key made for the run. A store is filled by the service itself, thousands of starts at a time, so
that what waits in it is what POST would have left.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tasks_sql import fresh_database, tidy
from labs.queue_service.keys import load_private, make_pair, sign_token
from labs.queue_service.local_instance import LocalInstance
from labs.queue_service.operations import Start
from labs.queue_service.service import QueueService

SCOPES = ("sdapi", "worker")
FILLED_AT_ONCE = 1_000
FILLED_FROM = 5_000_000_000
"""Builds that a ground is filled with begin here, each of a job by the same number."""
BODY = {
    "jobName": "main",
    "jobState": "ENABLED",
    "jobArchived": False,
    "apiUri": "http://api.example",
    "isPR": False,
    "pipeline": {"id": 7, "scmContext": "github:github.com", "configPipelineId": 7},
    "container": "node:22",
    "annotations": {},
    "provider": {},
}


@dataclass(frozen=True)
class Login:
    """A key pair of the run, and tokens signed with it."""

    folder: Path
    private: Path
    public: Path

    @classmethod
    def make(cls, folder: Path) -> Login:
        """Make the pair."""
        return cls(folder, *make_pair(folder))

    def tokens(self, name: str, many: int) -> Path:
        """A file of so many tokens, one a line, each of a subject of its own."""
        path, key = self.folder / name, load_private(self.private)
        said = [sign_token(key, subject=f"user-{n}", scopes=SCOPES) for n in range(many)]
        path.touch(mode=0o600)
        path.write_text("\n".join(said) + "\n")
        return path

    @property
    def flags(self) -> Sequence[str]:
        """How an instance is told to accept them."""
        return ("--public-key", str(self.public))


@dataclass(frozen=True)
class Ground:
    """An instance on a store in which so many messages wait."""

    store: str
    stored: int
    store_url: str
    url: str
    """The instance's."""


@contextmanager
def postgres_ground(postgres_url: str, stored: int, login: Login) -> Iterator[Ground]:
    """A database of its own on this PostgreSQL."""
    with fresh_database(postgres_url) as store_url:
        fill(store_url, stored)
        tidy(store_url)
        with instance(store_url, login) as url:
            yield Ground("PostgreSQL", stored, store_url, url)


@contextmanager
def sqlite_ground(stored: int, login: Login) -> Iterator[Ground]:
    """A file of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-queue-service-") as folder:
        store_url = f"sqlite:///{folder}/queue.db"
        fill(store_url, stored)
        with instance(store_url, login) as url:
            yield Ground("SQLite", stored, store_url, url)


@contextmanager
def instance(store_url: str, login: Login) -> Iterator[str]:
    """An instance on a store; its URL."""
    with LocalInstance(store_url, login.flags) as one:
        yield one.url


def fill(store_url: str, stored: int) -> None:
    """Let so many messages wait there."""
    if stored:
        asyncio.run(_fill(store_url, stored))


async def _fill(store_url: str, stored: int) -> None:
    with ExitStack() as opened:
        service = QueueService.at(store_url)
        opened.callback(service.close)
        for first in range(0, stored, FILLED_AT_ONCE):
            builds = range(first, min(first + FILLED_AT_ONCE, stored))
            await asyncio.gather(*(service.do(start_of(FILLED_FROM + n)) for n in builds))


def start_of(build: int) -> Start:
    """As a POST of the load's scripts would have it."""
    return Start(build_id=build, job_id=build, job_name="main", blocked_by=(build,), body=BODY)
