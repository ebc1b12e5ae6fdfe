"""Where the queue service is measured: a store, so many messages waiting in it, an instance.

The instance is `labs queue-service serve`, a process of its own, which accepts tokens signed with
a key made for the run. A store is filled with one message by the service itself, and with copies of
its rows: what a million POSTs would have left, in a minute.
"""

# ruff: noqa: S608 - put together of our own words alone

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tasks_sql import fresh_database, tidy
from labs.queue_service.keys import load_private, make_pair, sign_token
from labs.queue_service.local_instance import LocalInstance
from labs.queue_service.operations import Start
from labs.queue_service.service import QueueService
from labs.task_queue.sql_database import Session

SCOPES = ("sdapi", "worker")
FILLED_FROM = 5_000_000_000
"""Builds that a ground is filled with begin here, each of a job by the same number."""
COPIED = {
    "lab_builds": {
        "id": f"CAST({FILLED_FROM} + {{}} AS text)",
        "seq": "one.seq + {}",
        "build_id": "one.build_id + {}",
        "job_id": "one.job_id + {}",
        "number": "one.number + {}",
        "blocked_by": "'[' || (one.job_id + {}) || ']'",
    },
    "lab_tasks": {"id": f"CAST({FILLED_FROM} + {{}} AS text)"},
    "lab_build_jobs": {"job_id": "one.job_id + {}", "top_number": "one.top_number + {}"},
}
"""What tells the rows of one message from those of the next."""
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
def instance(store_url: str, login: Login, *, processes: int = 1) -> Iterator[str]:
    """An instance on a store, of so many processes; its URL."""
    with LocalInstance(store_url, [*login.flags, "--processes", str(processes)]) as one:
        yield one.url


def fill(store_url: str, stored: int) -> None:
    """Let so many messages wait there."""
    if not stored:
        return
    with closing(QueueService.at(store_url)) as service:
        service.call(start_of(FILLED_FROM))
        with service.store.database.session(transaction=True) as session:
            for table, changed in COPIED.items():
                copy(session, table, changed, stored - 1)
            session.run(f"UPDATE lab_build_counts SET n = {stored:d}", {})


def copy(session: Session, table: str, changed: Mapping[str, str], times: int) -> None:
    """Copy a table's one row so often, with some columns changed: `{}` is the copy's number."""
    columns = [one[0] for one in session.connection.execute(f"SELECT * FROM {table}").description]
    values = {name: changed.get(name, f"one.{name}").format("n") for name in columns}
    numbers = f"SELECT 1 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < {times:d}"
    if session.database.name == "postgresql":
        numbers = f"SELECT n FROM generate_series(1, {times:d}) AS n"
        values |= {"seq": "nextval('lab_tasks_line')"} if table == "lab_tasks" else {}
    elif table == "lab_tasks":
        del values["seq"]  # it numbers them itself
    session.run(
        f"""WITH RECURSIVE numbers(n) AS ({numbers})
            INSERT INTO {table} ({", ".join(values)}) SELECT {", ".join(values.values())}
            FROM {table} AS one, numbers ORDER BY n""",
        {},
    )


def start_of(build: int) -> Start:
    """As a POST of the load's scripts would have it."""
    return Start(build_id=build, job_id=build, job_name="main", blocked_by=(build,), body=BODY)
