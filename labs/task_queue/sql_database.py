"""A database behind the SQL queue: connections, transactions, and its errors as sentences.

SQLAlchemy brings the address, the driver and the pool. The statements are our own and go to the
driver itself: they differ between the databases in what SQLAlchemy's language has no words for,
and a claim is so short that to put it together anew would cost as much as the claim. Statements
are committed one by one unless a session is a transaction. The pool is the queue's own, so that
what it sets on its connections is nobody else's.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from labs.errors import BadInput, LabError
from labs.task_queue.errors import StoreUnfit, StoreUnreachable

T = TypeVar("T")
Params = Mapping[str, Any]
Rows = Sequence[Sequence[Any]]

PATIENCE_S = 30.0
"""How long a verb waits for a SQLite that others write to."""
CONNECT_WITHIN_S = 10
PLANS = (
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; "
    "SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off"
)
"""Plans are kept, and one that was right for an empty table must be right for a full one."""
KNOWN = ("postgresql", "postgres", "sqlite")
EXAMPLES = "Such as postgresql://user:password@host/database or sqlite:///tasks.db."


class Database:
    """Where the tables are, and a pool of connections to it."""

    def __init__(self, engine: Engine, *, url: URL | None = None) -> None:
        """Take the engine's address and driver; nothing is connected yet.

        Raises:
            BadInput: it is of a database that the queue does not know.
        """
        self.name = engine.dialect.name
        check(engine.url)
        self._given, self._url = engine, url
        if self.name == "postgresql" and engine.driver != "psycopg":
            engine = make_engine(engine.url)
        self.engine = engine
        self._compiled: dict[str, str] = {}
        """Statements of our own words, of which there are some dozens."""
        self.place = shown(engine.url)
        """Its address without secrets."""
        self._is_error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._pool = engine.pool.recreate()
        event.listen(self._pool, "connect", self._prepare_connection)
        self._process = os.getpid()

    @classmethod
    def at(cls, url: str) -> Database:
        """The database at a URL.

        Raises:
            BadInput: that can't be meant.
        """
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):  # a port that is no number is the latter
            raise BadInput("The database's URL can't be read.", remedy=EXAMPLES) from None
        check(parsed)
        return cls(make_engine(parsed), url=parsed)

    def compiled(self, statement: str) -> str:
        """A statement with `:name` parameters, as the driver wants it."""
        if self.name == "sqlite":
            return statement
        if statement not in self._compiled:
            made = text(statement).compile(dialect=self.engine.dialect)
            self._compiled[statement] = str(made)
        return self._compiled[statement]

    def is_same_as(self, other: Database) -> bool:
        """Whether one transaction can write to both."""
        return self._given is other._given or (self._url is not None and self._url == other._url)

    @contextmanager
    def session(self, *, writes: bool = False, transaction: bool = False) -> Iterator[Session]:
        """A connection for a while. What is raised within undoes a transaction.

        Args:
            writes: a statement of it writes, which on SQLite takes a transaction.

        Raises:
            StoreUnreachable, StoreUnfit: in place of the driver's own errors.
        """
        connection = self.connect()
        try:
            session = Session(self, connection.driver_connection)
            if not (transaction or (writes and self.name == "sqlite")):
                yield session
                return
            self.patiently(lambda: session.run(self._begin, {}))
            try:
                yield session
                session.run("COMMIT", {})
            except BaseException:
                with suppress(self._is_error):
                    session.run("ROLLBACK", {})
                raise
        except self._is_error as error:
            raise self._sentence(error, connection) from error
        finally:
            connection.close()

    def patiently(self, write: Callable[[], T]) -> T:
        """Do something that waits for its turn to write, for as long as there is patience."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return write()
            except self._is_error as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(0.001, 0.01))

    def connect(self) -> Any:
        """A connection of the pool, which its `close` gives back.

        Raises:
            StoreUnreachable: there is none to be had.
        """
        if os.getpid() != self._process:  # a fork: its parent's connections are not its own
            self._pool = self._pool.recreate()
            self._process = os.getpid()
        try:
            return self._pool.connect()
        except (SQLAlchemyError, self._is_error) as error:
            raise self._sentence(error, None) from error

    def detached(self) -> Any:
        """A connection that is not given back: whoever has it closes it."""
        connection = self.connect()
        connection.detach()
        return connection

    @contextmanager
    def errors_of(self, connection: Any) -> Iterator[None]:
        """Say what the driver raises in here in sentences; the connection is then closed."""
        try:
            yield
        except self._is_error as error:
            raise self._sentence(error, connection) from error

    def prepare_file(self) -> None:
        """Let a SQLite file take readers beside one writer; on PostgreSQL, nothing."""
        if self.name == "sqlite":
            with self.session() as session:
                self.patiently(lambda: session.run("PRAGMA journal_mode = WAL", {}))

    def close(self) -> None:
        """Close the connections."""
        self._pool.dispose()

    @property
    def _begin(self) -> str:
        return "BEGIN" if self.name == "postgresql" else "BEGIN IMMEDIATE"

    def _prepare_connection(self, connection: Any, record: object) -> None:  # noqa: ARG002
        if self.name == "postgresql":
            connection.autocommit = True
            connection.execute(PLANS)
        else:
            connection.isolation_level = None
            connection.execute(f"PRAGMA busy_timeout = {PATIENCE_S * 1000:.0f}")

    def _sentence(self, error: Exception, connection: Any) -> LabError:
        """What the driver says, as an error of ours. The connection is not used again."""
        words = " ".join(str(error).split())
        if connection is not None:
            connection.invalidate(error)
        if self.name == "sqlite":
            return _of_sqlite(words, self.place)
        sentence = _of_postgresql(error, words, self.place)
        if isinstance(sentence, StoreUnreachable):  # then the others are gone with it
            gone, self._pool = self._pool, self._pool.recreate()
            gone.dispose()
        return sentence


class Session:
    """A connection that somebody has for a while; it is the driver's."""

    def __init__(self, database: Database, connection: Any) -> None:
        self.database = database
        self.connection = connection

    def run(self, statement: str, params: Params) -> Rows:
        """Run one statement, in the driver's own style; its rows, if it has any."""
        cursor = self.connection.execute(statement, params)
        return cursor.fetchall() if cursor.description else ()

    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name, which is one of ours."""
        if self.database.name == "postgresql":
            found = self.run("SELECT to_regclass(%(name)s)", {"name": name})
        else:
            found = self.run("SELECT name FROM sqlite_master WHERE name = :name", {"name": name})
        return bool(found and found[0][0])


def check(url: URL) -> None:
    """Refuse a database in which the queue can't be.

    Raises:
        BadInput: it is none that the queue knows, or is gone with its connection.
    """
    name = url.drivername.partition("+")[0]
    if name not in KNOWN:
        raise BadInput(f"The task queue knows PostgreSQL and SQLite, not {name}.", remedy=EXAMPLES)
    if "@" in (url.host or ""):
        raise BadInput(
            "The database's URL has more than one @ before the host.",
            remedy="In a password write %40 for @, %2F for / and %25 for %.",
        )
    if name == "sqlite" and url.database in (None, "", ":memory:"):
        raise BadInput(
            "A SQLite database in memory is gone with its connection.",
            remedy="Give a file, such as sqlite:///tasks.db; in memory, use memory_queue().",
        )


def make_engine(url: URL) -> Engine:
    """An engine for the URL; PostgreSQL by psycopg, whatever driver it names.

    Raises:
        BadInput: the driver is not installed.
    """
    arguments: dict[str, Any] = {}
    if url.drivername.startswith("postgres"):
        url = url.set(drivername="postgresql+psycopg")
        arguments["connect_timeout"] = CONNECT_WITHIN_S
    try:
        return create_engine(url, connect_args=arguments, pool_size=5, max_overflow=40)
    except (ImportError, NoSuchModuleError) as error:
        raise BadInput(
            f"The database driver is missing: {error}.",
            remedy="Install the task queue's part: pip install 'queue-labs[task-queue]'.",
        ) from None


def shown(url: URL) -> str:
    """The address without secrets, wherever in it they are."""
    return url.difference_update_query(["password", "sslpassword"]).render_as_string()


def _is_busy(error: Exception) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def _of_sqlite(words: str, place: str) -> LabError:
    path = Path(place.removeprefix("sqlite:///"))
    if "locked" in words or "busy" in words:
        return StoreUnreachable(
            f"The database {path} was in use by others for {PATIENCE_S:g} s.",
            remedy="Somebody holds a transaction open; for many writers there is PostgreSQL.",
        )
    if "full" in words or "disk I/O" in words:
        return StoreUnreachable(
            f"The disk of {path} can't take more: {words}. What was stored is safe; "
            "this was not stored.",
            remedy="Make room, and try again.",
        )
    if "unable to open" in words or "readonly" in words or "read-only" in words:
        return StoreUnfit(
            f"The database {path} can't be opened for writing: {words}.",
            remedy="Its folder must exist, and both must be yours to write to.",
        )
    return StoreUnfit(
        f"The database {path} can't be used: {words}.",
        remedy="Is it a SQLite file of version 3.38 or newer, and whole?",
    )


def _of_postgresql(error: Exception, words: str, place: str) -> LabError:
    state = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
    if state.startswith(("42", "0A", "22", "23")):
        return StoreUnfit(
            f"PostgreSQL at {place} refuses a statement: {words}",
            remedy="The user must be able to make tables there, or to use those that are there.",
        )
    if state.startswith("53"):
        return StoreUnreachable(
            f"PostgreSQL at {place} has no room: {words}",
            remedy="Free connections, memory or disk space there, and try again.",
        )
    if "authentication failed" in words or state.startswith("28"):
        return StoreUnreachable(
            f"PostgreSQL at {place} refuses the login.", remedy="Check the user and the password."
        )
    return StoreUnreachable(
        f"PostgreSQL at {place} does not answer: {words}",
        remedy="Is it running, and the address right? What was stored is safe: try again.",
    )
