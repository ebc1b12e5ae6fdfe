"""The request queue's settings: known keys, their defaults, and the topics' names.

`resource_driver.lifecycle_request_queue.enabled` alone switches the queue on. Names that are
not given are derived: of the topic from the application's name, of the failed topic from
the topic's. A work topic keeps its records until they are done (`retention.ms: -1`):
work that waits out an outage must not vanish; what is processed is deleted an hour later.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from labs.errors import BadInput
from labs.request_queue.log import Topic
from labs.settings import Section, derived_name

KEPT_UNTIL_DONE = {"retention.ms": "-1"}
ROOM_FOR_THE_REASON = {"max.message.bytes": str(2 * 1024 * 1024)}
"""The largest record that a broker takes by itself (1 MiB) must fit with all that is added."""


class ApplicationSection(Section):
    """Who we are."""

    name: str = Field(
        default="driver", description="the driver's name; the topics' names begin with it"
    )


class WorkTopicSection(Section):
    """The topic of requests."""

    name: str | None = Field(
        default=None, description="the topic of requests; derived from `application.name`"
    )
    auto_create: bool = Field(default=True, description="make the topic if it is not there")
    num_partitions: int = Field(
        default=20, ge=1, description="how many requests can be in work at a time"
    )
    replication_factor: int = Field(
        default=1, ge=1, description="how many brokers have a copy; at most as many as there are"
    )
    config: dict[str, str | int] = Field(
        default_factory=dict,
        description="the broker's own settings of the topic; `retention.ms` is -1 (keep) unless "
        "you ask for another, which deletes by age, done or not",
    )


class FailedTopicSection(Section):
    """The topic of what could be neither done nor answered."""

    name: str | None = Field(
        default=None, description="the failed topic; derived from the topic's name"
    )
    auto_create: bool = Field(default=True, description="make the topic if it is not there")
    num_partitions: int = Field(default=1, ge=1, description="its partitions")
    replication_factor: int = Field(default=1, ge=1, description="how many brokers have a copy")
    config: dict[str, str | int] = Field(
        default_factory=dict, description="the broker's own settings of the topic, as above"
    )


class EventsTopicSection(Section):
    """The topic of responses."""

    name: str = Field(
        default="lm_vnfc_lifecycle_execution_events",
        min_length=1,
        description="the topic of responses",
    )
    auto_create: bool = Field(
        default=True,
        description="make the topic if it is not there: answers must have a place to go",
    )
    num_partitions: int = Field(default=1, ge=1, description="its partitions, if it is made")
    replication_factor: int = Field(default=1, ge=1, description="how many brokers have a copy")
    config: dict[str, str | int] = Field(
        default_factory=dict, description="the broker's own settings of the topic"
    )


class LifecycleRequestQueueSection(Section):
    """The queue itself."""

    enabled: bool = Field(
        default=False,
        description="queue requests; off: call the driver's `execute_lifecycle` directly",
    )
    group_id: str = Field(
        default="request_queue_consumer",
        min_length=1,
        description="the group that all replicas share",
    )
    max_poll_interval_ms: int = Field(
        default=2_700_000,
        ge=1000,
        description="a replica that is not heard of for so long loses its partitions; "
        "long work is heard of",
    )
    topic: WorkTopicSection = WorkTopicSection()
    failed_topic: FailedTopicSection = FailedTopicSection()
    first_pause_s: float = Field(
        default=1.0,
        gt=0,
        description="the pause before a request that was put back; doubled each time",
    )
    longest_pause_s: float = Field(default=60.0, gt=0, description="the longest such pause")
    grace_s: float = Field(
        default=30.0,
        ge=0,
        description="how long work may go on when the replica stops or the partition moves",
    )
    processed_retention_s: float = Field(
        default=3600.0, ge=0, description="processed requests are deleted after so long; 0: never"
    )


class ResourceDriverSection(Section):
    """The driver."""

    lifecycle_request_queue: LifecycleRequestQueueSection = LifecycleRequestQueueSection()


class TopicsSection(Section):
    """Topics that are not the queue's own."""

    lifecycle_execution_events: EventsTopicSection = EventsTopicSection()


class MessagingSection(Section):
    """The log."""

    connection_address: str | None = Field(
        default=None,
        min_length=1,
        description="host:port of a Kafka broker, or several with commas",
    )
    config: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        description="the Kafka client's own settings, such as `security.protocol`, "
        "`ssl.ca.location`, `sasl.username`",
    )
    topics: TopicsSection = TopicsSection()


class DriverSettings(Section):
    """All settings of a driver with a request queue. Load them with `labs.settings.load`."""

    application: ApplicationSection = ApplicationSection()
    messaging: MessagingSection = MessagingSection()
    resource_driver: ResourceDriverSection = ResourceDriverSection()

    @property
    def queue(self) -> LifecycleRequestQueueSection:
        """The queue's own section."""
        return self.resource_driver.lifecycle_request_queue

    @property
    def topic(self) -> Topic:
        """The topic of requests."""
        name = (
            self.queue.topic.name
            or f"{derived_name(self.application.name)}_lifecycle_request_queue"
        )
        return _topic(name, self.queue.topic, KEPT_UNTIL_DONE)

    @property
    def failed_topic(self) -> Topic:
        """The topic of what could be neither done nor answered."""
        derived = f"{self.topic.name.removesuffix('_queue')}_failed_queue"
        name = self.queue.failed_topic.name or derived
        return _topic(name, self.queue.failed_topic, KEPT_UNTIL_DONE | ROOM_FOR_THE_REASON)

    @property
    def responses_topic(self) -> Topic:
        """The topic of responses."""
        events = self.messaging.topics.lifecycle_execution_events
        return _topic(events.name, events, {})

    @property
    def connection_address(self) -> str:
        """Where the log is.

        Raises:
            BadInput: no setting says it.
        """
        if self.messaging.connection_address is None:
            raise BadInput(
                "The setting messaging.connection_address is missing.",
                remedy="Set it in the settings file, or as "
                "LABS_MESSAGING__CONNECTION_ADDRESS=host:9092.",
            )
        return self.messaging.connection_address


def _topic(
    name: str,
    section: WorkTopicSection | FailedTopicSection | EventsTopicSection,
    unless_given: Mapping[str, str],
) -> Topic:
    config = {**unless_given, **{key: str(value) for key, value in section.config.items()}}
    return Topic(name, section.num_partitions, section.replication_factor, config)
