"""Logging in and counting, against a real broker."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labs.broker.address import Address
from labs.broker.connection import connected, count, log_in
from labs.broker.management import Management
from labs.errors import BrokerUnreachable, ManagementFailed
from tests import support


def test_a_login_tells_what_the_broker_says_of_itself(vhost: Address) -> None:
    facts = log_in(vhost)

    assert facts.product == "RabbitMQ"
    assert facts.version[0] in "34"
    assert facts.heartbeat_s > 0


def test_a_wrong_password_is_said_in_words_and_not_repeated(vhost: Address) -> None:
    with pytest.raises(BrokerUnreachable) as caught:
        log_in(replace(vhost, password="topsecret"))

    assert "password" in f"{caught.value} {caught.value.remedy}".lower()
    assert "topsecret" not in f"{caught.value} {caught.value.remedy}"


def test_a_queue_is_counted_at_once_and_a_missing_one_is_none(vhost: Address) -> None:
    support.declare(vhost, "hello")
    support.publish(vhost, "hello", ["a", "b", "c"])

    with connected(vhost) as broker:
        assert count(broker, "hello") is not None
        assert count(broker, "nosuch") is None
        found = count(broker.channel(), "hello")

    assert found is not None
    assert (found.ready, found.consumers) == (3, 0)


def test_the_management_api_makes_and_removes(broker: Address) -> None:
    with Management(broker) as management:
        management.create_vhost("a/b c")
        management.create_user("ann", "pw", tags="management")
        management.set_permissions("ann", "a/b c", read="^x")
        assert management.permissions("ann")[0]["read"] == "^x"
        management.delete_vhost("a/b c")
        management.delete_vhost("a/b c")
        management.delete_user("ann")
        assert all(found["name"] != "a/b c" for found in management.vhosts())


def test_a_refused_management_call_says_which_and_why(vhost: Address) -> None:
    with Management(vhost) as management, pytest.raises(ManagementFailed, match="401"):
        management.overview()
