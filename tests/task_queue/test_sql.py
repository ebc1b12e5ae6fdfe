"""What is special in SQL: the schema, plans, secrets, the rule as a condition."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine

from labs.errors import BadInput
from labs.task_queue.errors import BadTask, StoreUnfit, StoreUnreachable
from labs.task_queue.events_queue import with_events
from labs.task_queue.replay import replay
from labs.task_queue.sql import SqlQueue, json_sql_queue
from labs.task_queue.sql_database import Database
from labs.task_queue.sql_events import SqlEventStore
from labs.task_queue.sql_schema import SCHEMA, STEPS
from labs.task_queue.stages import Move, Stage
from labs.task_queue.tasks import Hold, Standing, refusal


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of either kind."""
    wanted = {"sqlite": "sqlite_url", "postgres": "fresh_database"}[request.param]
    return str(request.getfixturevalue(wanted))


@pytest.fixture
def queue(url: str) -> Iterator[SqlQueue]:
    """A queue in it."""
    with SqlQueue.connect(url, "q") as queue:
        yield queue


# --- The schema -------------------------------------------------------------------------------


def version(database: Database) -> int:
    with database.session() as session:
        return int(session.run("SELECT version FROM lab_task_schema", {})[0][0])


def make_version(url: str, number: int) -> None:
    """The tables as a program of that version has left them."""
    with closing(Database.at(url)) as database, database.session(writes=True) as session:
        session.run("CREATE TABLE lab_task_schema (version integer NOT NULL)", {})
        session.run(f"INSERT INTO lab_task_schema VALUES ({number:d})", {})  # noqa: S608
        for statements in STEPS[database.name][:number]:
            for statement in statements:
                session.run(statement, {})


def test_tables_of_version_1_are_brought_up_to_date_and_keep_their_tasks(url: str) -> None:
    make_version(url, 1)
    with closing(Database.at(url)) as database, database.session(writes=True) as session:
        sequence = "nextval('lab_tasks_line')" if database.name == "postgresql" else "1"
        now = "now()" if database.name == "postgresql" else "1.0"
        session.run(
            f"""INSERT INTO lab_tasks (seq, queue, id, priority, stage, due, moves, attempts,
                backoff_s, put_at, body, reason)
            VALUES ({sequence}, 'q', 'old', 0, 0, {now}, 1, 0, 1, {now}, '7', '')""",  # noqa: S608
            {},
        )
    with SqlQueue.connect(url, "q") as queue:
        assert version(queue.database) == len(STEPS[queue.database.name]) >= 2
        assert queue.get() == [("old", 7)]
        queue.success("old")
        assert queue.purge(timedelta()) == 1


def test_tables_of_a_newer_program_are_refused_and_left_alone(url: str) -> None:
    with SqlQueue.connect(url, "q") as queue, queue.database.session(writes=True) as session:
        session.run("UPDATE lab_task_schema SET version = 99", {})
    with pytest.raises(StoreUnfit, match="version 99; this program knows versions up to") as error:
        SqlQueue.connect(url, "q")
    assert "Update this program" in error.value.remedy
    with closing(Database.at(url)) as database:
        assert version(database) == 99


def open_and_put(url: str, number: int) -> None:
    with SqlQueue.connect(url, "q") as queue:
        queue.put({f"{number}": number})


def test_sixteen_processes_may_be_the_first_at_once(url: str) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=open_and_put, args=(url, n)) for n in range(16)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 16
    with SqlQueue.connect(url, "q") as queue:
        assert sorted(map(int, queue.lookup_state(Stage.WAITING))) == list(range(16))


def test_a_handle_that_was_forked_makes_connections_of_its_own(queue: SqlQueue) -> None:
    queue.put({"mine": 1, "childs": 2})
    assert queue.get() == [("mine", 1)]
    child = os.fork()
    if child == 0:
        try:
            queue.success("mine")
            os._exit(0 if queue.get() == [("childs", 2)] else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert queue.sizes() == {"WAITING": 0, "PROCESSING": 1, "SUCCESS": 1, "FAIL": 0}


def test_queues_share_the_tables_and_not_their_tasks(url: str) -> None:
    with SqlQueue.connect(url, "one") as one, SqlQueue.connect(url, "two") as two:
        one.put({"a": 1})
        two.put({"a": 2})
        assert one.get(5) == [("a", 1)]
        assert two.sizes()["WAITING"] == 1
        assert two.purge(timedelta()) == 0


# --- The known way in, and what can't be meant ------------------------------------------------


def test_an_engine_is_taken_as_known_and_stays_its_owners(url: str) -> None:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with json_sql_queue(engine, "q") as queue:
        queue.put({"a": 1})
        assert queue.get() == [("a", 1)]
    with engine.begin() as connection:  # transactions as ever, and none of our connections
        assert not getattr(connection.connection.driver_connection, "autocommit", False)
    engine.dispose()


def test_other_spellings_of_a_url_are_understood(postgres_url: str) -> None:
    rest = postgres_url.partition("://")[2]
    for scheme in ("postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        with SqlQueue.connect(f"{scheme}://{rest}", "spelling") as queue:
            assert queue.sizes()["WAITING"] == 0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("nonsense", "can't be read"),
        ("postgresql://u:secret@h:port/d", "can't be read"),
        ("postgresql://u:se@secret@h/d", "more than one @"),
        ("mysql://u:p@h/d", "not mysql"),
        ("sqlite://", "in memory is gone"),
        ("sqlite:///:memory:", "in memory is gone"),
    ],
)
def test_a_url_that_can_not_be_meant_is_refused(given: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence) as refused:
        SqlQueue.connect(given, "q")
    assert "secret" not in f"{refused.value} {refused.value.remedy}"


@pytest.mark.parametrize("name", ["", "n" * 129])
def test_a_name_that_can_not_be_one_is_refused(sqlite_url: str, name: str) -> None:
    with pytest.raises(BadTask, match=r"name has 1 to 128|1 to 512"):
        SqlQueue.connect(sqlite_url, name)


def test_the_password_is_never_shown(postgres_url: str) -> None:
    password = postgres_url.split(":")[2].partition("@")[0]
    with SqlQueue.connect(postgres_url, "secret") as queue:
        assert password not in json.dumps(queue.description()) + repr(queue)
        assert "***" in str(queue.description()["engine_url"])
    for wrong in (
        postgres_url.replace(password, "swordfish"),
        "postgresql://lab:swordfish@127.0.0.1:1/nowhere",
        "postgresql://lab@127.0.0.1:1/nowhere?password=swordfish",
    ):
        with pytest.raises(StoreUnreachable) as error:
            SqlQueue.connect(wrong, "q")
        assert "swordfish" not in str(error.value) + error.value.remedy


# --- What must not grow -----------------------------------------------------------------------

SEES_ALL = ("Seq Scan", "SCAN lab_tasks", "SCAN t")
PARAMS: dict[str, Any] = {
    "items": json.dumps([{"key": f"t{n}", "body": "1", "done": True} for n in range(20)]),
    "queue": "q",
    "now": 0.0,
    "n": 10,
    "lease_s": 60.0,
    "owner": "me",
    "id": "t7",
    "stage": 1,
    "after": 0,
    "age_s": 0.0,
    "delay_s": 0.0,
    "priority": 0,
    "max_attempts": None,
    "backoff_s": 1.0,
    "gave_up": "",
}
RANGES = {
    "claim": ("lab_tasks_ready", "lab_tasks_wake"),
    "claim_any": ("lab_tasks_ready",),
    "peek": ("lab_tasks_ready",),
    "is_due": ("lab_tasks_wake",),
    "wake_delayed": ("lab_tasks_wake",),
    "end_leases": ("lab_tasks_wake",),
    "purge": ("lab_tasks_settled",),
    "page": ("lab_tasks_stage",),
}
BY_ID = ("settle", "extend", "release", "refuse", "requeue", "find", "standings")


@pytest.mark.parametrize("analysed", [False, True])
def test_each_verb_goes_by_an_index_whatever_the_planner_knows(
    queue: SqlQueue, analysed: bool
) -> None:
    """That is how a million tasks stored cost what none cost: benchmarks.tasks measures it."""
    queue.put({f"t{n}": n for n in range(3_000)})
    queue.get(1_000, lease_s=60)
    if analysed:
        with queue.database.session() as session:
            session.run("ANALYZE", {})
    for name, indexes in {**RANGES, **dict.fromkeys(BY_ID, ())}.items():
        plan = plan_of(queue, name)
        assert not any(words in plan for words in SEES_ALL), f"{name}:\n{plan}"
        assert all(index in plan for index in indexes), f"{name}:\n{plan}"
        if name in BY_ID:
            by_id = ("lab_tasks_pkey", "(queue=? AND id=?)")
            assert any(words in plan for words in by_id), f"{name}:\n{plan}"
            others = ("lab_tasks_stage", "lab_tasks_ready", "lab_tasks_wake")
            assert not any(index in plan for index in others), f"{name}:\n{plan}"


def plan_of(queue: SqlQueue, name: str) -> str:
    statement = getattr(queue._say, name)
    with queue.database.session(writes=True) as session:
        if queue.database.name == "sqlite":
            rows = session.run(f"EXPLAIN QUERY PLAN {statement}", PARAMS)
            return "\n".join(str(row[3]) for row in rows)
        session.run("SET plan_cache_mode = force_generic_plan", {})
        rows = session.connection.execute(f"EXPLAIN {statement}", PARAMS, prepare=True).fetchall()
        return "\n".join(str(row[0]) for row in rows)


# --- The rule, as a condition -----------------------------------------------------------------


def test_the_condition_in_the_statement_is_the_rule_of_all_stores(queue: SqlQueue) -> None:
    """Each way in which a task can stand, and each in which somebody can ask for it."""
    now = datetime.now(UTC)
    ends = {None: None, "before": now - timedelta(hours=1), "after": now + timedelta(hours=1)}
    standings = list(itertools.product(Stage, (None, "me", "you"), ends))
    holds = list(itertools.product((None, "me", "you"), (None, 4, 5)))
    for owner, nth in holds:
        queue.put({f"{n}": n for n in range(len(standings))})
        with queue.database.session(writes=True) as session:
            for n, (stage, of, end) in enumerate(standings):
                at = ends[end]
                wake = at if at is None or queue.database.name == "postgresql" else at.timestamp()
                session.run(
                    queue.database.compiled(
                        """UPDATE lab_tasks SET stage = :stage, owner = :owner, moves = 5,
                        wake = :wake WHERE id = :id"""
                    ),
                    {"stage": int(stage), "owner": of, "wake": wake, "id": f"{n}"},
                )
            asked = [Hold(f"{n}", owner, nth) for n in range(len(standings))]
            said = json.dumps(
                [
                    {"key": h.id, "hand": h.owner, "nth": h.move, "done": True, "words": ""}
                    for h in asked
                ]
            )
            rows = queue._run(session, queue._say.settle, {"items": said})
        allowed = {
            hold.id
            for hold, (stage, of, end) in zip(asked, standings, strict=True)
            if not refusal(hold, Standing(stage, of, 5, ends[end]), Move.SUCCEED, now)
        }
        assert {row[0] for row in rows} == allowed
        with queue.database.session(writes=True) as session:
            session.run("DELETE FROM lab_tasks", {})


# --- Events -----------------------------------------------------------------------------------


class Refusing(SqlEventStore):
    """A store that can't keep what it is given."""

    def add_within(self, session: Any, events: Any) -> None:
        super().add_within(session, events)
        raise StoreUnreachable("The disk of the events is full.")


def test_a_move_and_its_event_are_made_both_or_neither(url: str) -> None:
    with SqlQueue.connect(url, "q") as queue:
        queue.put({"before": 1})
        events = Refusing(queue.database)
        told = with_events(queue, events, "q")
        with pytest.raises(StoreUnreachable, match="events is full"):
            told.put({"a": 1})
        with pytest.raises(StoreUnreachable, match="events is full"):
            told.get()
        assert queue.sizes() == {"WAITING": 1, "PROCESSING": 0, "SUCCESS": 0, "FAIL": 0}
        assert told.events() == []


class Lost(SqlEventStore):
    """A store elsewhere, that does not answer."""

    def _add(self, events: Any) -> None:  # noqa: ARG002
        raise StoreUnreachable("The events are far away.")


def test_what_a_store_elsewhere_was_not_told_is_told_when_it_recovers(
    url: str, sqlite_url: str
) -> None:
    elsewhere = sqlite_url.replace("tasks.db", "events.db")
    SCHEMA.prepare(Database.at(elsewhere))
    with SqlQueue.connect(url, "q") as queue:
        told = with_events(queue, Lost.connect(elsewhere), "q")
        with pytest.raises(StoreUnreachable, match="far away"):
            told.put({"a": 1, "b": 2})
        assert queue.sizes()["WAITING"] == 2
    with SqlQueue.connect(url, "q") as queue, closing(SqlEventStore.connect(elsewhere)) as store:
        told = with_events(queue, store, "q")
        assert told.recover() == 2
        assert told.recover() == 0
        assert replay(told.events()) == {"a": Stage.WAITING, "b": Stage.WAITING}
