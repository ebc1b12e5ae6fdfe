"""What differs between RabbitMQ 3.10 and 4.3, in one table.

The rule: a difference that a learner can meet is a row here, and nowhere else.
Each row has a test that looks at a real broker and compares what it sees with
the column for that broker's version (`tests/brokers/test_versions.py`;
`make test-brokers` runs it on three versions). Versions come in as the text
that a broker says of itself, such as `4.3.6`; words and lines for
`rabbitmq.conf` go out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labs.errors import BadInput

OLDEST = (3, 10)
NEWEST = (4, 3)
"""The first and the last series, major and minor, that the kit is tested with."""

_PERMITS_KNOWN_SINCE = (3, 13)  # an older broker refuses to start on a key it does not know


@dataclass(frozen=True)
class VersionRow:
    """One difference: what brokers do as they come out of their packages, and what to do."""

    slug: str
    """A short name for it."""
    name: str
    """What the difference is about, as a learner would say it."""
    since: tuple[tuple[str, str], ...]
    """Pairs of a version and what brokers do from it on, oldest first."""
    advice: str
    """What a learner should do, whatever the version."""
    permit: str = ""
    """The name under `deprecated_features.permit.` that brings it back; our own brokers have it."""

    def behaviour(self, version: str) -> str:
        """What a broker of this version does; of a version before the first, what the first does.

        Raises:
            BadInput: `version` is no version.
        """
        wanted = _numbers(version)
        reached = [does for first, does in self.since if _numbers(first) <= wanted]
        return reached[-1] if reached else self.since[0][1]


WORKS = "works"
WARNED = "works, deprecated: the broker warns in its log"
IGNORED = "accepted and ignored"
REFUSED = "refused"

VERSION_ROWS: tuple[VersionRow, ...] = (
    VersionRow(
        slug="transient-queue",
        name="queue_declare(queue='hello'): transient, not exclusive",
        # 4.3.6 took the refusal of 4.3.0 back; a broker can be configured either way.
        since=(("3.10", WORKS), ("3.13", WARNED), ("4.3", f"{REFUSED}: 541"), ("4.3.6", WARNED)),
        advice="Declare it durable: channel.queue_declare(queue='hello', durable=True).",
        permit="transient_nonexcl_queues",
    ),
    VersionRow(
        slug="global-qos",
        name="basic_qos(prefetch_count=1, global_qos=True): one limit for a whole channel",
        since=(("3.10", WORKS), ("3.13", WARNED), ("4.3", IGNORED)),
        advice="Leave global_qos out: the limit is then each consumer's own.",
        permit="global_qos",
    ),
    VersionRow(
        slug="nack-limit",
        name="how often a quorum queue delivers a message that is nacked with requeue",
        since=(("3.10", "for ever"), ("4.0", "21 times"), ("4.3", "for ever")),
        advice="Don't requeue what can't be done: let a dead letter exchange catch it.",
    ),
    VersionRow(
        slug="reject-limit",
        name="how often a quorum queue delivers a message that is rejected with requeue",
        since=(("3.10", "for ever"), ("4.0", "21 times")),
        advice="Don't requeue what can't be done: let a dead letter exchange catch it.",
    ),
    VersionRow(
        slug="timeout-classic",
        name="no acknowledgement in time (consumer_timeout, 30 minutes), classic queue",
        since=(("3.10", "the channel is closed: 406"), ("4.3", "nothing happens")),
        advice="Acknowledge in time all the same; cut longer work into smaller messages.",
    ),
    VersionRow(
        slug="timeout-quorum",
        name="no acknowledgement in time (consumer_timeout, 30 minutes), quorum queue",
        since=(("3.10", "the channel is closed: 406"), ("4.3", "the consumer is cancelled")),
        advice="Acknowledge in time; cut longer work into smaller messages.",
    ),
    VersionRow(
        slug="timeout-argument",
        name="x-consumer-timeout, that time as a classic queue's own argument",
        since=(("3.10", IGNORED), ("3.12", WORKS), ("4.3.2", f"{REFUSED}: 406")),
        advice="Leave it out, or use a quorum queue: a timeout is the broker's matter.",
    ),
    VersionRow(
        slug="mirroring",
        name="classic mirroring: a policy with ha-mode",
        since=(("3.10", WORKS), ("3.13", WARNED), ("4.0", REFUSED)),
        advice="Use a quorum queue: durable=True, arguments={'x-queue-type': 'quorum'}.",
    ),
    VersionRow(
        slug="largest-message",
        name="the largest message, unless configured",
        since=(("3.10", "128 MiB"), ("4.0", "16 MiB")),
        advice="Put large things into a store, and their address into the message.",
    ),
)


def series_of(version: str) -> tuple[int, int]:
    """Major and minor number: `4.3.6` is of the series (4, 3).

    Raises:
        BadInput: it does not start with two numbers and a dot between.
    """
    major, minor, *_ = _numbers(version)
    return major, minor


def supported(version: str) -> bool:
    """Whether the kit is tested with this version's series."""
    return OLDEST <= series_of(version) <= NEWEST


def configuration_for(version: str) -> str:
    """The lines of `rabbitmq.conf` that a broker of this version needs to be ours.

    With them `channel.queue_declare(queue='hello')`, which every RabbitMQ
    tutorial starts with, works whatever the version. Empty where a version
    needs none, else each line ends with a newline.
    """
    if series_of(version) < _PERMITS_KNOWN_SINCE:
        return ""
    permits = (row.permit for row in VERSION_ROWS if row.permit)
    return "".join(f"deprecated_features.permit.{permit} = true\n" for permit in permits)


def _numbers(version: str) -> tuple[int, ...]:
    """`4.3.6` is (4, 3, 6), `4.3` is (4, 3), and so is `4.3-rc.1`."""
    match = re.match(r"\d+(\.\d+)+", version.strip())
    if not match:
        raise BadInput(
            f"{version!r} is no version of RabbitMQ.", remedy="It should look like 4.3.6."
        )
    return tuple(int(number) for number in match[0].split("."))
