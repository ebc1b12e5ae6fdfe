"""A connection to RabbitMQ in a thread of its own, made anew for as long as it takes.

A pika connection belongs to one thread: here it is a `Link`'s. So heartbeats go on
whatever others do. Others leave work with `post`, which wakes the thread once for all
that has gathered, or ask one question on a channel of its own with `ask`. When the
connection is lost, or never comes about, the next address is tried, with pauses that
grow after each round. `on_up` is told of each new connection.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker, ConnectionWrongStateError

from labs.broker.address import Address
from labs.broker.explain import explain
from labs.job_queue.bus import BusUnreachable
from labs.job_queue.rabbitmq_connection import (
    CONNECT_TIMEOUT_S,
    SLEEPS_UNLOCKED,
    Connection,
    Loop,
    Lost,
    in_words,
    parameters_of,
    settle,
)
from labs.job_queue.rabbitmq_turn import Turn

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
STEADY_S = 2.0
"""A connection that lasted so long was a good one: pauses begin anew."""
GOODBYE_S = 2.0

Question = Callable[[Channel, Callable[[Any], None]], object]
"""Says something on a fresh channel, and what to call with the answer."""


class Link:
    """One connection at a time, to whichever of the addresses can be had.

    Args:
        addresses: of the same broker, or of the nodes of a cluster.
        name: as the broker shows the connection.
        on_up: called in the link's thread with each new connection.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        name: str,
        *,
        heartbeat_s: int,
        on_up: Callable[[Connection], None],
    ) -> None:
        self.name = name
        self.blocked = ""
        """Why the broker takes nothing at present; empty while it does."""
        self._process: int | None = None
        """The one whose thread the link lives in; None: it has none yet."""
        self._addresses = addresses
        self._heartbeat_s = heartbeat_s
        self._on_up = on_up
        self._turn = Turn()
        self._connection: Connection | None = None
        self._is_up = False
        self._since_s = 0.0
        self._address = addresses[0]
        self._said = ""
        self._posted: deque[Callable[[], object]] = deque()
        self._woken = False
        self._state = threading.Condition()
        self._failed_rounds = 0
        self._why: BaseException | None = None
        self._closing = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"link {name}", daemon=True)

    @property
    def shown(self) -> str:
        """The addresses as a person may see them."""
        return " or ".join(address.shown for address in self._addresses)

    @property
    def connection(self) -> Connection | None:
        """In the link's thread: the connection, once it is open."""
        return self._connection if self._is_up else None

    @property
    def is_up(self) -> bool:
        """Whether there is a connection at present."""
        return self._is_up

    def is_own_thread(self) -> bool:
        """Whether the caller runs in the link's thread, which must not wait for itself."""
        return threading.current_thread() is self._thread

    def start(self) -> None:
        """Begin to connect; more than once is no error."""
        with self._state:
            if not self._closing.is_set() and self._thread.ident is None:
                self._process = os.getpid()
                self._thread.start()

    def wait_until_up(self, patience_s: float, *, first_failure: bool = False) -> None:
        """Return once there is a connection; `first_failure`: don't wait for a second try.

        Raises:
            BusUnreachable: there was none in time, with the reason of the last failure; or it is
                another process's.
        """
        if self._process not in (None, os.getpid()):
            raise BusUnreachable(
                f"The connection to {self.shown} belongs to the process that this one was forked "
                "from: two can't use one connection.",
                remedy="Make the job queue after the fork, in each process one of its own.",
            )
        if self._is_up:
            return
        self.start()
        self._hurry.set()
        with self._state:
            rounds = self._failed_rounds

            def decided() -> bool:
                failed = first_failure and self._failed_rounds > rounds
                return self._is_up or failed or self._closing.is_set()

            self._state.wait_for(decided, patience_s)
            if self._is_up:
                return
        raise self.unreachable()

    def unreachable(self) -> BusUnreachable:
        """Why there is no connection, in words."""
        if self._closing.is_set():
            return BusUnreachable("This bus is closed.", remedy="Open a new one.")
        if self._why is None:
            return BusUnreachable(
                f"{self.shown} did not answer in time.", remedy="Is the broker running, or busy?"
            )
        meaning = explain(self._why)
        error = BusUnreachable(
            f"{self.shown}: {meaning.what} {meaning.cause}".rstrip(), remedy=meaning.cure
        )
        error.__cause__ = self._why
        return error

    def post(self, work: Callable[[], object]) -> None:
        """Have this done in the link's thread, when there is a connection: at once, or then."""
        self._posted.append(work)
        if not self._woken:  # who posts while it is true is done with the others
            self._woken = True
            connection = self._connection
            try:
                if connection is not None:
                    connection.ioloop.add_callback_threadsafe(self._work)
            except BaseException:  # a Ctrl-C: the next one wakes it
                self._woken = False
                raise

    def lead(self, begin: Callable[[], bool], is_over: threading.Event) -> None:
        """Have this begun at once; its answer may be heard in the caller's thread.

        `begin` is called with the connection to itself, in whatever thread, and returns whether
        something is on its way that nobody else hears for.
        """
        connection = self._connection
        if connection is None or not SLEEPS_UNLOCKED or self._turn.is_mine():
            self.post(begin)
        else:
            self._turn.lead(connection, begin, is_over)

    def later(self, pause_s: float, work: Callable[[], None]) -> None:
        """In the link's thread: do this after a pause, if the connection lives so long."""
        if self._connection is not None:
            self._connection.ioloop.call_later(pause_s, work)

    def ask(self, question: Question, *, patience_s: float, quick: bool = False) -> Any:
        """Ask the broker one thing, and return its answer; if need be more than once.

        Raises:
            NoSuchQueue, BadInput: it refused.
            BusUnreachable: it did not answer in time; `quick`: or can't be reached now.
        """
        end_s = time.monotonic() + patience_s
        while True:
            self.wait_until_up(end_s - time.monotonic(), first_failure=quick)
            answer: Future[Any] = Future()
            self.post(lambda answer=answer: self._ask(question, answer))  # type: ignore[misc]
            try:
                return answer.result(max(0.0, end_s - time.monotonic()))
            except TimeoutError:
                answer.cancel()
                raise BusUnreachable(
                    f"{self.shown} did not answer in {patience_s:g} s.",
                    remedy="Is the broker busy, or the network slow? Try again.",
                ) from None
            except ChannelClosedByBroker as refusal:
                raise in_words(refusal) from refusal
            except Lost:
                continue

    def _ask(self, question: Question, answer: Future[Any]) -> None:
        def opened(channel: Channel) -> None:
            def answered(said: Any) -> None:
                settle(answer, said)
                if channel.is_open:
                    channel.close()

            try:
                question(channel, answered)
            except Exception as error:  # noqa: BLE001 - it can't be said: the asker is told
                answered(error)

        def closed(_: Channel, reason: Exception) -> None:
            settle(answer, reason if isinstance(reason, ChannelClosedByBroker) else Lost())

        if not answer.cancelled() and self._connection is not None:
            self._connection.channel(on_open_callback=opened).add_on_close_callback(closed)

    def leave(self, last: Callable[[], None] | None = None) -> None:
        """Begin to say goodbye, once `last` was done in the link's thread; `join` waits for it."""
        with self._state:
            self._closing.set()
            self._state.notify_all()
        self._hurry.set()

        def goodbye() -> None:
            connection = self._connection
            if connection is None:
                return
            if last is not None and self._is_up:
                last()
            try:
                connection.close()
            except ConnectionWrongStateError:  # it is closing already, or never opened
                connection.ioloop.stop()
            connection.ioloop.call_later(GOODBYE_S, connection.ioloop.stop)

        connection = self._connection
        if connection is not None:
            connection.ioloop.add_callback_threadsafe(goodbye)

    def join(self) -> None:
        """Wait until all is over; a broker that does not answer is left without its goodbye."""
        if self._thread.ident is not None and not self.is_own_thread():
            self._thread.join(GOODBYE_S + CONNECT_TIMEOUT_S)

    def _run(self) -> None:
        tries = 0
        while not self._closing.is_set():
            for address in self._addresses:
                self._hurry.clear()
                if self._closing.is_set() or self._live(address):
                    tries = 0
                    break
            else:
                with self._state:
                    self._failed_rounds += 1
                    self._state.notify_all()
            # Growing, so as not to press a broker in trouble; random, so that a hundred
            # workers don't come back in the same moment.
            pause_s = min(FIRST_PAUSE_S * 2**tries, LONGEST_PAUSE_S) * random.uniform(0.8, 1)
            tries = min(tries + 1, 16)
            self._hurry.wait(pause_s)

    def _live(self, address: Address) -> bool:
        """Connect to this address and stay until it is over; whether it was a good one."""
        self._since_s, self._address = 0.0, address
        connection = Connection(
            parameters_of(address, name=self.name, heartbeat_s=self._heartbeat_s),
            on_open_callback=self._opened,
            on_open_error_callback=self._over,
            on_close_callback=self._over,
            custom_ioloop=Loop(self._turn.lock) if SLEEPS_UNLOCKED else None,
        )
        self._connection = connection
        if self._closing.is_set():  # `close` looked too early to see this connection
            connection.ioloop.add_callback_threadsafe(connection.close)
        with self._turn.lock:
            try:
                connection.ioloop.start()
            except Exception as error:  # the link must outlive whatever goes wrong on one
                log.exception("The connection to %s failed", address.shown)
                self._over(connection, error)
            self._connection = None
            connection.ioloop.close()
        return bool(self._since_s) and time.monotonic() - self._since_s > STEADY_S

    def _opened(self, connection: Any) -> None:
        connection.add_on_connection_blocked_callback(self._is_blocked)
        connection.add_on_connection_unblocked_callback(self._is_unblocked)
        self._since_s = time.monotonic()
        if self._said:
            self._said = ""
            log.warning("%s: connected again, to %s", self.name, self._address.shown)
        with self._state:
            self._is_up, self._why = True, None
            self._state.notify_all()
        self._on_up(connection)
        self._work()

    def _over(self, connection: Any, reason: BaseException) -> None:
        with self._state:
            self._is_up, self._why, self.blocked = False, reason, ""
            self._state.notify_all()
        if not self._closing.is_set():
            said = f"{self.name}: no connection to {self._address.shown}: {explain(reason).what}"
            if said != self._said:  # each new failure once, and not each attempt
                self._said = said
                log.warning(said)
        connection.ioloop.stop()

    def _is_blocked(self, _: Any, frame: Any) -> None:
        self.blocked = str(frame.method.reason) or "it is short of something"
        log.warning("%s: the broker takes no messages at present: %s", self.name, self.blocked)

    def _is_unblocked(self, *_: Any) -> None:
        self.blocked = ""
        log.info("%s: the broker takes messages again", self.name)

    def _work(self) -> None:
        """Do what was posted; if there is no connection yet, `_opened` will."""
        connection = self._connection
        if not self._is_up or connection is None:
            return
        self._woken = False  # before the look: what is posted after it wakes us again
        with connection.in_one_write():
            while self._posted:
                work = self._posted.popleft()
                try:
                    work()
                except Exception:  # a fault of ours: the others' work must be done
                    log.exception("%s: something posted failed", self.name)
