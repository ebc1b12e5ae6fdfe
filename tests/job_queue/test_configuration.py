"""The job queue's settings: the known keys and defaults, and strangers refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import labs.job_queue
from labs.broker.address import Address
from labs.errors import BadInput
from labs.job_queue import JobQueue
from labs.job_queue.configuration import Settings
from labs.settings import load, table_of
from labs.waiting import wait_until

ADDRESS = {"messaging.connection_address": "amqp://guest:guest@localhost/%2F"}


def settings(**arguments: Any) -> Settings:
    return load(Settings, arguments=ADDRESS | {"application.name": "My App"} | arguments)


def test_the_defaults_are_the_known_ones() -> None:
    found = settings()

    assert found.job_queue.consumer_group_id == "job_queue_consumer"
    assert found.queue_name == "My_App_job_queue"
    assert found.messaging.topics.job_queue.auto_create is True
    assert found.queue_config == {}  # no retention: work that waits must not vanish


@pytest.mark.parametrize(
    ("application", "queue"),
    [
        ("My App", "My_App_job_queue"),
        ("my-app_2", "my-app_2_job_queue"),
        ("Zoë's  big   app!", "Zos_big_app_job_queue"),
    ],
)
def test_the_queues_name_is_derived_from_the_applications(application: str, queue: str) -> None:
    assert settings(**{"application.name": application}).queue_name == queue


@pytest.mark.parametrize("application", [None, "", "!!!", "   "])
def test_a_queue_that_has_no_name_is_refused(application: str | None) -> None:
    with pytest.raises(BadInput, match="No queue or topic can be named") as caught:
        _ = settings(**{"application.name": application}).queue_name
    assert "application.name" in caught.value.remedy


def test_the_queues_own_name_wins() -> None:
    found = settings(**{"application.name": None, "messaging.topics.job_queue.name": "mine"})
    assert found.queue_name == "mine"


def test_they_come_from_a_file_the_environment_and_arguments(tmp_path: Path) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text(
        "application: {name: filed}\n"
        "messaging:\n"
        "  connection_address: amqp://one, amqp://two\n"
        "  topics: {job_queue: {config: {x-queue-type: classic}, auto_create: false}}\n"
    )
    found = load(
        Settings,
        file=file,
        environ={"LABS_JOB_QUEUE__WORKERS": "8", "LABS_APPLICATION__NAME": "env"},
        arguments={"job_queue.grace_s": 2},
    )

    assert found.queue_name == "env_job_queue"
    assert found.addresses == ["amqp://one", "amqp://two"]
    assert found.queue_config == {"x-queue-type": "classic"}
    assert found.messaging.topics.job_queue.auto_create is False
    assert (found.job_queue.workers, found.job_queue.grace_s) == (8, 2.0)


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("job_queue.consumer_group", "job_queue.consumer_group_id"),
        ("messaging.topics.job_queue.num_partitions", ""),
        ("messaging.topic.job_queue.name", ""),
        ("bootstrap.job_queue.service_enabled", ""),
    ],
)
def test_a_key_that_is_not_known_is_refused_by_name(key: str, near: str) -> None:
    first = key if key.startswith(("job_queue", "messaging.topics")) else key.split(".")[0]
    with pytest.raises(BadInput, match=first.replace(".", r"\.")) as caught:
        settings(**{key: 1})
    assert near in caught.value.remedy


@pytest.mark.parametrize("key", ["retention.ms", "file.delete.delay.ms"])
def test_a_setting_of_kafkas_is_refused_since_it_would_do_nothing(key: str) -> None:
    found = settings(**{"messaging.topics.job_queue.config": {key: 60000}})
    with pytest.raises(BadInput, match=key) as caught:
        _ = found.queue_config
    assert "x-message-ttl" in caught.value.remedy


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("job_queue.workers", 0),
        ("job_queue.first_pause_s", -1),
        ("job_queue.grace_s", "soon"),
        ("job_queue.grace_s", float("inf")),
        ("messaging.topics.job_queue.auto_create", "perhaps"),
        ("messaging.connection_address", ""),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_its_key(key: str, value: object) -> None:
    with pytest.raises(BadInput, match=key.replace(".", r"\.")):
        settings(**{key: value})


def test_where_the_broker_is_must_be_said() -> None:
    with pytest.raises(BadInput, match=r"messaging\.connection_address is missing"):
        load(Settings, arguments={"application.name": "x"})


def test_the_brokers_password_is_not_in_what_is_printed() -> None:
    assert "amqp" not in repr(settings())


def test_the_packages_page_has_the_table_of_the_settings() -> None:
    assert labs.job_queue.__doc__ is not None
    assert table_of(Settings) in labs.job_queue.__doc__


def test_a_queue_is_made_of_the_settings(vhost: Address) -> None:
    found = load(
        Settings,
        arguments={
            "messaging.connection_address": vhost.url,
            "application.name": "Made",
            "messaging.topics.job_queue.config": {"x-queue-type": "classic"},
        },
    )
    with JobQueue.from_settings(found) as queue:
        queue.queue_job({"job_type": "a"})

        assert queue.name == "Made_job_queue"
        assert queue.counts().ready == 1


@pytest.mark.parametrize("kind", ["quorum", "classic"])
def test_retention_that_was_asked_for_puts_old_jobs_among_the_failed(
    vhost: Address, kind: str
) -> None:
    found = load(
        Settings,
        arguments={
            "messaging.connection_address": vhost.url,
            "application.name": "Old",
            "messaging.topics.job_queue.config": {"x-message-ttl": 50, "x-queue-type": kind},
        },
    )
    with JobQueue.from_settings(found) as queue:
        queue.queue_job({"job_type": "a", "job_id": "late"})
        wait_until(lambda: queue.counts().failed == 1, 30)

        assert queue.failed.list()[0].job_id == "late"
