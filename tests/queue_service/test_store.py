"""The store: its tables, its plans with many rows, its secrets, and a store that goes away."""

# ruff: noqa: S608 - put together of our own words alone

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from labs.errors import BadInput
from labs.queue_service.messages import State
from labs.queue_service.operations import Claim, Find, GetStats, ListMessages, Tick
from labs.queue_service.service import QueueService
from labs.queue_service.store import Store
from labs.queue_service.store_tables import STEPS
from labs.task_queue.errors import BadTask, StoreUnfit, StoreUnreachable
from labs.task_queue.local_postgres import LocalPostgres
from labs.task_queue.sql_database import Database
from labs.waiting import wait_until
from tests.queue_service.grounds import TIMEOUT_S, Ground, ack, claim, claim_one, put, state

ROWS = 100_000


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of either kind."""
    wanted = {"sqlite": "sqlite_url", "postgres": "fresh_database"}[request.param]
    return str(request.getfixturevalue(wanted))


# --- The tables ---------------------------------------------------------------------------------


def test_the_tables_are_made_by_whoever_comes_first_and_keep_what_is_in_them(url: str) -> None:
    with QueueService.at(url) as service:
        put(service, 1, 1)
    with QueueService.at(url) as service:
        assert state(service, 1) is State.QUEUED
        database = service.store.database
        with database.session() as session:
            ((version,),) = session.run("SELECT version FROM lab_build_schema", {})
        assert version == len(STEPS[database.name])


def test_tables_of_a_newer_program_are_refused_and_left_alone(url: str) -> None:
    with QueueService.at(url) as service, service.store.database.session(writes=True) as session:
        session.run("UPDATE lab_build_schema SET version = 99", {})
    with pytest.raises(StoreUnfit, match="version 99; this program knows versions up to") as error:
        QueueService.at(url)
    assert "Update this program" in error.value.remedy


def test_queues_of_other_names_share_the_tables_and_nothing_else(url: str) -> None:
    with QueueService.at(url, "one") as one, QueueService.at(url, "two") as two:
        put(one, 1, 7)
        claim_one(one)
        assert put(two, 1, 7).state is State.QUEUED
        assert two.call(GetStats()).counts[State.RUNNING] == 0
        assert [message.id for message in two.call(ListMessages()).messages] == ["1"]


def test_what_can_not_be_meant_is_refused(sqlite_url: str) -> None:
    with pytest.raises(BadInput, match="not mysql"):
        QueueService.at("mysql://u:p@h/d")
    with pytest.raises(BadTask, match="1 to 128 characters"):
        QueueService.at(sqlite_url, "n" * 200)
    with pytest.raises(BadTask, match="no / in its name"):  # or gpu of one/two were two/gpu of one
        QueueService.at(sqlite_url, "one/two")


def test_no_password_is_shown(postgres_url: str) -> None:
    password = postgres_url.split(":")[2].partition("@")[0]
    with QueueService.at(postgres_url, "secret") as service:
        assert password not in repr(service)
    with pytest.raises(StoreUnreachable) as error:
        QueueService.at("postgresql://lab:swordfish@127.0.0.1:1/nowhere")
    assert "swordfish" not in str(error.value) + error.value.remedy


# --- What must not grow -------------------------------------------------------------------------

PARAMS: dict[str, Any] = {
    "job_id": 1,
    "n": 100,
    "at": 1.0,
    "until": 1.0,
    "now": 1.0,
    "line": "q",
    "after": 50_000,
    "state": "queued",
    "cluster": "gpu",
}
BY_NUMBER = ("jobs", "ends", "waited_for", "forget_jobs", "newest")
SMALL = (
    *("schedule", "due_schedule", "delete_schedule", "put_", "ran", "sample", "forget_samples"),
    *("clusters", "count", "forget_counts", "insert", "save_", "oldest"),
)
"""Statements on tables that stay small, those that only add, and one that looks at a few rows."""
SEES_ALL = ("Seq Scan", "SCAN lab_builds", "SCAN lab_tasks", "SCAN b", "SCAN t")
HALF = ("Index Cond: (queue = 'q'::text)\n", "(queue=?)\n")
"""An index of which only the queue is used: all of it."""
RANGES = ("begin", "to_look_at", "first_in_line", "waking", "forget_keys")
"""They take the first of an index."""


def fill(store: Store) -> None:
    """Many messages that can be claimed, as fast as the database can."""
    is_sqlite = store.database.name == "sqlite"
    numbers = f"WITH s(n) AS (SELECT * FROM generate_series(1, {ROWS}))"
    text, when, seq, place = "n::text", "now()", ", seq", ", nextval('lab_tasks_line')"
    if is_sqlite:
        numbers = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE "
        numbers += f"n < {ROWS})"
        text, when, seq, place = "CAST(n AS text)", str(time.time()), "", ""
    rows = {
        "lab_builds (queue, id, seq, build_id, job_id, job_name, number, state, cluster, line, "
        "blocked_by, collapse, blocks_self, virtual, enqueued_at, due)": f"""'q', {text}, n, n, n,
            '', n, 'queued', '', 'q', '[]', 1, 1, 0, 0.0, 0.0""",
        "lab_tasks (queue, id, priority, stage, due, moves, attempts, backoff_s, put_at, body, "
        f"reason{seq})": f"""'q', {text}, 0, 0, {when}, 1, 0, 1, {when}, '{{}}', ''{place}""",
        "lab_build_jobs (queue, job_id, running, queued, blocked, frozen, last_number, last_id, "
        "top_number, waking)": "'q', n, 0, 1, 0, 0, -1, '', n, 0",
    }
    with store.transaction() as (session, _, _):
        for table, values in rows.items():
            session.run(f"{numbers} INSERT INTO {table} SELECT {values} FROM s", {})
        session.run(f"INSERT INTO lab_build_counts VALUES ('q', '', 'queued', {ROWS})", {})


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def full(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QueueService]:
    """A queue with many messages, of which the planner has heard nothing yet."""
    if request.param == "sqlite":
        with QueueService.at(f"sqlite:///{tmp_path_factory.mktemp('full')}/q.db", "q") as service:
            fill(service.store)
            yield service
        return
    server, name = request.getfixturevalue("postgres_url"), f"full_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE {name}")
        with QueueService.at(f"{server.rpartition('/')[0]}/{name}", "q") as service:
            fill(service.store)
            yield service
        administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_each_statement_goes_by_an_index_with_many_rows(full: QueueService) -> None:
    store = full.store
    for name, text in vars(store.say).items():
        if name.startswith(SMALL):
            continue
        plan = plan_of(store, name, text)
        assert not any(words in plan for words in SEES_ALL), f"{name}:\n{plan}"
        if name not in RANGES:
            assert not any(words in plan for words in HALF), f"{name}:\n{plan}"
    for kind, text in store._pages.items():
        plan = plan_of(store, "page", text)
        by_index = ("SEARCH b USING INDEX lab_builds", "Backward using lab_builds")
        assert any(words in plan for words in by_index), f"{kind}:\n{plan}"
        assert "Sort" not in plan, f"{kind}:\n{plan}"


def plan_of(store: Store, name: str, text: str) -> str:
    """How the database would go about it."""
    keys: list[Any] = list(range(20)) if name in BY_NUMBER else [str(n) for n in range(20)]
    said = {"queue": "q", "items": json.dumps([{"key": key} for key in keys])}
    with store.database.session(writes=True) as session:
        if store.database.name == "sqlite":
            rows = session.run(f"EXPLAIN QUERY PLAN {text}", PARAMS | said)
            return "\n".join(str(row[3]) for row in rows) + "\n"
        session.run("SET plan_cache_mode = force_generic_plan", {})
        rows = session.connection.execute(f"EXPLAIN {text}", PARAMS | said, prepare=True).fetchall()
        return "\n".join(str(row[0]) for row in rows) + "\n"


def test_a_full_queue_is_worked_on_like_an_empty_one(full: QueueService) -> None:
    """Not timed: whoever goes through all rows a verb does not end within the deadline."""
    begin = time.monotonic()
    for n in range(50):
        put(full, ROWS + n + 1, ROWS + n + 1)
        full.call(Find(id=str(ROWS)))
        ack(full, claim_one(full))
    counts = full.call(GetStats()).counts
    assert (counts[State.QUEUED], counts[State.DONE]) == (ROWS, 50)
    assert time.monotonic() - begin < TIMEOUT_S


# --- A store that goes away ---------------------------------------------------------------------


def test_a_store_that_comes_back_is_used_again_by_the_same_service(
    own_postgres: LocalPostgres,
) -> None:
    with closing(Ground(own_postgres.url, "builds")) as ground:
        service = ground.open().start_ticking()
        put(service, 1, 1)
        with ThreadPoolExecutor() as pool:
            waited = pool.submit(claim, service, cluster="gpu", wait_s=10 * TIMEOUT_S)
            wait_until(lambda: len(service._kept) == 1, TIMEOUT_S)
            own_postgres.stop()
            with pytest.raises(StoreUnreachable):
                waited.result(TIMEOUT_S)
        with pytest.raises(StoreUnreachable):
            put(service, 2, 2)
        with pytest.raises(StoreUnreachable):
            service.call(Find(id="1"))
        with pytest.raises(StoreUnreachable):
            service.ready()
        with pytest.raises(StoreUnreachable):
            service.call(Claim(owner="w", wait_s=TIMEOUT_S))
        own_postgres.start()
        wait_until(lambda: _is_ready(service), TIMEOUT_S)
        assert put(service, 2, 2).created
        assert claim(service, cluster="gpu", wait_s=0.1) == []
        assert [one.id for one in claim(service, 5)] == ["1", "2"]


def _is_ready(service: QueueService) -> bool:
    try:
        service.ready()
        put(service, 1, 1)
    except StoreUnreachable:
        return False
    return True


def test_what_was_answered_is_there_after_a_crash_of_the_store(
    own_postgres: LocalPostgres,
) -> None:
    with closing(Ground(own_postgres.url, "builds")) as ground:
        service = ground.open()
        answered = [put(service, build, build).id for build in range(1, 30)]
        own_postgres.crash()
        own_postgres.start()
        wait_until(lambda: _is_ready(service), TIMEOUT_S)
        assert [one.id for one in claim(service, 50)] == answered


def test_an_instance_that_stands_still_in_its_transaction_holds_up_the_others_for_a_while_only(
    postgres_ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.queue_service.store.IDLE_S", 1)
    still, other = postgres_ground.open(), postgres_ground.open()

    def stand_still() -> None:
        with still.store.transaction() as (session, _, _):
            assert put(other, 1, 1).created
            session.run("SELECT 1", {})

    with pytest.raises(StoreUnreachable):
        stand_still()


def test_a_file_that_can_not_be_written_is_said_to_be_so(sqlite_url: str) -> None:
    with pytest.raises(StoreUnfit, match="can't be opened"):
        QueueService.at(sqlite_url.replace("tasks.db", "no/such/folder.db"))


def test_keeping_for_no_time_at_all_forgets_at_once(sqlite_ground: Ground) -> None:
    service = sqlite_ground.open(keep=timedelta())
    put(service, 1, 1)
    ack(service, claim_one(service))
    service.call(Tick())
    assert service.call(ListMessages()).messages == []


def test_the_database_stays_one_for_all_lines(sqlite_ground: Ground) -> None:
    service = sqlite_ground.open()
    assert isinstance(service.store.line("gpu").database, Database)
    assert service.store.line("gpu").database is service.store.database
