"""The small parts: ports, private files, addresses, the word left in `.labs/`."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from labs.broker import ports, state
from labs.broker.address import Address, parse_amqp_url
from labs.broker.files import read_json, write_private
from labs.broker.state import FoundBroker, Source
from labs.errors import BadInput


def test_a_port_in_use_on_any_address_is_not_free() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 - that is the point
        taken = server.getsockname()[1]

        assert not ports.is_free(taken)
        assert ports.free_port([taken]) != taken
        assert ports.holder(taken).endswith(f"process {os.getpid()}")


def test_the_preferred_port_is_taken_where_it_is_free() -> None:
    free = ports.free_port()

    assert free < 32768
    assert ports.free_port([free]) == free
    assert ports.free_port([free], avoid=[free]) != free


def test_a_private_file_is_replaced_whole_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "secret"
    write_private(path, "one")
    path.chmod(0o644)

    write_private(path, "two")

    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "{torn", "[1]", "\x00\xff"])
def test_a_file_that_can_not_be_read_counts_as_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(text)

    assert read_json(tmp_path / "f") == {}
    assert read_json(tmp_path / "nosuch") == {}


def test_what_is_left_word_of_is_recalled(labs_home: Path) -> None:
    found = FoundBroker(
        Address("h", 1, "a/b", "u ser", "p:@/%w", management_url="http://h:2"), Source.DOCKER
    )

    state.remember(found)

    assert state.recall() == found
    assert (labs_home / "amqp-url").read_text() == found.address.url + "\n"
    for name in ("amqp-url", "state.json"):
        assert stat.S_IMODE((labs_home / name).stat().st_mode) == 0o600
    state.forget()
    assert state.recall() is None
    assert not (labs_home / "amqp-url").exists()


@pytest.mark.parametrize(
    "text", ["{", '{"source": "native"}', '{"source": "x", "url": "amqp://h"}']
)
def test_word_that_can_not_be_read_is_no_word(labs_home: Path, text: str) -> None:
    labs_home.mkdir(parents=True)
    (labs_home / "state.json").write_text(text)

    assert state.recall() is None


@pytest.mark.parametrize(
    ("text", "vhost"),
    [
        ("amqp://h", "/"),
        ("amqp://h/", "/"),
        ("amqp://h/%2F", "/"),
        ("amqp://h/ann", "ann"),
        ("amqp://h/a%2Fb", "a/b"),
    ],
)
def test_a_vhost_is_read_from_a_url(text: str, vhost: str) -> None:
    assert parse_amqp_url(text).vhost == vhost


def test_a_url_is_read_back_as_it_was_written() -> None:
    address = Address("::1", 5671, "ü/ %", "an n@", "pw:/?#[]@%", tls=True)

    assert parse_amqp_url(address.url) == address
    assert "pw" not in address.shown
    assert "pw" not in repr(address)


@pytest.mark.parametrize(
    "text",
    ["", "http://h", "amqp://", "amqp://u:secret@h:port/", "amqp://u:secret@h/a/b", "h:5672"],
)
def test_what_is_no_url_is_refused_without_repeating_the_password(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_amqp_url(text)

    assert "secret" not in f"{caught.value} {caught.value.remedy}"
