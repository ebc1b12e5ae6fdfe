"""Settings: which source wins, what is refused in words, and that no secret is ever shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from labs.errors import BadInput
from labs.task_queue.client import ApiClient
from labs.task_queue.configuration import (
    QueueKind,
    TaskQueueSettings,
    WorkerKind,
    load_settings,
    open_queue,
    open_to_serve,
    open_url,
    table,
    validate_args,
)
from labs.task_queue.events import Event, MemoryEventStore
from labs.task_queue.events_queue import EventQueue, with_events
from labs.task_queue.memory import MemoryQueue
from labs.task_queue.replay import replay
from labs.task_queue.sql import SqlQueue
from labs.task_queue.stages import Stage
from tests.task_queue.s3 import S3Place

SECRET = "hunter2"
ACCESS = {
    "endpoint_url": "FSSPEC_S3_ENDPOINT_URL",
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
}
"""How an S3 store is reached: the arguments' names and the variables'."""


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.lower() in str(TaskQueueSettings.model_fields) or "TASK_QUEUE" in name:
            monkeypatch.delenv(name)


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    file = tmp_path / "queue.env"
    file.write_text(
        "queue_implementation=sql-json\n"
        f"SQL_QUEUE_CONNECTION_STRING=postgresql://dotenv:{SECRET}@db/tasks\n"
        "Sql_Queue_Name=from the file\n"
        "PROCESSING_LIMIT=3\n"
        "SOMETHING_ELSE=1\n"
    )
    return file


def test_a_flag_wins_over_the_environment_that_over_the_file_that_over_the_default(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().processing_limit == 10
    assert load_settings(dotenv).processing_limit == 3
    monkeypatch.setenv("processing_limit", "4")
    assert load_settings(dotenv).processing_limit == 4
    assert load_settings(dotenv, processing_limit=5).processing_limit == 5


def test_it_does_so_whichever_of_its_names_a_setting_has(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTION_STRING", "sqlite:///environment")
    assert load_settings(dotenv).database_url() == "sqlite:///environment"
    monkeypatch.setenv("SQL_QUEUE_CONNECTION_STRING", "sqlite:///known")
    assert load_settings(dotenv).database_url() == "sqlite:///known"
    given = load_settings(dotenv, connection_string="sqlite:///flag")
    assert given.database_url() == "sqlite:///flag"


def test_the_file_may_be_named_by_the_environment(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASK_QUEUE_CONFIG_PATH", str(dotenv))
    settings = load_settings()
    assert (settings.kind, settings.queue_name) == (QueueKind.SQL_JSON, "from the file")


def test_a_file_that_is_not_there_is_said_and_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read: No such file"):
        load_settings(tmp_path / "nowhere.env")


def test_postgresql_in_parts_keeps_the_port_and_any_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for part, value in {
        "HOSTNAME": "db",
        "PORT": "6543",
        "USER": "me",
        "PASSWORD": "p@ss/w:rd %",
        "DATABASE": "tasks",
    }.items():
        monkeypatch.setenv(f"SQL_QUEUE_POSTGRES_{part}", value)
    from sqlalchemy import make_url

    url = make_url(load_settings().database_url())

    assert (url.host, url.port, url.username, url.database) == ("db", 6543, "me", "tasks")
    assert url.password == "p@ss/w:rd %"


def test_no_secret_is_in_a_repr_an_error_or_a_table(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASK_QUEUE_TOKEN", SECRET)
    monkeypatch.setenv("SQL_QUEUE_POSTGRES_PASSWORD", SECRET)
    settings = load_settings(dotenv)
    assert SECRET in settings.database_url()
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {table()}"
    monkeypatch.setenv("TASK_QUEUE_PORT", SECRET)
    with pytest.raises(BadInput, match="TASK_QUEUE_PORT is not right") as refused:
        load_settings(dotenv)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"queue_implementation": "sql-json"}, "SQL_QUEUE_POSTGRES_HOSTNAME"),
        ({"connection_string": "sqlite:///x"}, "SQL_QUEUE_NAME is missing"),
        ({"queue_implementation": "s3-json"}, "S3_QUEUE_BASE_PATH is missing"),
        ({"queue_implementation": "in-memory", "with_queue_events": True}, "need a store"),
    ],
)
def test_what_a_queue_still_needs_is_said_by_its_name(flags: dict[str, str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        open_queue(load_settings(**flags))


def test_the_queue_of_the_settings_is_opened(tmp_path: Path) -> None:
    file = f"sqlite:///{tmp_path / 'tasks.db'}"
    named = {"connection_string": file, "queue_name": "orders"}
    events = {
        "with_queue_events": True,
        "event_store_implementation": "sql-json",
        "add_to_queue_event_name": "ADDED",
        "move_queue_event_name": "MOVED",
    }
    with open_queue(load_settings(queue_implementation="in-memory")) as queue:
        assert isinstance(queue, MemoryQueue)
    with open_queue(load_settings(**named)) as queue:
        assert isinstance(queue, SqlQueue)
        assert queue.name == "orders"
    with open_queue(load_settings(**named, **events)) as queue:
        queue.put({"a": 1})
        assert queue.description()["implementation"] == "event"


def test_who_serves_tells_first_of_what_a_crash_has_kept_from_being_told(
    s3_place: S3Place, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying(MemoryEventStore):
        def _add(self, events: Sequence[Event]) -> None:
            raise KeyboardInterrupt(events)

    with s3_place.open() as stored:
        names = {"add_event_name": "added", "move_event_name": "moved"}
        with pytest.raises(KeyboardInterrupt):
            with_events(stored, Dying(), **names).put({"a": 1})
    for name, value in s3_place.access.items():
        monkeypatch.setenv(ACCESS[name], value)
    settings = load_settings(
        s3_base_path=s3_place.base_path,
        queue_implementation="s3-json",
        connection_string=sqlite_url,
        with_queue_events=True,
        event_store_implementation="sql-json",
        add_to_queue_event_name="added",
        move_queue_event_name="moved",
    )
    with open_to_serve(settings) as queue:
        assert isinstance(queue, EventQueue)
        assert replay(queue.events()) == {"a": Stage.WAITING}


def test_a_url_means_a_server_or_a_database(tmp_path: Path) -> None:
    with open_url("localhost:8080") as queue:
        assert isinstance(queue, ApiClient)
    with open_url(f"sqlite:///{tmp_path / 'tasks.db'}") as queue:
        assert isinstance(queue, SqlQueue)


NOTHING = {
    "worker_interface": None,
    "queue_implementation": "in-memory",
    "event_store_implementation": "none",
    "with_queue_events": False,
}


@pytest.mark.parametrize(
    ("arguments", "fits", "words"),
    [
        ({}, True, ""),
        ({"queue_implementation": QueueKind.S3_JSON}, False, "s3_base_path"),
        ({"queue_implementation": "s3-json", "s3_base_path": "s3://b/p"}, True, ""),
        ({"queue_implementation": "sql-json", "queue_name": "q"}, False, "connection_string"),
        ({"worker_interface": WorkerKind.ARGO, "endpoint": "u"}, False, "namespace"),
        ({"worker_interface": "process"}, False, "path_to_scripts"),
        ({"event_store_implementation": "sql-json"}, False, "add_to_queue_event_name"),
        ({"with_queue_events": True}, False, "event_store_implementation must be set"),
    ],
)
def test_arguments_that_do_not_belong_together_are_told_as_known(
    arguments: dict[str, object], fits: bool, words: str
) -> None:
    ok, text = validate_args(NOTHING | arguments)

    assert ok is fits
    assert words in text
    assert bool(text) is not fits


def test_the_table_has_each_setting_once_and_says_what_it_means() -> None:
    rows = [re.split(r"\s*\|\s*", row.strip("| ")) for row in table().splitlines()[2:]]

    assert len(rows) == len(TaskQueueSettings.model_fields)
    assert len({row[0] for row in rows}) == len(rows)
    assert all(row[-1] for row in rows)
    assert "`SQL_QUEUE_CONNECTION_STRING`" in {row[0] for row in rows}
