"""Settings come from a file, the environment and arguments, and strangers are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from labs.errors import BadInput
from labs.settings import Section, load, table_of


class Topic(Section):
    name: str | None = Field(default=None, description="the queue's name")
    auto_create: bool = Field(default=True, description="make it if it is not there")
    config: dict[str, int] = Field(default_factory=dict, description="passed on")


class Messaging(Section):
    connection_address: str = Field(description="where the broker is")
    topic: Topic = Topic()


class Model(Section):
    messaging: Messaging


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lab.yaml"
    path.write_text("messaging:\n  connection_address: amqp://file\n  topic: {name: file}\n")
    return path


def test_a_later_source_wins_key_by_key(file: Path) -> None:
    settings = load(
        Model,
        file=file,
        environ={"LABS_MESSAGING__TOPIC__NAME": "environment", "LABS_HOME": "/somewhere"},
        arguments={"messaging.connection_address": "amqp://argument"},
    )
    assert settings.messaging.topic.name == "environment"
    assert settings.messaging.connection_address == "amqp://argument"
    assert settings.messaging.topic.auto_create is True


def test_values_of_the_environment_are_written_as_in_yaml(file: Path) -> None:
    environ = {
        "LABS_MESSAGING__TOPIC__AUTO_CREATE": "false",
        "LABS_MESSAGING__TOPIC__CONFIG": "{retention.ms: 60000}",
    }
    topic = load(Model, file=file, environ=environ).messaging.topic
    assert (topic.auto_create, topic.config) == (False, {"retention.ms": 60000})


def test_an_unknown_key_of_the_file_is_refused_with_its_name_and_the_nearest_known(
    tmp_path: Path,
) -> None:
    path = tmp_path / "slip.yaml"
    path.write_text("messaging: {connection_address: x, topic: {auto_creat: false}}")
    with pytest.raises(BadInput, match=r"messaging\.topic\.auto_creat .*slip\.yaml") as caught:
        load(Model, file=path)
    assert caught.value.remedy == "Did you mean messaging.topic.auto_create?"


def test_an_unknown_key_of_the_environment_is_refused_by_its_variable(file: Path) -> None:
    with pytest.raises(BadInput, match="LABS_MESSAGING__TOPICS__NAME"):
        load(Model, file=file, environ={"LABS_MESSAGING__TOPICS__NAME": "x"})


def test_an_unknown_argument_is_refused(file: Path) -> None:
    with pytest.raises(BadInput, match=r"messaging\.nothing"):
        load(Model, file=file, arguments={"messaging.nothing": 1})


def test_a_missing_key_says_how_to_set_it() -> None:
    with pytest.raises(BadInput, match=r"messaging\.connection_address is missing") as caught:
        load(Model, arguments={"messaging.topic.name": "x"})
    assert "LABS_MESSAGING__CONNECTION_ADDRESS" in caught.value.remedy


def test_a_missing_section_says_which_of_its_keys_is_needed() -> None:
    with pytest.raises(BadInput, match=r"messaging\.connection_address is missing"):
        load(Model)


def test_a_value_of_the_wrong_kind_is_refused_with_its_key(file: Path) -> None:
    with pytest.raises(BadInput, match=r"messaging\.topic\.auto_create"):
        load(Model, file=file, environ={"LABS_MESSAGING__TOPIC__AUTO_CREATE": "perhaps"})


@pytest.mark.parametrize("text", ["- a list", "just words", "a: [1", "\tx: 1"])
def test_a_file_that_holds_no_keys_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"bad\.yaml"):
        load(Model, file=path)


def test_a_file_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        load(Model, file=tmp_path / "none.yaml")


def test_the_table_has_each_key_with_its_default_and_meaning() -> None:
    assert table_of(Model).splitlines()[2:] == [
        "| `messaging.connection_address` | required | where the broker is |",
        "| `messaging.topic.name` |  | the queue's name |",
        "| `messaging.topic.auto_create` | `true` | make it if it is not there |",
        "| `messaging.topic.config` | `{}` | passed on |",
    ]
