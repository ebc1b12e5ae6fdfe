"""The job queue's settings, with the keys and defaults that people know.

Read them with `labs.settings.load(Settings, file=…, environ=…, arguments=…)`, and make a
queue of them with `JobQueue.from_settings`. Only `messaging.connection_address` must be
given, and a name: the application's, or the queue's own.

Nothing queued is ever deleted by its age unless `messaging.topics.job_queue.config` asks for
it (`x-message-ttl`): work that waits out an outage must not vanish while it waits.
"""

from __future__ import annotations

from pydantic import Field

from labs.errors import BadInput
from labs.job_queue.bus import Header
from labs.settings import Section, derived_name

KAFKAS = ("retention.ms", "retention.bytes", "cleanup.policy", "file.delete.delay.ms")
"""Settings of a Kafka topic that people bring along; on RabbitMQ they would do nothing."""


class Application(Section):
    """The application that the queue belongs to."""

    name: str | None = Field(default=None, description="the queue's name is made of it")


class Jobs(Section):
    """How this replica works."""

    consumer_group_id: str = Field(
        default="job_queue_consumer", description="names the replicas' connections"
    )
    workers: int = Field(default=4, ge=1, le=1000, description="handlers that run side by side")
    prefetch: int | None = Field(
        default=None, ge=1, le=65535, description="jobs in hand at once; else twice the workers"
    )
    first_pause_s: float = Field(default=1.0, gt=0, description="before a job's second attempt")
    longest_pause_s: float = Field(default=60.0, gt=0, description="to which the pause doubles")
    unknown_limit: int = Field(
        default=20, ge=1, description="so often no handler may know a job's type"
    )
    max_losses: int = Field(
        default=20, ge=0, description="so often a job may be lost with its worker"
    )
    grace_s: float = Field(default=30.0, ge=0, description="for what runs when asked to stop")


class Topic(Section):
    """The queue."""

    name: str | None = Field(
        default=None, description="the queue; else `<application.name>_job_queue`"
    )
    auto_create: bool = Field(default=True, description="make the queues if they are not there")
    config: dict[str, bool | int | str] = Field(
        default_factory=dict,
        description="the queue's arguments; no retention by itself",
    )


class Topics(Section):
    """The queues by their use."""

    job_queue: Topic = Topic()


class Messaging(Section):
    """The broker."""

    connection_address: str = Field(
        repr=False, min_length=1, description="AMQP URLs; a comma between those of a cluster"
    )
    topics: Topics = Topics()


class Settings(Section):
    """All settings of a job queue."""

    application: Application = Application()
    job_queue: Jobs = Jobs()
    messaging: Messaging

    @property
    def queue_name(self) -> str:
        """The work queue's name.

        Raises:
            BadInput: neither the application nor the queue has one.
        """
        own = self.messaging.topics.job_queue.name
        return own or f"{derived_name(self.application.name or '')}_job_queue"

    @property
    def addresses(self) -> list[str]:
        """The broker's URLs."""
        return [one.strip() for one in self.messaging.connection_address.split(",") if one.strip()]

    @property
    def queue_config(self) -> dict[str, Header]:
        """The queue's own arguments.

        Raises:
            BadInput: they are a Kafka topic's.
        """
        config = self.messaging.topics.job_queue.config
        for key in KAFKAS:
            if key in config:
                raise BadInput(
                    f"The setting messaging.topics.job_queue.config has {key}, which is Kafka's.",
                    remedy="Leave it out: jobs wait as long as they must. RabbitMQ's word for "
                    "an age at which waiting jobs are given up is x-message-ttl.",
                )
        return dict(config)
