"""Each row of the version table, held against what a real broker does.

A probe does what a learner would do and says in the table's own words what came
of it. `make test-brokers` runs this on several versions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
from pika.exceptions import AMQPError, ConnectionClosedByBroker

from labs.broker.address import Address
from labs.broker.connection import connected, log_in
from labs.broker.node import PrivateNode
from labs.broker.versions import (
    IGNORED,
    REFUSED,
    VERSION_ROWS,
    WARNED,
    WORKS,
    VersionRow,
    configuration_for,
    series_of,
    supported,
)
from labs.errors import BadInput
from tests.support import count, declare, publish, wait_until

FOR_EVER = 50
"""So many deliveries of one message, and we believe that there is no end."""

Probe = Callable[[PrivateNode], str]


def transient_queue(node: PrivateNode) -> str:
    try:
        declare(address_of(node), "hello", durable=False)
    except AMQPError as error:
        return refusal(error)
    return warned_or_works(node, "transient_nonexcl_queues")


def global_qos(node: PrivateNode) -> str:
    address = address_of(node)
    declare(address, "shared")
    publish(address, "shared", ["for one consumer", "waits, if the limit is shared"])
    with connected(address) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1, global_qos=True)
        for _ in range(2):
            channel.basic_consume("shared", lambda *_: None)
        waiting = channel.queue_declare("shared", passive=True).method.message_count
    return warned_or_works(node, "global_qos") if waiting else IGNORED


def return_limit(node: PrivateNode, *, by: str) -> str:
    address, queue = address_of(node), f"returned-by-{by}"
    declare(address, queue, arguments={"x-queue-type": "quorum"})
    publish(address, queue, ["again and again"])
    with connected(address, timeout_s=30.0) as connection:
        channel = connection.channel()
        give_back = getattr(channel, by)
        for deliveries in range(FOR_EVER):
            method, _, _ = channel.basic_get(queue)
            if method is None:
                return f"{deliveries} times"
            give_back(method.delivery_tag, requeue=True)
    return "for ever"


def timeout_classic(node: PrivateNode) -> str:
    # "Nothing happens" can't be waited for: what happens to a quorum queue meanwhile can.
    return unacknowledged(node, "classic", meanwhile=timeout_quorum)


def timeout_quorum(node: PrivateNode) -> str:
    return unacknowledged(node, "quorum", {"x-queue-type": "quorum"})


def timeout_argument(node: PrivateNode) -> str:
    try:
        patient = {"x-consumer-timeout": 600_000}
        came = unacknowledged(node, "patient", patient, meanwhile=timeout_quorum)
    except AMQPError as error:
        return refusal(error)
    return WORKS if came == "nothing happens" else IGNORED


def unacknowledged(
    node: PrivateNode,
    queue: str,
    arguments: dict[str, Any] | None = None,
    *,
    meanwhile: Probe | None = None,
) -> str:
    """What becomes of a consumer that never acknowledges: at last, or after `meanwhile`."""
    address = address_of(node)
    declare(address, queue, arguments=arguments)
    publish(address, queue, ["never acknowledged"])
    with connected(address) as connection:
        channel = connection.channel()
        cancelled: list[object] = []
        channel.add_on_cancel_callback(cancelled.append)
        channel.basic_consume(queue, lambda *_: None)

        def seen() -> str:
            connection.process_data_events(0.1)
            if channel.is_closed:
                return "the channel is closed: 406"
            return "the consumer is cancelled" if cancelled else ""

        if meanwhile is None:
            return wait_until(seen, 90.0, what="the broker to lose patience")
        for _ in range(2):  # the second starts after ours could have been over
            meanwhile(node)
        connection.channel()  # a round trip: what the broker said before it has arrived now
        return seen() or "nothing happens"


def mirroring(node: PrivateNode) -> str:
    address = address_of(node)
    answer = httpx.put(
        f"{address.management_url}/api/policies/%2F/mirrored",
        json={"pattern": "^mirrored", "definition": {"ha-mode": "all"}},
        auth=(address.username, address.password),
    )
    if answer.is_error:
        return REFUSED
    declare(address, "mirrored")
    return warned_or_works(node, "classic_queue_mirroring")


def largest_message(node: PrivateNode) -> str:
    address = address_of(node)
    declare(address, "large")
    taken = [size for size in (16, 17, 128, 129) if takes(address, "large", mebibytes=size)]
    return f"{max(taken)} MiB"


def takes(address: Address, queue: str, *, mebibytes: int) -> bool:
    try:
        publish(address, queue, [b"x" * (mebibytes * 1024 * 1024)])
    except AMQPError:
        return False
    with connected(address) as connection:
        connection.channel().queue_purge(queue)
    return True


PROBES: dict[str, Probe] = {
    "transient-queue": transient_queue,
    "global-qos": global_qos,
    "nack-limit": partial(return_limit, by="basic_nack"),
    "reject-limit": partial(return_limit, by="basic_reject"),
    "timeout-classic": timeout_classic,
    "timeout-quorum": timeout_quorum,
    "timeout-argument": timeout_argument,
    "mirroring": mirroring,
    "largest-message": largest_message,
}


@pytest.mark.parametrize("row", VERSION_ROWS, ids=lambda row: row.slug)
def test_a_broker_does_what_the_row_says_of_its_version(
    row: VersionRow, shipped: PrivateNode
) -> None:
    version = log_in(address_of(shipped), timeout_s=10.0).version

    seen = PROBES[row.slug](shipped)

    assert seen == row.behaviour(version), f"RabbitMQ {version}: {row.name}"


def test_the_first_line_of_every_tutorial_works_on_a_broker_of_ours(vhost: Address) -> None:
    with connected(vhost) as connection:
        connection.channel().queue_declare(queue="hello")

    assert count(vhost, "hello") == 0


def test_a_broker_that_refuses_transient_queues_says_541_and_takes_durable_ones(
    refusing: PrivateNode,
) -> None:
    address = address_of(refusing)
    if series_of(log_in(address, timeout_s=10.0).version) < (3, 13):
        pytest.skip("this version can't refuse transient queues")

    with pytest.raises(ConnectionClosedByBroker) as refused:
        declare(address, "hello", durable=False)

    assert refused.value.reply_code == 541
    assert "transient_nonexcl_queues" in refused.value.reply_text
    declare(address, "hello", durable=True)  # what the table advises


def test_a_broker_of_ours_permits_what_its_version_would_take_away() -> None:
    assert configuration_for("3.10.8") == "", "3.10 would not start on a key that it doesn't know"
    for version in ("3.13.7", "4.0.5", "4.3.6"):
        assert "permit.transient_nonexcl_queues = true\n" in configuration_for(version)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("3.9.0", False),
        ("3.10.0", True),
        ("4.0.5", True),
        ("4.3.6+2.g1a2b", True),
        ("4.4.0", False),
    ],
)
def test_the_kit_knows_which_versions_it_is_tested_with(version: str, expected: bool) -> None:
    assert supported(version) is expected


def test_a_row_tells_versions_apart_by_number_and_not_by_spelling() -> None:
    row = VersionRow("row", "a row", since=(("3.9", "old"), ("3.10", "new")), advice="")

    assert [row.behaviour(version) for version in ("3.8", "3.9.30", "3.10.1", "4.0")] == [
        "old", "old", "new", "new",
    ]  # fmt: skip


def test_what_is_no_version_is_refused_in_words() -> None:
    with pytest.raises(BadInput, match="'four' is no version"):
        series_of("four")


def address_of(node: PrivateNode) -> Address:
    assert node.address is not None
    return node.address


def refusal(error: AMQPError) -> str:
    """`refused: 406`: with the code that stands first in what a broker says."""
    return f"{REFUSED}: {error.args[0]}"


def warned_or_works(node: PrivateNode, feature: str) -> str:
    """Whether the node itself lists the feature, which just worked, as deprecated."""
    address = address_of(node)
    deprecated = httpx.get(
        f"{address.management_url}/api/deprecated-features",
        auth=(address.username, address.password),
    )
    if deprecated.status_code == httpx.codes.NOT_FOUND:
        return WORKS  # older than the notion itself
    phases = {found["name"]: found["deprecation_phase"] for found in deprecated.json()}
    return WARNED if phases[feature] == "permitted_by_default" else WORKS
