"""What a journal is about, as values: processes, connections, messages and their deliveries.

A history is made of these; only `labs.judge.history` and `labs.judge.wire` write
them. A moment is always the `Event` of the journal that marks it: `event.n` orders
(it is exact), `event.at_s` is for people and for durations (it is not).

A message is known by its body, which is unique within a run, and by the `message_id`
that the judge gave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from labs.journal import Event


@dataclass(slots=True, eq=False)
class Process:
    """One run of one copy of the program: a copy that was started again has two."""

    copy: str
    started: Event
    exited: Event | None = None
    frozen: bool = False

    @property
    def is_running(self) -> bool:
        """Whether its end has not been seen."""
        return self.exited is None

    @property
    def ended_by_itself(self) -> bool:
        """Whether it ended though nobody had killed it or asked it to stop."""
        return self.exited is not None and not self.exited.data.get("asked")


@dataclass(slots=True, eq=False)
class Connection:
    """One connection, as the broker saw it."""

    number: int
    copy: str | None
    process: Process | None
    opened: Event
    is_ready: bool = False
    """The broker answered connection.open-ok."""
    heartbeat_s: int | None = None
    """What was agreed: the client's connection.tune-ok; 0: none."""
    closing: Event | None = None
    """The first connection.close, of whichever side."""
    ended: Event | None = None
    """From when on the broker had it no more, or nobody could use it."""


@dataclass(slots=True, eq=False)
class Consumer:
    """A subscription to a queue."""

    connection: Connection
    channel: int
    tag: str
    queue: str
    no_ack: bool
    prefetch: int
    """The limit of unacknowledged messages that holds for it; 0: none."""
    began: Event
    ended: Event | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Settlement:
    """How the broker's care for a delivery ended."""

    how: Literal["ack", "nack", "reject", "auto"]
    """`auto`: nobody had to settle it; the broker forgot it as it sent it."""
    asked: Event
    """The frame that asked for it."""
    event: Event
    """From when on it counts: the same frame; in a transaction, its commit."""
    requeue: bool = False
    multiple: bool = False


@dataclass(slots=True, eq=False)
class Delivery:
    """One message on its way to one copy: by basic.deliver or basic.get-ok."""

    message: Message
    connection: Connection
    channel: int
    tag: int
    queue: str
    redelivered: bool
    began: Event
    """Its method frame."""
    event: Event
    """Its last frame: from then on the copy can have the body."""
    consumer: Consumer | None = None
    """None: it was polled with basic.get."""
    arrived: bool = True
    """False: a fault swallowed it; the broker sent it and the copy never got it."""
    settled: Settlement | None = None
    returned: Event | None = None
    """When it went back to the queue unsettled: its channel or connection ended, or basic.recover.
    What was rejected with requeue is settled."""
    unheard: Settlement | None = None
    """A settlement that the copy sent and the broker never got."""
    done: Event | None = None
    """The line `done BODY` that tells of its work."""

    @property
    def copy(self) -> str | None:
        """Which copy it was for."""
        return self.connection.copy

    @property
    def is_open(self) -> bool:
        """Whether the broker still counts it as unacknowledged."""
        return self.settled is None and self.returned is None

    @property
    def over(self) -> Event | None:
        """When the broker's care for it ended, in whichever way."""
        return self.settled.event if self.settled else self.returned


@dataclass(slots=True, eq=False)
class Publish:
    """A message that the program published."""

    connection: Connection
    channel: int
    exchange: str
    routing_key: str
    mandatory: bool
    properties: Mapping[str, Any]
    body: str | None
    """None where the journal does not keep it (it is long, or no text)."""
    began: Event
    event: Event
    """Its last frame."""
    number: int | None = None
    """Its number among the publishes of a channel in confirm mode, from 1."""
    in_transaction: bool = False
    reached_broker: bool = True
    """False: a fault swallowed it."""
    confirmed: Event | None = None
    """The broker's word that it took it, as the program got it: basic.ack."""
    refused: Event | None = None
    """basic.nack."""
    returned: Event | None = None
    """basic.return: no queue for it."""
    committed: Event | None = None
    """tx.commit-ok."""
    answered: Event | None = None
    """The first later answer of the broker on the same channel, which it gives in order: by then it
    had dealt with the publish."""

    @property
    def copy(self) -> str | None:
        """Which copy published it."""
        return self.connection.copy


@dataclass(slots=True, eq=False)
class Said:
    """A line `done BODY` or `sent BODY`."""

    word: str
    """`done` or `sent`."""
    text: str
    """What stood where the body stands."""
    event: Event
    process: Process | None
    message: Message | None = None
    """None: no message has this body."""
    delivery: Delivery | None = None
    """For `done`: the delivery whose work it tells of. None: this message had never been delivered
    to this process, or was said to be done more often than delivered."""

    @property
    def is_borne_out(self) -> bool:
        """Whether there was something to do it on: a delivery, or a record in the log.

        Who reads a log is not watched on the wire. Its bodies can't be guessed either.
        """
        return self.delivery is not None or bool(self.message and self.message.place)

    @property
    def copy(self) -> str | None:
        """Which copy said it."""
        return self.event.copy


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in a log, for ever."""

    partition: int
    offset: int
    key: str


@dataclass(slots=True, eq=False)
class Message:
    """One message of the judge's, one line that a producer was given, or one record of a log."""

    body: str
    message_id: str | None = None
    published: Event | None = None
    """When the judge had published it, for the first time."""
    times_published: int = 0
    """How often the judge published it."""
    given: Event | None = None
    """When the judge wrote it to a producer's standard input."""
    deliveries: list[Delivery] = field(default_factory=list)
    publishes: list[Publish] = field(default_factory=list)
    done: list[Said] = field(default_factory=list)
    """Lines `done BODY`; each counts only if it has a delivery."""
    sent: list[Said] = field(default_factory=list)
    left: list[Event] = field(default_factory=list)
    """Where the judge found it when it emptied the queues."""
    place: Place | None = None
    """For a record: where it stands."""
    appended: list[Event] = field(default_factory=list)
    """Where the program appended it again."""

    @property
    def first_done(self) -> Said | None:
        """The first line `done BODY` that is borne out."""
        return next((said for said in self.done if said.is_borne_out), None)


@dataclass(slots=True, eq=False)
class Declaration:
    """A queue.declare and what came of it."""

    connection: Connection
    event: Event
    queue: str
    passive: bool
    durable: bool
    exclusive: bool
    auto_delete: bool
    arguments: Mapping[str, Any]
    answered: Event | None = None
    """queue.declare-ok."""


@dataclass(slots=True, eq=False)
class Refusal:
    """The broker closed a channel or a connection for an error."""

    connection: Connection
    event: Event
    code: int
    text: str

    @property
    def copy(self) -> str | None:
        """Whose channel or connection it was."""
        return self.connection.copy
