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
    """One difference: what each series does, as it comes out of its package, and what to do."""

    name: str
    v3_10: str
    """What 3.10 to 3.13 do."""
    v4_0: str
    """What 4.0 to 4.2 do."""
    v4_3: str
    """What 4.3 does."""
    advice: str
    """What a learner should do, whatever the version."""
    permit: str = ""
    """The name under `deprecated_features.permit.` that brings it back; ours permit it."""

    def behaviour(self, version: str) -> str:
        """What a broker of this version does.

        Raises:
            BadInput: `version` is no version.
        """
        series = series_of(version)
        if series < (4, 0):
            return self.v3_10
        return self.v4_0 if series < (4, 3) else self.v4_3


VERSION_ROWS: tuple[VersionRow, ...] = (
    VersionRow(
        name="queue_declare(queue='hello'): transient, not exclusive",
        v3_10="works",
        v4_0="works, with a warning in the broker's log",
        v4_3="refused: 541 INTERNAL_ERROR",
        advice="Declare it durable: channel.queue_declare(queue='hello', durable=True).",
        permit="transient_nonexcl_queues",
    ),
    VersionRow(
        name="basic_qos(prefetch_count=1, global_qos=True)",
        v3_10="works",
        v4_0="works, with a warning in the broker's log",
        v4_3="refused: 541 INTERNAL_ERROR",
        advice="Leave global_qos out: the limit is then each consumer's own.",
        permit="global_qos",
    ),
    VersionRow(
        name="deliveries of one message by a quorum queue before it gives up",
        v3_10="no limit",
        v4_0="dropped after 20 returns",
        v4_3="dropped after 20 returns",
        advice="Give a queue a dead letter exchange, or a message that always fails is lost.",
    ),
    VersionRow(
        name="basic_nack with requeue counts towards that limit",
        v3_10="no limit",
        v4_0="counts",
        v4_3="does not count; basic_reject and lost connections do",
        advice="Don't requeue for ever: reject without requeue what can't be done.",
    ),
    VersionRow(
        name="acknowledgement timeout (consumer_timeout, 30 minutes)",
        v3_10="every queue",
        v4_0="every queue",
        v4_3="quorum queues only",
        advice="Acknowledge within it; cut longer work into smaller messages.",
    ),
    VersionRow(
        name="x-queue-mode=lazy",
        v3_10="works",
        v4_0="accepted and ignored",
        v4_3="refused",
        advice="Leave it out: classic queues keep waiting messages on disk anyway.",
    ),
    VersionRow(
        name="classic mirroring (a policy with ha-mode)",
        v3_10="works",
        v4_0="refused",
        v4_3="refused",
        advice="Use a quorum queue: arguments={'x-queue-type': 'quorum'}, durable=True.",
    ),
    VersionRow(
        name="largest message, unless configured",
        v3_10="128 MiB",
        v4_0="16 MiB",
        v4_3="16 MiB",
        advice="Put large things into a store and their address into the message.",
    ),
)


def series_of(version: str) -> tuple[int, int]:
    """Major and minor number: `4.3.6` is of the series (4, 3).

    Raises:
        BadInput: it does not start with two numbers and a dot between.
    """
    match = re.match(r"(\d+)\.(\d+)", version.strip())
    if not match:
        raise BadInput(
            f"{version!r} is no version of RabbitMQ.", remedy="It should look like 4.3.6."
        )
    return int(match[1]), int(match[2])


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
