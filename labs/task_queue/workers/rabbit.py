"""A worker that hands tasks to whoever consumes a queue on RabbitMQ, such as `./qprocessor.py`.

Each task is a persistent, confirmed message. It names the queue of outcomes of this worker twice:
as `reply_to`, so whoever has done the work answers there before it acknowledges; and as routing
key, which a dead letter keeps. So whatever becomes of a message, its outcome comes to one place:
an answer is success (with the type `failed`: failure), a dead letter, which its workers have died
of too often, is failure. Outcomes stay the broker's until the task is settled. What comes twice,
or of a job that is not known, counts for nothing. With a `Route` not all tasks are for the same
consumers: the routing key is the body's, and dead letters find the way by a header.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

from labs.broker.address import parse_amqp_url
from labs.broker.connection import FAILURES, connected
from labs.broker.explain import explain
from labs.errors import BadInput
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Json, admitted_count, admitted_name
from labs.task_queue.workers.base import JobRefused, Report, WorkerUnreachable
from labs.task_queue.workers.rabbit_route import OUTCOMES, Route

T = TypeVar("T")

MAX_DELIVERIES = 20
ANY_NUMBER = 1_000_000_000
"""Of deliveries. Without a limit RabbitMQ 4 drops an outcome that was delivered 20 times."""
FAILED = "failed"
GIVEN_UP = (
    "The broker has given the message up: each worker that had it died, or lost it. "
    "Does the task itself make them die?"
)
TOO_LARGE = 406
LOCKED = 405
LONGEST_NAME_B = 255


@dataclass(slots=True)
class _Job:
    """A task that was sent."""

    nonce: str | None
    """Tells this message from earlier ones of the task; None: it was sent in an earlier life."""
    stage: Stage = Stage.PROCESSING
    report: Report = field(default_factory=Report)
    tag: int | None = None
    """Of the outcome's delivery, on the present connection."""


class RabbitWorker:
    """Publishes tasks to a queue, and hears of their outcome in another.

    Args:
        url: the broker, `amqp://…` or `amqps://…`.
        queue: whose consumers do the work.
        name: of this worker among those that publish to the queue, the same after a restart;
            the outcomes come to `<queue>.outcomes.<name>`. None: this machine's.
        max_deliveries: a message that was delivered so often, and never settled, has failed.
        route: by which the body says whose the task is; then there is no one `queue`, and the
            outcomes come to `<exchange>.outcomes.<name>`.

    Raises:
        BadInput: it is no AMQP URL.
        BadTask: a name can't be one, or the number can't be meant.
    """

    def __init__(
        self,
        url: str,
        *,
        queue: str = "tasks",
        name: str | None = None,
        max_deliveries: int = MAX_DELIVERIES,
        route: Route | None = None,
    ) -> None:
        self._address = parse_amqp_url(url)
        self._route = route
        self._queue = admitted_name(queue if route is None else route.exchange, "A queue")
        self._name = admitted_name(socket.gethostname() if name is None else name, "A worker")
        self._outcomes = f"{self._queue}.outcomes.{self._name}"
        if len(f"{self._outcomes}.held".encode()) > LONGEST_NAME_B:
            raise BadInput(
                f"The queue of outcomes would be named {self._outcomes!r:.80}…, which is too long.",
                remedy="Give the queue, or the worker, a shorter name.",
            )
        self._max_deliveries = admitted_count(max_deliveries, "max_deliveries", 1)
        self._jobs: dict[str, _Job] = {}
        self._ids: dict[str, str] = {}
        """What correlation ids begin with, to the ids of the jobs."""
        self._stack = ExitStack()
        self._channel: BlockingChannel | None = None

    @property
    def backend(self) -> str:
        """Named by the queue, and by the worker."""
        return f"rabbit/{self._queue}/{self._name}"

    def take_up(self, sent: Collection[str], doubtful: Collection[str]) -> None:  # noqa: ARG002
        """Hear of these again; see `workers.base.Restartable`. No broker can be asked for one."""
        for id_ in sent:
            self._jobs.setdefault(id_, _Job(None))
            self._ids[_digest(id_)] = id_

    def send_job(self, queue_item_id: str, queue_item_body: Json, /) -> None:
        """Publish a message, and return when the broker has confirmed it.

        Raises:
            WorkerUnreachable: the broker does not answer, or takes nothing at present.
            JobRefused: the message is too large, or no queue is bound for its routing key.
        """
        nonce = secrets.token_hex(4)
        correlation_id = f"{_digest(queue_item_id)}-{nonce}"
        properties = pika.BasicProperties(
            message_id=correlation_id,
            correlation_id=correlation_id,
            reply_to=self._outcomes,
            content_type="application/json",
            delivery_mode=2,
            headers={"task-id": queue_item_id, OUTCOMES: self._outcomes},
        )
        body = json.dumps(queue_item_body).encode()
        key = self._outcomes if self._route is None else self._route.key(queue_item_body)
        self._ask(lambda channel: self._publish(channel, key, body, properties))
        self._jobs[queue_item_id] = _Job(nonce)
        self._ids[_digest(queue_item_id)] = queue_item_id

    def poll_all_status(self) -> dict[str, Stage]:
        """How the jobs stand, by the outcomes that have come.

        Raises:
            WorkerUnreachable: the broker does not answer.
        """
        try:
            self._ask(_hear)
        except WorkerUnreachable:
            self._ask(_hear)  # the connection may have been lost long ago: make one
        return {id_: job.stage for id_, job in self._jobs.items()}

    def explain(self, queue_item_id: str, /) -> Report:
        """The answer as result or reason; JSON if it is, else as text."""
        return self._jobs[queue_item_id].report

    def delete_job(self, queue_item_id: str, /) -> None:
        """Forget a job, and its outcome. A message that nobody has taken yet will be worked on.

        Raises:
            WorkerUnreachable: the broker does not answer.
        """
        job = self._jobs.pop(queue_item_id, None)
        self._ids.pop(_digest(queue_item_id), None)
        if job and (tag := job.tag) and self._channel:
            self._ask(lambda channel: channel.basic_ack(tag))

    def close(self) -> None:
        """Say goodbye to the broker. Outcomes that were not settled stay there."""
        self._channel = None
        for job in self._jobs.values():
            job.tag = None  # it comes again
        with suppress(*FAILURES):
            self._stack.close()

    def __repr__(self) -> str:
        """Without the password."""
        return f"RabbitWorker({self._address.shown!r}, queue={self._queue!r}, name={self._name!r})"

    def _ask(self, question: Callable[[BlockingChannel], T]) -> T:
        """Ask the broker; what goes wrong comes out in words, and the next connection is new."""
        try:
            if self._channel is None or not self._channel.is_open:
                self.close()
                self._channel = self._connect()
            return question(self._channel)
        except FAILURES as error:
            self.close()
            meaning = explain(error)
            what, cure = f"{meaning.what} {meaning.cause}".rstrip(), meaning.cure
            if isinstance(error, ChannelClosedByBroker) and error.reply_code == LOCKED:
                what = f"Somebody else hears of the outcomes in {self._outcomes!r}: {what}"
                cure = "Give each controller's worker a name of its own."
            raise WorkerUnreachable(f"{self._address.shown}: {what}", remedy=cure) from error

    def _connect(self) -> BlockingChannel:
        channel = self._stack.enter_context(connected(self._address)).channel()
        # Two of one name would take each other's outcomes for nobody's. So one of them holds a
        # queue that goes with its connection; it is only there to be held.
        channel.queue_declare(f"{self._outcomes}.held", exclusive=True)
        self._declare(channel)
        channel.confirm_delivery()
        channel.basic_consume(self._outcomes, self._came)
        return channel

    def _declare(self, channel: BlockingChannel) -> None:
        quorum: dict[str, Any] = {"x-queue-type": "quorum"}
        dying = {
            "x-delivery-limit": self._max_deliveries - 1,
            # Without a route by its routing key, to the queue of outcomes.
            "x-dead-letter-exchange": "" if self._route is None else self._route.dead,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        channel.queue_declare(
            self._outcomes, durable=True, arguments=quorum | {"x-delivery-limit": ANY_NUMBER}
        )
        if self._route is None:
            channel.queue_declare(self._queue, durable=True, arguments=quorum | dying)
            channel.exchange_declare(self._queue, "fanout", durable=True)
            channel.queue_bind(self._queue, self._queue)
            return
        channel.exchange_declare(self._route.exchange, "topic", durable=True)
        channel.exchange_declare(self._route.dead, "headers", durable=True)
        mine = {"x-match": "all", OUTCOMES: self._outcomes}
        channel.queue_bind(self._outcomes, self._route.dead, arguments=mine)
        for key in self._route.queues:
            queue = self._route.queue_for(key)
            channel.queue_declare(queue, durable=True, arguments=quorum | dying)
            channel.queue_bind(queue, self._route.exchange, key)

    def _publish(
        self, channel: BlockingChannel, key: str, body: bytes, properties: pika.BasicProperties
    ) -> None:
        try:
            try:
                channel.basic_publish(self._queue, key, body, properties, mandatory=True)
            except UnroutableError:  # somebody has deleted the queue
                self._declare(channel)
                channel.basic_publish(self._queue, key, body, properties, mandatory=True)
        except UnroutableError as error:
            raise JobRefused(
                f"No queue takes messages of {key!r:.80}: none is bound to the exchange "
                f"{self._queue!r:.80} by this routing key.",
                remedy="Start its consumers, whose queue is to be bound so; then try again.",
            ) from error
        except ChannelClosedByBroker as error:
            if error.reply_code != TOO_LARGE:
                raise
            self.close()
            raise JobRefused(
                f"The broker refuses the message: {error.reply_text}", remedy="Make it smaller."
            ) from error
        except NackError as error:
            raise WorkerUnreachable(
                f"{self._address.shown} takes no messages at present.",
                remedy="Is it short of room, or a part of the cluster down?",
            ) from error

    def _came(
        self, channel: BlockingChannel, method: Any, properties: pika.BasicProperties, body: bytes
    ) -> None:
        """Called for each outcome."""
        digest, _, nonce = (properties.correlation_id or "").partition("-")
        job = self._jobs.get(self._ids.get(digest, ""))
        first = job is not None and job.tag is None and job.nonce in (None, nonce)
        if not job or not first:
            channel.basic_ack(method.delivery_tag)
            return
        job.tag = method.delivery_tag
        if job.stage is Stage.PROCESSING:
            job.stage, job.report = _outcome(properties, body)


def _hear(channel: BlockingChannel) -> None:
    """Take what the broker has sent."""
    channel.connection.process_data_events(time_limit=0)


def _outcome(properties: pika.BasicProperties, body: bytes) -> tuple[Stage, Report]:
    if "x-death" in (properties.headers or {}):
        return Stage.FAIL, Report(reason=GIVEN_UP)
    text = body.decode("utf-8", "backslashreplace")
    if properties.type == FAILED:
        return Stage.FAIL, Report(reason=text)
    try:
        return Stage.SUCCESS, Report(result=json.loads(text))
    except ValueError:
        return Stage.SUCCESS, Report(result=text)


def _digest(id_: str) -> str:
    return hashlib.sha256(id_.encode()).hexdigest()[:40]
