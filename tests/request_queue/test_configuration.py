"""The settings: known keys and defaults, the topics' names, strangers refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.errors import BadInput
from labs.request_queue import DriverSettings, open_log
from labs.settings import load, table_of

KNOWN = """
resource_driver:
  lifecycle_request_queue:
    enabled: True
    group_id: ald_request_queue
    max_poll_interval_ms: 60000
    topic:
      auto_create: True
      num_partitions: 7
      replication_factor: 2
      config:
        retention.ms: 3600000
        message.timestamp.difference.max.ms: 3600000
    failed_topic:
      auto_create: True
      num_partitions: 3
      replication_factor: 2
messaging:
  connection_address: kafka:9092
  config:
    security.protocol: sasl_ssl
"""


def named(**arguments: str) -> DriverSettings:
    return load(
        DriverSettings,
        arguments={key.replace("__", "."): value for key, value in arguments.items()},
    )


def test_the_defaults_are_the_known_ones() -> None:
    queue = DriverSettings().queue
    assert queue.enabled is False
    assert queue.group_id == "request_queue_consumer"
    assert queue.max_poll_interval_ms == 2_700_000
    topic, failed = DriverSettings().topic, DriverSettings().failed_topic
    assert (topic.num_partitions, topic.replication_factor) == (20, 1)
    assert (failed.num_partitions, failed.replication_factor) == (1, 1)
    assert queue.topic.auto_create
    assert queue.failed_topic.auto_create
    assert queue.processed_retention_s == 3600, "processed requests are kept for an hour"
    assert DriverSettings().responses_topic.name == "lm_vnfc_lifecycle_execution_events"


def test_a_known_settings_file_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "settings.yml"
    file.write_text(KNOWN)
    settings = load(DriverSettings, file=file)
    assert settings.queue.enabled
    assert settings.queue.group_id == "ald_request_queue"
    assert settings.topic.num_partitions == 7
    assert settings.topic.config == {
        "retention.ms": "3600000",
        "message.timestamp.difference.max.ms": "3600000",
    }
    assert (settings.failed_topic.num_partitions, settings.failed_topic.replication_factor) == (
        3,
        2,
    )
    assert settings.connection_address == "kafka:9092"


def test_work_waits_for_ever_unless_a_retention_is_asked_for() -> None:
    assert DriverSettings().topic.config["retention.ms"] == "-1"
    assert DriverSettings().failed_topic.config["retention.ms"] == "-1"
    with_another = load(
        DriverSettings,
        environ={
            "LABS_RESOURCE_DRIVER__LIFECYCLE_REQUEST_QUEUE__TOPIC__CONFIG": "{max.message.bytes: 1}"
        },
    )
    assert with_another.topic.config == {"retention.ms": "-1", "max.message.bytes": "1"}


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("driver", "driver"),
        ("My  Ansible   Driver", "My_Ansible_Driver"),
        ("a/b:c*d", "abcd"),
        (" x-y_z ", "x-y_z"),
    ],
)
def test_the_topics_are_named_after_the_application(name: str, begins: str) -> None:
    settings = named(application__name=name)
    assert settings.topic.name == f"{begins}_lifecycle_request_queue"
    assert settings.failed_topic.name == f"{begins}_lifecycle_request_failed_queue"


def test_an_application_whose_name_gives_none_is_refused_with_a_sentence() -> None:
    with pytest.raises(BadInput, match="No queue or topic can be named"):
        _ = named(application__name="!?").topic


def test_a_failed_topic_that_is_not_named_is_named_after_the_topic() -> None:
    queue = "resource_driver__lifecycle_request_queue"
    assert named(**{f"{queue}__topic__name": "orders"}).failed_topic.name == "orders_failed_queue"
    assert named(**{f"{queue}__topic__name": "my_queue"}).failed_topic.name == "my_failed_queue"
    both = named(**{f"{queue}__topic__name": "orders", f"{queue}__failed_topic__name": "bad"})
    assert both.failed_topic.name == "bad"


def test_an_unknown_key_is_refused_by_name_and_the_near_one_proposed() -> None:
    with pytest.raises(BadInput, match=r"lifecycle_request_queue\.enable ") as refused:
        named(resource_driver__lifecycle_request_queue__enable="true")
    assert "lifecycle_request_queue.enabled" in refused.value.remedy


def test_a_value_that_is_not_of_its_kind_is_refused_by_the_name_of_its_key() -> None:
    with pytest.raises(BadInput, match=r"topic\.num_partitions"):
        named(resource_driver__lifecycle_request_queue__topic__num_partitions="0")


def test_the_environment_can_say_all_of_it() -> None:
    settings = load(
        DriverSettings,
        environ={
            "LABS_RESOURCE_DRIVER__LIFECYCLE_REQUEST_QUEUE__ENABLED": "true",
            "LABS_MESSAGING__CONNECTION_ADDRESS": "kafka:9092",
            "LABS_MESSAGING__CONFIG": "{sasl.username: me, ssl.ca.location: /ca.pem}",
        },
    )
    assert settings.queue.enabled
    assert settings.messaging.config == {"sasl.username": "me", "ssl.ca.location": "/ca.pem"}


def test_a_log_without_an_address_is_refused_with_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"messaging\.connection_address is missing"):
        open_log(DriverSettings())


def test_a_setting_that_a_promise_hangs_on_is_not_to_be_chosen() -> None:
    settings = load(
        DriverSettings,
        arguments={"messaging.connection_address": "127.0.0.1:1"},
        environ={"LABS_MESSAGING__CONFIG": "{acks: 1}"},
    )
    with pytest.raises(BadInput, match="acks"):
        open_log(settings)


def test_every_key_has_a_meaning_in_the_table() -> None:
    rows = table_of(DriverSettings).splitlines()[2:]
    assert len(rows) > 20
    assert all(row.split("|")[-2].strip() for row in rows)
