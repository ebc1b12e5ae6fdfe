#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["click>=8.2", "pika>=1.4,<2"]
# ///
"""A worker: it takes messages from a queue on RabbitMQ and pretends to work on them.

Its rule: the connection has a thread of its own and the work is done in the main
thread, so that one message may take an hour and the broker still gets its heartbeats.
A message comes in through `Subscription`, waits in the inbox, is worked on in
`Worker.handle`, and is acknowledged through the `Subscription` again. What happens is
said line by line on standard output; a failure ends the program with a sentence and
an exit code of its own. To make it do real work, change `work`.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import random
import re
import signal
import ssl
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

try:
    import click
    import pika
    from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionWrongStateError
except ModuleNotFoundError as missing:
    sys.exit(
        f"qprocessor.py needs the package {missing.name}, which this Python does not have. Type\n"
        "`source .venv/bin/activate` where the lab is set up, or start it by\n"
        "`uv run qprocessor.py`, or type `pip install pika click`."
    )

VERSION = "0.1.0"
GRACE_S = 4.0  # what the message in hand may still take after Ctrl-C; few give a program over 5 s
LONGEST_PAUSE_S = 5.0  # between two attempts to reconnect
LONGEST_SHOWN = 1000  # characters of a body on the screen


def leave_signals_to_the_main_thread() -> None:
    """For every other thread: one that heard Ctrl-C would not wake the main one, which heeds it."""
    if hasattr(signal, "pthread_sigmask"):  # Windows has no such choice
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})


def work(body: bytes, seconds: float) -> None:  # noqa: ARG001 - your own work will want the body
    """Do the work that a message asks for: the place for your own.

    It may take as long as it likes. With `--delay 0` there is no work, and nobody calls this.
    """
    time.sleep(seconds)


# --- What can go wrong -----------------------------------------------------------------


# Name, exit code and the sign by which it is known in what pika or the broker says; what
# happened; what to do next. The first whose sign is found counts; two have other signs.
FAILURES = r"""
refused 3 ConnectionRefused|SocketConnectError|TCP connection attempt timed out
    Nothing answers at {host}:{port}.
    Is the broker running (`labs status`), and is this its port?
unknown_host 4 gaierror
    No machine is known by the name {host!r}.
    Look at --host. Is the network up, or the VPN?
not_amqp 5 IncompatibleProtocol|setting up AMQP|StackTimeout|HandshakeError
    What answers at {host}:{port} does not speak as RabbitMQ does.
    RabbitMQ listens at 5672 (5671 with TLS); 15672 is its management page.
tls_failed 6 SSL
    No secure connection to {host}:{port} came about.
    Port 5671 speaks TLS, 5672 does not; and this machine must trust the certificate.
wrong_password 7 Login was refused|ProbableAuthenticationError
    The broker does not let the user {user!r} in with this password.
    Look at --username and --password. Only the broker's own machine may log in as guest.
no_vhost 8 vhost .* not found
    This broker has no virtual host {vhost!r}.
    Look at --vhost, or at the end of the URL, where the virtual host / is written %2F.
queue_locked 9 RESOURCE_LOCKED|in exclusive use
    The queue {queue!r} is locked: another connection has it for itself alone.
    Stop that program (an old notebook's kernel?), or use another --queue.
no_permission 10 ACCESS_REFUSED|NOT_ALLOWED|ProbableAccessDeniedError
    The user {user!r} may not do this in the virtual host {vhost!r}.
    Look at --vhost and --queue, or ask whoever runs the broker for the permission.
acknowledgement_timeout 11 acknowledgement .*timed out
    The broker waited too long for an acknowledgement, and took its messages back.
    A lost message does that, and so does very long work: acknowledge before the time is out.
transient_refused 12 transient_nonexcl_queues
    There is no queue {queue!r}, and this broker makes no transient ones.
    Add --durable. In a program of your own: queue_declare(queue={queue!r}, durable=True).
precondition_failed 13 PRECONDITION_FAILED
    The queue {queue!r} can't be used, or made, with these settings.
    Change the setting that the broker names, or delete the queue and start afresh.
not_found 14 NOT_FOUND
    There is no queue {queue!r}, or its part of the broker is down.
    Start again: a missing queue is made then. Is this the right --vhost?
connection_lost 15 .*
    The connection to the broker was lost.
    Did the broker stop, or the network? With --reconnect the worker comes back by itself.
queue_deleted 16 -
    The queue {queue!r} was deleted while this worker consumed it.
    Start again: the queue is made anew.
consumer_cancelled 17 -
    The broker ended this worker's subscription to the queue {queue!r}, which is there.
    Start again. Was a message lost? RabbitMQ 4.3 does so when an acknowledgement is overdue.
"""
MAY_PASS = {"refused", "unknown_host", "not_amqp", "connection_lost"}  # --reconnect tries again


class Kind(NamedTuple):
    """One kind of failure, a row of `FAILURES`."""

    name: str
    exit_code: int
    sign: str
    what: str
    remedy: str


def kinds() -> dict[str, Kind]:
    """The rows of `FAILURES`, by name."""
    rows = re.findall(r"^(\w+) (\d+) (.+)\n +(.+)\n +(.+)$", FAILURES, re.MULTILINE)
    return {name: Kind(name, int(code), *words) for name, code, *words in rows}


class Failure(click.ClickException):
    """Raised when the worker can't go on: a kind of failure, and what the broker says of it."""

    def __init__(self, kind: str, said: str, names: dict[str, object]) -> None:
        row = kinds()[kind]
        what, self.remedy = row.what.format_map(names), row.remedy.format_map(names)
        super().__init__(f"{what} The broker says: {said}" if said else what)
        self.kind = kind
        self.exit_code = row.exit_code  # type: ignore[misc]  # click has it in the class

    def show(self, file: Any = None) -> None:
        """Print cause and cure on standard error."""
        click.echo(f" [!] {self.message}\n     {self.remedy}", file=file, err=True)


def kind_of(reason: BaseException) -> str:
    """The kind of failure that ended a connection, a channel or an attempt at one."""
    said = getattr(reason, "reply_text", "") or repr(reason)  # str() of some is empty
    return next(kind.name for kind in kinds().values() if re.search(kind.sign, said))


# --- What is worked on, and what is said of it -----------------------------------------


@dataclass(frozen=True)
class Settings:
    """The flags, without those that say where the broker is."""

    name: str
    queue: str
    durable: bool
    queue_type: str | None
    acknowledge: bool
    prefetch: int
    delay: float
    lose_every: int | None
    crash_every: int | None
    reconnect: bool
    max_messages: int | None
    idle_timeout: float | None
    quiet: bool
    json: bool


@dataclass(slots=True)
class Message:
    """One delivery. Its tag is a number on its own channel, and means nothing on another."""

    channel: Any
    tag: int
    redelivered: bool
    message_id: str | None
    reply_to: str | None  # whoever sent it waits there for an answer,
    correlation_id: str | None  # by which they know to what
    body: bytes
    number: int = 0  # the how many-th of this process, once it is received


@dataclass
class Counts:
    """What this process has done so far."""

    received: int = 0
    done: int = 0
    lost: int = 0
    acknowledged: int = 0
    redelivered: int = 0


def on_one_line(body: bytes) -> str:
    """Show any bytes as one line: UTF-8 as it is, control characters and broken bytes escaped."""
    text = body.decode("utf-8", "backslashreplace")
    if len(text) > LONGEST_SHOWN:
        text = f"{text[:LONGEST_SHOWN]}… ({len(body):,} bytes)"
    control = "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]"  # but for the tab, which ends no line
    return re.sub(control, lambda found: found[0].encode("unicode_escape").decode(), text)


LINES = {
    "received": " [x] Received",
    "done": " [x] Done",
    "lost": " [!] Lost",
    "crashing": " [!] Crashing in the middle of",
}


class Voice:
    """Says on standard output what happens: lines for people, or JSON objects for programs."""

    def __init__(self, settings: Settings) -> None:
        self.name, self.json, self.quiet = settings.name, settings.json, settings.quiet

    def say(self, event: str, line: str, **facts: Any) -> None:
        """Say what happens to the worker; in one write, for two threads speak here."""
        if self.json:
            head = {"event": event, "time": time.time(), "worker": self.name, "pid": os.getpid()}
            line = json.dumps(head | facts)
        elif not line:
            return
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except BrokenPipeError:  # whoever read it has gone, as in `qprocessor.py | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(141) from None

    def tell(self, event: str, message: Message, **facts: Any) -> None:
        """Say what happens to a message."""
        if self.quiet:
            return
        if self.json:
            body = message.body.decode("utf-8", "backslashreplace")
            facts |= {"number": message.number, "delivery_tag": message.tag, "body": body}
            if event != "acknowledged":
                facts["redelivered"] = message.redelivered
            if event == "received":
                facts["message_id"] = message.message_id
            if event == "received" and body.encode() != message.body:
                facts["body_base64"] = base64.b64encode(message.body).decode()
            self.say(event, "", **facts)
        elif event in LINES:
            again = " (redelivered)" if event == "received" and message.redelivered else ""
            self.say(event, f"{LINES[event]} {on_one_line(message.body)}{again}")


# --- The connection, in a thread of its own --------------------------------------------


class Subscription(threading.Thread):
    """Connects, consumes, sends acknowledgements, and comes back when the connection is lost.

    A pika connection belongs to one thread, this one. The methods without an underscore are
    for others: they leave a wish, and this thread fulfils it.
    """

    def __init__(self, parameters: pika.ConnectionParameters, worker: Worker) -> None:
        super().__init__(name="connection", daemon=True)
        self.parameters, self.worker, self.settings = parameters, worker, worker.settings
        self.connection: pika.BlockingConnection | None = None
        self.channel: Any = None
        self.worked_on: deque[Message] = deque()  # and not yet settled
        self.settled_up_to = 0  # on this channel, every message up to this tag is settled
        self.confirms = False  # whether the broker confirms what is published on it
        self.cancelled = False
        self.closing = threading.Event()

    def settle(self, message: Message) -> None:
        """Answer this message, if it asks for an answer, and acknowledge it."""
        self.worked_on.append(message)
        if threading.current_thread() is not self:
            self._wish(self._settle)

    def cancel(self) -> None:
        """Take no more messages."""
        self.cancelled = True
        self._wish(lambda: self.channel and self.channel.is_open and self.channel.cancel())

    def close(self) -> None:
        """Say goodbye to the broker; what is not acknowledged goes back to its queue."""
        self.cancel()
        self.closing.set()
        self._wish(lambda: None)
        self.join(timeout=1)

    def _wish(self, action: Any) -> None:
        with suppress(ConnectionWrongStateError):  # it is lost, and the wish with it
            if self.connection:
                self.connection.add_callback_threadsafe(action)

    def run(self) -> None:
        """Consume until closed, or until a failure, which the main thread raises."""
        leave_signals_to_the_main_thread()
        self.attempt = 0  # to connect, since it last consumed
        try:
            while not self.closing.is_set():
                self._consume_until_closed()
        except BaseException as error:  # noqa: BLE001 - raised again, where it can be seen
            self.worker.inbox.put(error)

    def _consume_until_closed(self) -> None:
        try:
            self._connect()
            self._consume()
        except (AMQPError, OSError) as reason:
            if self.closing.is_set():
                return
            failure = self._failure(kind_of(reason), getattr(reason, "reply_text", ""))
            if not self.settings.reconnect or failure.kind not in MAY_PASS:
                raise failure from reason
            self._pause(failure)

    def _connect(self) -> None:
        settings = self.settings
        self.connection = pika.BlockingConnection(self.parameters)
        channel = self.connection.channel()
        try:  # A queue that is there is used as it is; to declare it otherwise is an error.
            channel.queue_declare(settings.queue, passive=True)
        except ChannelClosedByBroker as reason:
            if reason.reply_code != 404:
                raise
            channel = self.connection.channel()  # on an error the broker closes the channel
            arguments = {"x-queue-type": settings.queue_type} if settings.queue_type else None
            channel.queue_declare(settings.queue, durable=settings.durable, arguments=arguments)
        channel.basic_qos(prefetch_count=settings.prefetch)
        self.channel, self.settled_up_to, self.confirms = channel, 0, False

    def _consume(self) -> None:
        consume = partial(
            self.channel.consume, self.settings.queue, auto_ack=not self.settings.acknowledge
        )
        first = next(consume(inactivity_timeout=0))  # subscribes, and does not wait
        self.attempt = 0
        self.worker.started()
        for method, properties, body in chain([first], consume()):
            if method:
                self.worker.receive(
                    Message(
                        self.channel,
                        method.delivery_tag,
                        method.redelivered,
                        properties.message_id,
                        properties.reply_to,
                        properties.correlation_id,
                        body,
                    )
                )
            # Messages come in bunches, and so their acknowledgements may leave.
            if self.worked_on and not self.channel.get_waiting_message_count():
                self._settle()
        if not self.cancelled:
            raise self._cancelled_by_broker()
        assert self.connection
        while not self.closing.is_set():  # the message in hand is still to be acknowledged
            self.connection.process_data_events(time_limit=None)
        self.connection.close()

    def _settle(self) -> None:
        before = self.settled_up_to
        while self.worked_on:
            message = self.worked_on.popleft()
            if message.channel is not self.channel or not self.channel.is_open:
                continue  # its connection is lost: the broker has put it back in the queue
            if message.reply_to:
                self._answer(message)
            if not self.settings.acknowledge:
                continue
            if message.tag == self.settled_up_to + 1:
                self.settled_up_to += 1
            else:  # one before it was lost
                self.channel.basic_ack(message.tag)
            self.worker.acknowledged(message)
        if self.settled_up_to > before:
            # `multiple` settles all up to this tag: right only because none before it is open.
            self.channel.basic_ack(self.settled_up_to, multiple=True)

    def _answer(self, message: Message) -> None:
        # Before the acknowledgement, and not until the broker has it: to die in between makes
        # a second answer, which its reader can tell by the correlation_id. The other way round
        # it would make none.
        if not self.confirms:
            self.channel.confirm_delivery()
            self.confirms = True
        properties = pika.BasicProperties(
            correlation_id=message.correlation_id, delivery_mode=pika.DeliveryMode.Persistent
        )
        self.channel.basic_publish("", message.reply_to, b'"done"', properties)

    def _pause(self, failure: Failure) -> None:
        # Growing, so as not to press a broker in trouble; random, so that a hundred workers
        # don't come back in the same moment.
        self.attempt += 1
        pause_s = min(0.25 * 2**self.attempt, LONGEST_PAUSE_S) * random.uniform(0.8, 1)
        self.worker.paused(failure, self.attempt, pause_s)
        self.closing.wait(pause_s)

    def _cancelled_by_broker(self) -> Failure:
        try:
            self.channel.queue_declare(self.settings.queue, passive=True)
        except ChannelClosedByBroker:
            return self._failure("queue_deleted")
        return self._failure("consumer_cancelled")

    def _failure(self, kind: str, said: str = "") -> Failure:
        names = {
            "queue": self.settings.queue,
            "host": self.parameters.host,
            "port": self.parameters.port,
            "vhost": self.parameters.virtual_host,
            "user": getattr(self.parameters.credentials, "username", ""),
        }
        return Failure(kind, said, names)


# --- The worker, in the main thread ----------------------------------------------------


class Worker:
    """Takes messages out of its inbox, one after the other, and works on them."""

    def __init__(self, parameters: pika.ConnectionParameters, settings: Settings) -> None:
        self.settings, self.counts, self.voice = settings, Counts(), Voice(settings)
        self.inbox: SimpleQueue[Message | BaseException | None] = SimpleQueue()
        self.stops: SimpleQueue[str] = SimpleQueue()
        self.stopping = ""  # why, once it is
        self.working = False
        self.idle_since: float | None = None
        # Where there is no work, nothing has to be kept away from the connection's thread,
        # and the way from thread to thread would cost a quarter of the speed.
        works = settings.delay or settings.crash_every
        self.receive = self.inbox.put if works else self.handle
        self.subscription = Subscription(parameters, self)

    def run(self) -> None:
        """Work until a signal, a limit or a failure ends it; a failure is raised."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.on_signal)
        threading.Thread(target=self.wind_down, daemon=True).start()
        self.subscription.start()
        try:
            while not self.stopping:
                self.take_from_inbox()
        except Failure as failure:
            self.stopping = failure.kind
            facts = {"remedy": failure.remedy, "exit_code": failure.exit_code}
            self.voice.say("failed", "", kind=failure.kind, message=failure.message, **facts)
            raise
        finally:
            self.subscription.close()
            self.say_stopped()

    def take_from_inbox(self) -> None:
        """Handle the next message, if one comes before the worker loses its patience."""
        patience_s = None
        if self.settings.idle_timeout is not None and self.idle_since is not None:
            patience_s = self.idle_since + self.settings.idle_timeout - time.monotonic()
            if patience_s <= 0:
                self.stop("idle-timeout")
                return
        with suppress(Empty):
            item = self.inbox.get(timeout=patience_s)
            if isinstance(item, BaseException):
                raise item
            # What is unacknowledged when its connection is lost goes back to the queue.
            if item and (item.channel.is_open or not self.settings.acknowledge):
                self.handle(item)

    def handle(self, message: Message) -> None:
        """Receive a message, work on it or lose it, and acknowledge it, as the flags say."""
        if self.stopping:
            return
        settings, counts, voice = self.settings, self.counts, self.voice
        counts.received = message.number = number = counts.received + 1
        counts.redelivered += message.redelivered
        voice.tell("received", message)
        if settings.lose_every and number % settings.lose_every == 0:
            counts.lost += 1
            voice.tell("lost", message)
        else:
            crash = settings.crash_every and number % settings.crash_every == 0
            work_s = self.work_on(message, bool(crash)) if settings.delay or crash else 0.0
            counts.done += 1
            voice.tell("done", message, work_s=work_s)
            if settings.acknowledge or message.reply_to:
                self.subscription.settle(message)
        self.idle_since = time.monotonic()
        if number == settings.max_messages:
            self.stop("max-messages")

    def work_on(self, message: Message, crash: bool) -> float:
        """Work as long as the body asks for; returns the seconds it took. Or crash half-way."""
        began = time.monotonic()
        seconds = len(message.body.decode("utf-8", "replace")) * self.settings.delay
        if crash:
            seconds = max(seconds / 2, 0.05)  # earlier acknowledgements are away by then
        self.working = True
        work(message.body, seconds)
        self.working = False
        if crash:
            self.voice.tell("crashing", message)
            os._exit(137)  # no goodbye to the broker, nothing tidied up: as by kill -9
        return time.monotonic() - began

    def started(self) -> None:
        """Called by the subscription: from now on, messages come."""
        settings = self.settings
        self.voice.say(
            "started",
            f" [*] {settings.name} waits for messages in {settings.queue!r}. To stop, press Ctrl-C",
            queue=settings.queue,
            acknowledge=settings.acknowledge,
            prefetch=settings.prefetch,
            delay_s=settings.delay,
        )
        self.idle_since = time.monotonic()
        self.inbox.put(None)

    def acknowledged(self, message: Message) -> None:
        """Called by the subscription: this message's acknowledgement is on its way."""
        self.counts.acknowledged += 1
        self.voice.tell("acknowledged", message)

    def paused(self, failure: Failure, attempt: int, pause_s: float) -> None:
        """Called by the subscription: there is no connection, and another attempt will follow."""
        self.voice.say("disconnected", f" [!] {failure.message}", reason=failure.message)
        line = f" [*] Trying again in {pause_s:.1f} s (attempt {attempt})"
        self.voice.say("reconnecting", line, attempt=attempt, pause_s=pause_s)

    def on_signal(self, number: int, _frame: object) -> None:
        """Stop after the message in hand. A second signal kills: its handler is the system's."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.stop(signal.Signals(number).name)

    def stop(self, reason: str) -> None:
        """Begin no further message. It takes no lock: a signal may call it at any moment."""
        self.stopping = self.stopping or reason
        self.stops.put(reason)
        self.inbox.put(None)

    def wind_down(self) -> None:
        """Once it stops: take no more messages, and if the work goes on for long, leave it."""
        leave_signals_to_the_main_thread()
        self.stops.get()
        if self.working and not self.settings.json:
            line = f" [*] Stopping after this message, or in {GRACE_S:g} s. Ctrl-C again: at once"
            self.voice.say("stopping", line)
        self.subscription.cancel()
        time.sleep(GRACE_S)
        self.say_stopped()
        os._exit(0)

    def say_stopped(self) -> None:
        """Sum up what this process did."""
        counts = asdict(self.counts)
        summary = ", ".join(f"{name} {count}" for name, count in counts.items())
        line = f" [*] {self.settings.name} stopped ({self.stopping or 'failed'}): {summary}"
        self.voice.say("stopped", line, reason=self.stopping or "failed", **counts)


# --- The command line ------------------------------------------------------------------

HELP = """Take messages from a queue on RabbitMQ and pretend to work on them: one second for each
character of the message, or as --delay says. It prints what it receives and what is done,
and can lose messages, or crash, on purpose. A message with a reply_to gets an answer there.

\b
  ./qprocessor.py                              consume the queue hello
  ./qprocessor.py --acknowledge --prefetch 1   one message at a time, none lost in a crash
  ./qprocessor.py --acknowledge --lose-every 3
  AMQP_URL=amqps://alice:secret@broker.example.org/lab ./qprocessor.py --queue work

Ctrl-C and SIGTERM let the message in hand be finished, but for no longer than 4 seconds;
then it goes back to the queue, or is gone without --acknowledge, as are all that
the broker had sent here by then. A second Ctrl-C stops at once."""

ENVIRONMENT = """Each flag may come from the environment too, --host as QPROCESSOR_HOST and so on;
AMQP_URL, QUEUE and DELAY need no such beginning. Others on the machine can see a password
on a command line; in the environment, or asked for, they can't.

Tab completion in bash: eval "$(_QPROCESSOR_PY_COMPLETE=bash_source ./qprocessor.py)"; in zsh
and fish the same with zsh_source and fish_source."""

OTHER_EXITS = {0: "stopped as asked", 2: "a flag that can't be", 137: "crashed as asked"}
OTHER_EXITS |= {141: "nobody reads on"}
GROUPS = {  # in the help; each begins with this flag
    "url": "Where the broker is",
    "queue": "The queue",
    "acknowledge": "Consuming",
    "delay": "Work, and trouble on purpose",
    "max_messages": "When to stop",
    "name": "What is said",
}


class Manual(click.Command):
    """A command whose help shows its flags in groups, and its exit codes."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags under the headings of `GROUPS`, and what follows them."""
        groups: dict[str, list[tuple[str, str]]] = {}
        title = ""
        for flag in self.get_params(ctx):
            title = GROUPS.get(flag.name or "", title)
            if record := flag.get_help_record(ctx):
                groups.setdefault(title, []).append(record)
        codes = OTHER_EXITS | {kind.exit_code: kind.name for kind in kinds().values()}
        groups["Exit codes"] = [
            (str(code), codes[code].replace("_", " ")) for code in sorted(codes)
        ]
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def broker_from(
    url: str | None, host: str | None, tls: bool, **given: Any
) -> pika.ConnectionParameters:
    """Put together where the broker is: a URL, and what single flags say otherwise."""
    home = os.environ.get("LABS_HOME") or Path(__file__).resolve().parent / ".labs"
    if not url and not host and (of_the_lab := Path(home, "amqp-url")).is_file():
        url = of_the_lab.read_text().strip()
    try:
        parts = urlsplit(url or "amqp://guest:guest@localhost:5672/%2F")  # RabbitMQ's own
        port = given["port"] or parts.port
        legal = parts.scheme in ("amqp", "amqps") and not parts.query and "/" not in parts.path[1:]
    except ValueError:
        legal = False
    if not legal:
        form = "amqp://user:password@host:port/vhost, where the virtual host / is %2F"
        raise click.UsageError(f"The URL of the broker can't be read. Write {form}.")
    tls = tls or parts.scheme == "amqps"
    host = host or parts.hostname or "localhost"
    username = given["username"] or unquote(parts.username or "guest")
    password = given["password"] or unquote(parts.password or "guest")
    return pika.ConnectionParameters(
        host=host,
        port=port or (5671 if tls else 5672),
        virtual_host=given["vhost"] or unquote(parts.path[1:]) or "/",
        credentials=pika.PlainCredentials(username, password),
        ssl_options=pika.SSLOptions(ssl.create_default_context(), host) if tls else None,
        heartbeat=given["heartbeat"],
        client_properties={"connection_name": given["name"]},  # the management page shows it
    )


def short_name(_context: click.Context, flag: click.Parameter, value: str) -> str:
    """Refuse what AMQP can't take as a name."""
    if not 0 < len(value.encode()) < 256:
        raise click.BadParameter("a name has 1 to 255 bytes", param=flag)
    return value


COUNT, UPTO_65535, SECONDS = click.IntRange(1), click.IntRange(0, 65535), click.FloatRange(0)
TYPES = click.Choice(["classic", "quorum", "stream"])


@click.command(
    cls=Manual,
    help=HELP,
    epilog=ENVIRONMENT,
    context_settings={"auto_envvar_prefix": "QPROCESSOR", "show_default": True},
)
@click.option(
    "--url",
    envvar="AMQP_URL",
    help="amqp://user:password@host:port/vhost. Else AMQP_URL in the environment, the "
    "lab's own (.labs/amqp-url beside this file), or RabbitMQ's own: guest at localhost.",
)
@click.option("--host", help="Instead of the URL's, as the next five are.")
@click.option("--port", type=click.IntRange(1, 65535), help="5672, or 5671 with TLS.")
@click.option("--vhost", help="The virtual host.")
@click.option("--username", help="Who you are to the broker.")
@click.option(
    "--password",
    prompt=True,
    prompt_required=False,
    hide_input=True,
    help="Without a value it is asked for.",
)
@click.option("--tls", is_flag=True, help="Encrypt, and trust whom this machine trusts.")
@click.option(
    "--heartbeat", type=UPTO_65535, help="Seconds; a peer silent for two of these is dead."
)
@click.option(
    "--reconnect",
    is_flag=True,
    help="Come back after a lost connection, and wait for a broker that is not up yet.",
)
@click.option(
    "--queue",
    callback=short_name,
    envvar="QUEUE",
    default="hello",
    help="If it exists it is used as it is, whatever its properties; else it is declared:",
)
@click.option(
    "--durable/--transient",
    default=None,
    help="to survive the broker's restart, or not (the default, as by queue_declare('hello'));",
)
@click.option(
    "--queue-type", type=TYPES, help="as this type; quorum queues and streams are durable."
)
@click.option(
    "--acknowledge",
    is_flag=True,
    help="Acknowledge each message after its work. Without it (auto_ack) the broker forgets a "
    "message as it sends it.",
)
@click.option(
    "--prefetch",
    type=UPTO_65535,
    default=0,
    help="How many unacknowledged messages may be here; 0: no limit.",
)
@click.option(
    "--delay",
    type=SECONDS,
    envvar="DELAY",
    default=1.0,
    help="Seconds of work for each character; 0: none.",
)
@click.option(
    "--lose-every",
    type=COUNT,
    help="Receive and forget each Nth message: not done, not acknowledged.",
)
@click.option("--crash-every", type=COUNT, help="Die in the middle of each Nth message's work.")
@click.option("--max-messages", type=COUNT, help="Stop after so many messages.")
@click.option("--idle-timeout", type=SECONDS, help="Stop after so long without a message.")
@click.option(
    "--name",
    callback=short_name,
    default=lambda: f"worker-{os.getpid()}",
    show_default="worker-PID",
    help="As the worker calls itself.",
)
@click.option("--quiet", is_flag=True, help="Say nothing of single messages.")
@click.option("--json", is_flag=True, help="Say all as JSON, one object a line.")
@click.version_option(VERSION, message=f"qprocessor %(version)s, pika {pika.__version__}")
def main(durable: bool | None, **flags: Any) -> None:
    """Wire the parts, as the flags say, and run."""
    log = logging.getLogger("pika")  # it logs what `Failure` says better
    log.addHandler(logging.NullHandler())
    log.propagate = False
    if isinstance(sys.stdout, io.TextIOWrapper):  # a screen that can't show a letter shows its code
        sys.stdout.reconfigure(errors="backslashreplace")
    must_be_durable = flags["queue_type"] in ("quorum", "stream")
    if must_be_durable and durable is False:
        raise click.UsageError(f"A {flags['queue_type']} queue can't be transient.")
    about_settings = {field.name for field in fields(Settings)} - {"durable"}
    settings = Settings(
        durable=must_be_durable if durable is None else durable,
        **{name: value for name, value in flags.items() if name in about_settings},
    )
    Worker(broker_from(**flags), settings).run()


if __name__ == "__main__":
    main()
