"""Where the queue service keeps all: one queue of a database, its transactions and its rows.

Every transaction that writes begins with the queue's lock, so that those of all instances come
one after the other, and what is read within one stays true to its end. Rows go in and out by the
set. A message's task is in the task queue of its build cluster, a line: `<queue>/<cluster>`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from labs.errors import LabError
from labs.queue_service.store_tables import SCHEMA
from labs.queue_service.store_text import Statements, page_of, statements_for
from labs.task_queue.errors import BadTask
from labs.task_queue.sql import SqlQueue
from labs.task_queue.sql_database import Database, Rows, Session
from labs.task_queue.sql_values import escaped
from labs.task_queue.tasks import Json

LOCK_WITHIN_S = 15
IDLE_S = 10
"""A transaction whose instance has stopped in the middle of it (a frozen machine) is undone after
so long, and the others go on."""
LINES_HELD = 256
"""A claim may name any build cluster."""
MESSAGE_PAGES = [
    (state, job, cluster) for state in (0, 1) for job in (0, 1) for cluster in (None, "", "x")
]


class Store:
    """The tables of one queue."""

    def __init__(self, database: Database, name: str) -> None:
        """Open it; its tables are made if need be.

        Raises:
            BadTask: the name can't be one.
            StoreUnreachable, StoreUnfit: the database does not answer, or can't be used.
        """
        if "/" in name:
            raise BadTask(
                f"A queue of builds has no / in its name, such as {name!r:.80}.",
                remedy="It stands between the queue's name and those of build clusters.",
            )
        self.database, self.name = database, name
        self._lines = {"": SqlQueue(database, name)}
        SCHEMA.prepare(database)
        self.say = Statements(
            **{
                name: database.compiled(text)
                for name, text in vars(statements_for(database.name)).items()
            }
        )
        self._pages = {
            (bool(state), bool(job), cluster): database.compiled(
                page_of(state=bool(state), job=bool(job), cluster=cluster)
            )
            for state, job, cluster in MESSAGE_PAGES
        }
        digest = hashlib.sha256(name.encode()).hexdigest()
        self.channel = f"lab_builds_{digest[:16]}"
        self._lock = "; ".join(
            (
                f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_S}s'",
                f"SET LOCAL lock_timeout = '{LOCK_WITHIN_S}s'",
                f"SELECT pg_advisory_xact_lock({int(digest[:15], 16)})",
            )
        )

    @classmethod
    def at(cls, url: str, name: str) -> Store:
        """The queue of this name in the database at a URL.

        Raises:
            BadInput: the URL can't be meant. StoreUnreachable, StoreUnfit, BadTask: as above.
        """
        database = Database.at(url)
        try:
            return cls(database, name)
        except LabError:
            database.close()
            raise

    def line(self, cluster: str) -> SqlQueue:
        """The task queue of a build cluster.

        Raises:
            BadTask: its name can't be one.
        """
        if cluster not in self._lines:
            while len(self._lines) >= LINES_HELD:  # the oldest, and never that of no cluster
                del self._lines[list(self._lines)[1]]
            self._lines[cluster] = self._lines[""].named(self._line_name(cluster))
        return self._lines[cluster]

    def due_clusters(self, session: Session) -> list[str]:
        """Build clusters in whose lines a delay has passed or a lease run out.

        Asked by the set: there may be as many clusters as clients like to name.
        """
        of_line = {
            escaped(self._line_name(cluster)): cluster
            for (cluster,) in self.run(session, self.say.clusters)
        }
        said = [{"key": line} for line in of_line]
        rows = self.run(session, self.say.due_lines, said, now=time.time()) if said else ()
        return [of_line[line] for (line,) in rows]

    def _line_name(self, cluster: str) -> str:
        return f"{self.name}/{cluster}" if cluster else self.name

    @contextmanager
    def transaction(self) -> Iterator[tuple[Session, float, int]]:
        """A transaction beside which no other one writes to the queue.

        With it come the time, and the `seq` of the newest message.
        """
        with self.database.session(transaction=True) as session:
            if self.database.name == "sqlite":
                rows = self.run(session, self.say.begin, now=time.time())
            else:
                session.connection.execute(self._lock)
                rows = self.run(session, self.say.begin)
            ((now, last_seq),) = rows
            yield session, now, last_seq

    def run(
        self,
        session: Session,
        statement: str,
        items: Iterable[Mapping[str, Json]] | None = None,
        **params: Any,
    ) -> Rows:
        """Run a statement of `say`."""
        given = {"queue": escaped(self.name), **params}
        if items is not None:
            given["items"] = json.dumps(list(items))
        return session.run(statement, given)

    def by_key(self, session: Session, statement: str, keys: Iterable[Json]) -> Rows:
        """Run a statement that asks for these keys; none for no keys."""
        said = [{"key": key} for key in keys]
        return self.run(session, statement, said) if said else ()

    def page(self, session: Session, **asked: Any) -> Rows:
        """Messages, newest first: at most `n` before the one numbered `after`."""
        cluster = asked.get("cluster")
        kind = cluster if cluster is None else "x" if cluster else ""
        statement = self._pages["state" in asked, "job_id" in asked, kind]
        return self.run(session, statement, **asked)

    def tell_others(self, session: Session, who: str) -> None:
        """Let the other instances know, once this is committed, that there is something to claim.

        Args:
            who: tells it, and is not to be told.
        """
        if self.database.name == "postgresql":
            session.run(
                "SELECT pg_notify(%(channel)s, %(who)s)", {"channel": self.channel, "who": who}
            )

    def close(self) -> None:
        """Close the connections."""
        self.database.close()
