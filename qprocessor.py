#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["click>=8.2", "pika>=1.4,<2"]
# ///
"""A worker: it takes messages from a queue of RabbitMQ and pretends to work on them.

Its rule: the connection has a thread of its own, and the work is done in the main
thread, so that a message may take an hour and the broker still gets its heartbeats.
Messages come in through `Subscription`, wait in an inbox, and are worked on in
`Worker.handle`; acknowledgements go back through the same `Subscription`. Lines go
to standard output, and a failure ends the program with a sentence and an exit code
of its own. To make it do real work, change `work`.
"""

from __future__ import annotations

import base64
import collections
import functools
import itertools
import json
import logging
import os
import queue
import random
import re
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

try:
    import click
    import pika
    from pika.channel import Channel
except ModuleNotFoundError as missing:
    sys.exit(
        f"qprocessor needs the package {missing.name}, which this Python does not have.\n"
        "Run `source .venv/bin/activate` first, or `uv run qprocessor.py`, or `pip install pika click`."
    )

VERSION = "0.1.0"
GRACE_S = (
    4  # after Ctrl-C or SIGTERM, what the message in hand may still take: most wait 5 s or more
)
LONGEST_PAUSE_S = 10  # between two attempts to reconnect


def work(body: bytes, seconds: float) -> None:
    """Do the work that a message asks for. This is the place for your own.

    It may take as long as it likes. With `--delay 0` there is no work: this is not called.
    """
    time.sleep(seconds)


# --- What can go wrong -----------------------------------------------------------------


class Kind(NamedTuple):
    """One kind of failure: its exit code, the sign by which it is known, and its words."""

    exit_code: int
    sign: str | None  # a pattern, searched for in what pika or the broker says; the first to match
    what: str
    remedy: str
    passes: bool = False  # it may pass by itself: --reconnect tries again


KINDS = {
    "wrong_password": Kind(
        4,
        r"Login was refused|ProbableAuthenticationError",
        "The broker does not know the user {user!r} with this password.",
        "Look at --username and --password. The user guest may only log in from the broker's own machine.",
    ),
    "no_vhost": Kind(
        5,
        r"vhost .* not found",
        "There is no virtual host {vhost!r} on this broker.",
        "Look at --vhost, or at the end of the URL: the vhost / is written %2F there.",
    ),
    "acknowledgement_timeout": Kind(
        13,
        r"acknowledgement .*timed out",
        "The broker waited too long for an acknowledgement, and gave up on this worker.",
        "A lost message or very long work does that. The unacknowledged messages are back in the queue.",
    ),
    "transient_refused": Kind(
        14,
        r"transient_nonexcl_queues",
        "There is no queue {queue!r}, and this broker refuses to make transient queues (RabbitMQ 4.3 does).",
        "Add --durable, here and in the program that publishes.",
    ),
    "queue_locked": Kind(
        7,
        r"RESOURCE_LOCKED|in exclusive use",
        "The queue {queue!r} is locked: another connection has it for itself alone.",
        "Stop that program (an old notebook kernel, perhaps), or use another --queue.",
    ),
    "precondition_failed": Kind(
        8,
        r"PRECONDITION_FAILED",
        "The broker can't give what was asked of the queue {queue!r}.",
        "Its own words above name the setting: change that flag, or delete the queue and start afresh.",
    ),
    "not_found": Kind(
        9,
        r"NOT_FOUND",
        "There is no queue {queue!r} in the virtual host {vhost!r}, or not any more.",
        "Look at --queue and --vhost, and start again: a queue that is missing is made then.",
    ),
    "no_permission": Kind(
        6,
        r"NOT_ALLOWED|ACCESS_REFUSED|ProbableAccessDenied",
        "The user {user!r} may not do this in the virtual host {vhost!r}.",
        "Look at --vhost and --queue, or ask whoever runs the broker for the permission.",
    ),
    "unknown_host": Kind(
        15,
        r"gaierror",
        "The name {host!r} leads to no machine.",
        "Look at --host; is the network (or the VPN) up?",
        passes=True,
    ),
    "tls_failed": Kind(
        16,
        r"SSL|ssl\.",
        "No secure connection to {host}:{port} came about.",
        "A port without TLS (5672)? Leave --tls out. With TLS (5671)? Its certificate must be trusted here.",
    ),
    "refused": Kind(
        3,
        r"ConnectorSocketConnectError|TCP connection attempt timed out|Errno 111|refused",
        "Nothing answers at {host}:{port}.",
        "Is the broker running (`labs status`), and is this its port?",
        passes=True,
    ),
    "not_amqp": Kind(
        17,
        r"IncompatibleProtocol|setting up AMQP|AMQPConnectorStackTimeout|AMQPConnectorAMQPHandshake",
        "Something answers at {host}:{port}, but not as a RabbitMQ does.",
        "RabbitMQ listens at 5672 (5671 with TLS); 15672 is its management page.",
        passes=True,
    ),
    "queue_deleted": Kind(
        11,
        None,
        "The queue {queue!r} was deleted while this worker consumed it.",
        "Start the worker again: it makes the queue anew.",
    ),
    "consumer_cancelled": Kind(
        12,
        None,
        "The broker ended this worker's subscription to {queue!r}; the queue is there.",
        "Start the worker again.",
    ),
    "connection_lost": Kind(  # the last one: whatever else ends a connection
        10,
        r".*",
        "The connection to the broker was lost.",
        "Has the broker stopped, or the network? With --reconnect the worker comes back by itself.",
        passes=True,
    ),
}


class Failure(click.ClickException):
    """The worker can't go on: one of `KINDS`, with what the broker itself says about it."""

    def __init__(self, kind: str, said: str, names: dict[str, object]) -> None:
        row = KINDS[kind]
        super().__init__(row.what.format_map(names) + (f" The broker says: {said}" if said else ""))
        self.kind, self.remedy, self.exit_code, self.passes = (
            kind,
            row.remedy,
            row.exit_code,
            row.passes,
        )

    def show(self, file: Any = None) -> None:
        """Print cause and cure on standard error."""
        click.echo(f" [!] {self.message}\n     {self.remedy}", file=file, err=True)


def kind_of(reason: BaseException) -> str:
    """The name, in `KINDS`, of what ended a connection or a channel."""
    said = getattr(reason, "reply_text", "") or repr(reason)  # str() of some of these is empty
    return next(kind for kind, row in KINDS.items() if row.sign and re.search(row.sign, said))


# --- Messages and what is said about them ----------------------------------------------


class Message(NamedTuple):
    """One delivery. Its tag is a number on its own channel, and means nothing on another."""

    channel: Channel
    tag: int
    redelivered: bool
    message_id: str | None
    body: bytes


@dataclass
class Counts:
    """What this process has done so far."""

    received: int = 0
    done: int = 0
    lost: int = 0
    acknowledged: int = 0
    redelivered: int = 0


@dataclass(frozen=True)
class Settings:
    """The flags that say how to consume and how to work."""

    name: str
    queue: str
    acknowledge: bool
    prefetch: int
    delay_s: float
    lose_every: int | None
    crash_every: int | None
    durable: bool
    queue_type: str | None
    reconnect: bool
    max_messages: int | None
    idle_timeout_s: float | None
    quiet: bool
    json: bool


def text_of(body: bytes) -> str:
    """Any bytes as text on one line: UTF-8 as it is, control characters and all else escaped."""
    text = body.decode("utf-8", "backslashreplace")
    return re.sub(
        "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]",  # all but the tab: it ends no line
        lambda found: found[0].encode("unicode_escape").decode(),
        text,
    )


@dataclass(frozen=True)
class Voice:
    """Says what happens, on standard output: a line for people, or an object for programs."""

    name: str
    json: bool
    quiet: bool

    def say(self, event: str, line: str, **facts: Any) -> None:
        """Say it, in one write: two threads may speak."""
        if self.json:
            head = {"event": event, "time": time.time(), "worker": self.name, "pid": os.getpid()}
            line = json.dumps(head | facts)
        if line:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def say_of(self, message: Message, number: int, event: str, line: str, **facts: Any) -> None:
        """Say something of a message, unless the worker is to be quiet."""
        if self.quiet:
            return
        if not self.json:
            body = text_of(message.body)
            return self.say(event, line.replace("BODY", body, 1) if line else "")
        body = message.body.decode("utf-8", "backslashreplace")
        facts = {"number": number, "delivery_tag": message.tag} | facts
        if event != "acknowledged":
            facts["redelivered"] = message.redelivered
        if event == "received":
            facts["message_id"] = message.message_id
            if body.encode("utf-8", "replace") != message.body:
                facts["body_base64"] = base64.b64encode(message.body).decode()
        self.say(event, "", body=body, **facts)


# --- The connection, in a thread of its own --------------------------------------------


class Subscription:
    """The connection to the broker, with one consumer on it, in a thread of its own.

    A pika connection belongs to one thread: what others want of it (`acknowledge`, `cancel`,
    `close`) is handed over to that thread. Callbacks lead from one step to the next: open,
    channel, queue, prefetch, consume.
    """

    def __init__(
        self,
        parameters: pika.ConnectionParameters,
        settings: Settings,
        voice: Voice,
        on_message: Callable[[Message], None],
        on_acknowledged: Callable[[Message, int], None],
        on_end: Callable[[BaseException], None],
    ) -> None:
        self.parameters, self.settings, self.voice = parameters, settings, voice
        self.on_message, self.on_acknowledged, self.on_end = on_message, on_acknowledged, on_end
        self.thread = threading.Thread(target=self._run, name="connection", daemon=True)
        self.connection: pika.SelectConnection | None = None
        self.channel: Channel | None = None
        self.failure: Failure | None = None  # why this connection ended
        self.closing = False
        self.attempt = 0  # to connect, since the last time that it consumed

    def acknowledge(self, message: Message, number: int) -> None:
        """Acknowledge a message on the connection that it came by, even if that is lost by now."""
        send = functools.partial(self._send_acknowledgement, message, number)
        if threading.current_thread() is self.thread:
            send()
        else:
            message.channel.connection.ioloop.add_callback_threadsafe(send)

    def cancel(self) -> None:
        """Take no further messages."""
        if self.connection:
            self.connection.ioloop.add_callback_threadsafe(self._cancel)

    def close(self) -> None:
        """Say goodbye to the broker: what is unacknowledged goes back to the queue."""
        self.closing = True
        if self.connection:
            self.connection.ioloop.add_callback_threadsafe(self._close)
            self.thread.join(timeout=1)

    def _run(self) -> None:
        try:
            while not self.closing:
                self._consume_until_closed()
                failure = self.failure
                if failure is None:
                    return
                if not (self.settings.reconnect and failure.passes):
                    raise failure
                self._pause(failure)
        except BaseException as error:  # it ends the program, in the main thread
            self.on_end(error)

    def _pause(self, failure: Failure) -> None:
        self.attempt += 1
        # Growing, so as not to press a broker that has trouble; random, so that a hundred
        # workers don't come back in the same moment.
        pause_s = min(0.25 * 2**self.attempt, LONGEST_PAUSE_S) * random.uniform(0.8, 1)
        self.voice.say("disconnected", f" [!] {failure.message}", reason=failure.message)
        again = f" [*] Trying again in {pause_s:.1f} s (attempt {self.attempt})"
        self.voice.say("reconnecting", again, attempt=self.attempt, pause_s=pause_s)
        time.sleep(pause_s)

    def _consume_until_closed(self) -> None:
        self.failure = None
        self.connection = pika.SelectConnection(
            self.parameters,
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_closed,
            on_close_callback=self._on_closed,
        )
        self.connection.ioloop.start()
        self.connection.ioloop.close()

    def _on_open(self, connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=self._look_for_queue)

    def _look_for_queue(self, channel: Channel) -> None:
        # Passive: a queue that is there is used as it is; declaring it otherwise would be refused.
        self._use(channel, if_missing=self._make_queue)
        channel.queue_declare(self.settings.queue, passive=True, callback=self._set_prefetch)

    def _make_queue(self) -> None:
        # The broker answered "no such queue" and closed the channel, as it does on every error.
        assert self.connection
        self.connection.channel(on_open_callback=self._declare_queue)

    def _declare_queue(self, channel: Channel) -> None:
        self._use(channel, if_missing=None)
        queue_type = self.settings.queue_type
        channel.queue_declare(
            self.settings.queue,
            durable=self.settings.durable,
            arguments={"x-queue-type": queue_type} if queue_type else None,
            callback=self._set_prefetch,
        )

    def _use(self, channel: Channel, if_missing: Callable[[], None] | None) -> None:
        self.channel, self.if_missing = channel, if_missing
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_cancel_callback(self._on_cancelled)

    def _set_prefetch(self, _declared: object) -> None:
        assert self.channel
        self.channel.basic_qos(prefetch_count=self.settings.prefetch, callback=self._consume)

    def _consume(self, _limited: object) -> None:
        assert self.channel
        self.channel.basic_consume(
            self.settings.queue,
            self._on_delivery,
            auto_ack=not self.settings.acknowledge,
            consumer_tag=self.settings.name,
            callback=self._on_consuming,
        )

    def _on_consuming(self, _started: object) -> None:
        self.attempt = 0
        settings = self.settings
        self.voice.say(
            "started",
            f" [*] {settings.name} waits for messages in {settings.queue!r}. To stop, press Ctrl-C",
            queue=settings.queue,
            acknowledge=settings.acknowledge,
            prefetch=settings.prefetch,
            delay_s=settings.delay_s,
        )

    def _on_delivery(self, channel: Channel, method: Any, properties: Any, body: bytes) -> None:
        message = Message(
            channel, method.delivery_tag, method.redelivered, properties.message_id, body
        )
        try:
            self.on_message(message)
        except BaseException as error:  # pika would take it for a lost connection
            self.on_end(error)

    def _send_acknowledgement(self, message: Message, number: int) -> None:
        if message.channel.is_open:
            message.channel.basic_ack(message.tag)
            self.on_acknowledged(message, number)

    def _cancel(self) -> None:
        if self.channel and self.channel.is_open:
            self.channel.basic_cancel(self.settings.name)

    def _close(self) -> None:
        if self.connection and not (self.connection.is_closing or self.connection.is_closed):
            self.connection.close()

    def _on_cancelled(self, _frame: object) -> None:
        # The broker ends a subscription when its queue is deleted, and seldom for another reason.
        assert self.channel
        self.if_missing = functools.partial(self._fail, "queue_deleted")
        self.channel.queue_declare(
            self.settings.queue,
            passive=True,
            callback=lambda _found: self._fail("consumer_cancelled"),
        )

    def _on_channel_closed(self, _channel: Channel, reason: Exception) -> None:
        if not isinstance(reason, pika.exceptions.ChannelClosedByBroker):
            return  # the connection is closing, and says why
        if reason.reply_code == 404 and self.if_missing:
            self.if_missing()
        else:
            self._fail(kind_of(reason), reason.reply_text)

    def _on_closed(self, connection: Any, reason: BaseException) -> None:
        if not self.failure and not self.closing:
            self._fail(kind_of(reason), getattr(reason, "reply_text", ""))
        connection.ioloop.stop()

    def _fail(self, kind: str, said: str = "") -> None:
        names = {
            "queue": self.settings.queue,
            "host": self.parameters.host,
            "port": self.parameters.port,
            "vhost": self.parameters.virtual_host,
            "user": getattr(self.parameters.credentials, "username", ""),
        }
        self.failure = Failure(kind, said, names)
        self._close()


# --- The worker, in the main thread ----------------------------------------------------


class Worker:
    """Takes messages out of the inbox, one after the other, and works on them."""

    def __init__(self, parameters: pika.ConnectionParameters, settings: Settings) -> None:
        self.settings, self.counts = settings, Counts()
        self.voice = Voice(settings.name, settings.json, settings.quiet)
        self.inbox: queue.SimpleQueue[Message | BaseException | None] = queue.SimpleQueue()
        self.stops: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.stopping, self.stopped_by = False, ""
        self.last_at = time.monotonic()
        # Where there is no work, there is nothing to keep away from the connection's thread,
        # and the way through the inbox would cost a third of the speed.
        receive = self.inbox.put if settings.delay_s else self.handle
        self.subscription = Subscription(
            parameters, settings, self.voice, receive, self.on_acknowledged, self.inbox.put
        )

    def run(self) -> None:
        """Work until something says stop: a signal, a limit, or a failure, which is raised."""
        for signal_ in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_, self.on_signal)
        threading.Thread(target=self.wind_down, daemon=True).start()
        self.subscription.thread.start()
        reason = "failed"
        try:
            reason = self.work_through_inbox()
        finally:
            self.subscription.close()
            self.say_stopped(reason)

    def work_through_inbox(self) -> str:
        """Handle message after message; returns why it stopped."""
        while not self.stopping:
            try:
                item = self.inbox.get(timeout=self.patience_s())
            except queue.Empty:
                if self.patience_s() == 0:
                    self.stop("idle-timeout")
                continue
            if isinstance(item, BaseException):
                raise item
            # An unacknowledged message of a lost connection is back in the queue by now.
            if item and (item.channel.is_open or not self.settings.acknowledge):
                self.handle(item)
        return self.stopped_by

    def patience_s(self) -> float | None:
        """How long to wait for the next message, in seconds; None for ever."""
        if self.settings.idle_timeout_s is None:
            return None
        return max(0, self.last_at + self.settings.idle_timeout_s - time.monotonic())

    def handle(self, message: Message) -> None:
        """Receive a message, work on it, and acknowledge it, as the flags say."""
        if self.stopping:
            return
        settings, counts = self.settings, self.counts
        counts.received += 1
        counts.redelivered += message.redelivered
        number = counts.received
        again = " (redelivered)" if message.redelivered else ""
        self.voice.say_of(message, number, "received", f" [x] Received BODY{again}")
        if settings.lose_every and number % settings.lose_every == 0:
            counts.lost += 1
            self.voice.say_of(message, number, "lost", " [!] Lost BODY")
        else:
            crash = bool(settings.crash_every) and number % settings.crash_every == 0
            work_s = self.work_on(message, number, crash)
            counts.done += 1
            self.voice.say_of(message, number, "done", " [x] Done BODY", work_s=work_s)
            if settings.acknowledge:
                self.subscription.acknowledge(message, number)
        self.last_at = time.monotonic()
        if number == settings.max_messages:
            self.stop("max-messages")

    def work_on(self, message: Message, number: int, crash: bool) -> float:
        """Work as many seconds as the delay says for each character; returns the seconds it took."""
        began = time.monotonic()
        seconds = len(message.body.decode("utf-8", "replace")) * self.settings.delay_s
        if crash:
            seconds /= 2
        if seconds:
            work(message.body, seconds)
        if crash:
            self.voice.say_of(message, number, "crashing", " [!] Crashing in the middle of BODY")
            os._exit(137)  # no goodbye to the broker, nothing tidied up: as by kill -9
        return time.monotonic() - began

    def on_acknowledged(self, message: Message, number: int) -> None:
        """Count an acknowledgement that was sent; called in the connection's thread."""
        self.counts.acknowledged += 1
        self.voice.say_of(message, number, "acknowledged", "")

    def on_signal(self, signal_number: int, _frame: object) -> None:
        """Stop after the message in hand. The next signal finds Python's own handler: it kills."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.stop(signal.Signals(signal_number).name)

    def stop(self, reason: str) -> None:
        """Begin no further message. A signal may call this anywhere: it takes no lock."""
        if not self.stopping:
            self.stopped_by = reason
            self.stopping = True
            self.stops.put(reason)
            self.inbox.put(None)

    def wind_down(self) -> None:
        """In a thread of its own: on a stop, take no more messages, and give up in good time."""
        self.stops.get()
        self.subscription.cancel()
        time.sleep(GRACE_S)
        self.say_stopped(self.stopped_by)
        os._exit(0)

    def say_stopped(self, reason: str) -> None:
        """Sum up what this process did."""
        counts = vars(self.counts)
        line = ", ".join(f"{name} {count}" for name, count in counts.items())
        self.voice.say(
            "stopped",
            f" [*] {self.settings.name} stopped ({reason}): {line}",
            reason=reason,
            **counts,
        )


# --- The command line ------------------------------------------------------------------


@click.command()
@click.option("--url")
@click.option("--queue", envvar="QUEUE", default="hello")
@click.option("--name", default=f"worker-{os.getpid()}")
@click.option("--acknowledge", is_flag=True)
@click.option("--prefetch", type=click.IntRange(0, 65535), default=0)
@click.option("--delay", type=click.FloatRange(0), default=1.0, envvar="DELAY")
@click.option("--lose-every", type=click.IntRange(1))
@click.option("--crash-every", type=click.IntRange(1))
@click.option("--durable/--transient", default=None)
@click.option("--queue-type")
@click.option("--reconnect", is_flag=True)
@click.option("--heartbeat", type=click.IntRange(0, 65535))
@click.option("--max-messages", type=click.IntRange(1))
@click.option("--idle-timeout", type=click.FloatRange(0))
@click.option("--quiet", is_flag=True)
@click.option("--json", "as_json", is_flag=True)
def main(
    url,
    queue,
    name,
    acknowledge,
    prefetch,
    delay,
    lose_every,
    crash_every,
    durable,
    queue_type,
    reconnect,
    heartbeat,
    max_messages,
    idle_timeout,
    quiet,
    as_json,
) -> None:
    logging.getLogger("pika").addHandler(logging.NullHandler())
    logging.getLogger("pika").propagate = False
    beside = Path(__file__).resolve().parent / ".labs" / "amqp-url"
    url = (
        url
        or os.environ.get("AMQP_URL")
        or (
            beside.read_text().strip()
            if beside.exists()
            else "amqp://guest:guest@localhost:5672/%2F"
        )
    )
    parameters = pika.URLParameters(url)
    parameters.heartbeat = heartbeat
    parameters.client_properties = {"connection_name": name}
    settings = Settings(
        name=name,
        queue=queue,
        acknowledge=acknowledge,
        prefetch=prefetch,
        delay_s=delay,
        lose_every=lose_every,
        crash_every=crash_every,
        durable=bool(durable) if durable is not None else queue_type in ("quorum", "stream"),
        queue_type=queue_type,
        reconnect=reconnect,
        max_messages=max_messages,
        idle_timeout_s=idle_timeout,
        quiet=quiet,
        json=as_json,
    )
    Worker(parameters, settings).run()


if __name__ == "__main__":
    main()
