"""pika's connection as the bus uses it, and what the broker's refusals mean.

The `Connection` writes at once, can hold back what it says and say it in one write, and can
be ended without a goodbye. Its `Loop` holds a lock whenever it is awake, so that others can
use the connection while it sleeps (`rabbitmq_turn`). Who waits for an answer waits for a
`Future`, which `settle` fills.
"""

from __future__ import annotations

import logging
import select
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pika
from pika import frame, spec
from pika.adapters import select_connection
from pika.exceptions import ChannelClosedByBroker, StreamLostError

from labs.broker.address import Address
from labs.broker.explain import explain
from labs.errors import BadInput
from labs.job_queue.bus import NoSuchQueue

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
NOT_FOUND = 404
READ_B = 64 * 1024
SLEEPS_UNLOCKED = hasattr(select, "epoll")
"""Whether a `Loop` can be had here: what it watches must change while it sleeps."""


class Lost(Exception):
    """Raised when the connection ends before an answer came."""


def settle(answer: Future[Any], result: Any) -> bool:
    """Give the answer, or raise the exception that it is; False: nobody waits for it any more."""
    if answer.done() or not answer.set_running_or_notify_cancel():
        return False
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
    return True


def in_words(refusal: ChannelClosedByBroker) -> BadInput | NoSuchQueue:
    """What the broker closed a channel for."""
    meaning = explain(refusal)
    kind = NoSuchQueue if refusal.reply_code == NOT_FOUND else BadInput
    return kind(f"{meaning.what} {meaning.cause}".rstrip(), remedy=meaning.cure)


class Poller(select_connection.EPollPoller):
    """pika's poller, which lets go of a lock while it sleeps."""

    lock: threading.Lock
    _get_max_wait: Callable[[], float]  # the stubs end at the public
    _poll: Any
    _fd_events: dict[int, set[int]]
    _dispatch_fd_events: Callable[[dict[int, int]], None]
    _ignored: int | None = None

    def poll(self) -> None:
        """Sleep until something happens, and see to it."""
        longest_s = self._get_max_wait()
        self.lock.release()
        try:
            events = self._poll.poll(longest_s)
        finally:
            self.lock.acquire()
        # Who has the file by now waits for what can be read there: it is not ours to take.
        heard = {
            file: event & ~select.EPOLLIN if file == self._ignored else event
            for file, event in events
        }
        self._dispatch_fd_events({file: event for file, event in heard.items() if event})

    def ignore(self, file: int) -> None:
        """Sleep on, whatever can be read from this file."""
        self._ignored = file
        self._poll.modify(file, 0)

    def heed(self, file: int) -> None:
        """Watch it again, for what it is watched for."""
        self._ignored = None
        self._poll.modify(file, sum(e for e, files in self._fd_events.items() if file in files))


class Loop(select_connection.IOLoop):
    """pika's loop; `start` is called with the lock held, which is let go of while it sleeps."""

    _poller: Poller

    @property
    def poller(self) -> Poller:
        """What it sleeps in."""
        return self._poller

    def __init__(self, lock: threading.Lock) -> None:
        super().__init__()
        self._poller.lock = lock

    @staticmethod
    def _get_poller(
        get_wait_seconds: Callable[[], float | None], process_timeouts: Callable[[], None]
    ) -> Poller:
        return Poller(get_wait_seconds, process_timeouts)


class Connection(pika.SelectConnection):
    """pika's connection, which writes at once, or holds back what it says for one write.

    pika writes each frame by itself, and only when its loop comes round to it: a system call
    or more for each is half of what it costs.
    """

    on_confirm: Callable[[frame.Method[Any]], None] | None = None
    """Told of each confirm, past pika's table of callbacks, which takes far longer."""
    _held: list[bytes] | None = None
    _transport: Any

    def _read_frame(self) -> tuple[int, Any]:
        try:
            return frame.decode_frame(self._frame_buffer)  # type: ignore[attr-defined]
        except Exception:
            bare = without_properties(self._frame_buffer)  # type: ignore[attr-defined]
            if bare is None:
                raise
            log.warning("A message's properties can't be read, and are left out")
            return bare

    def _process_frame(self, value: Any) -> None:
        if self.on_confirm and isinstance(getattr(value, "method", None), spec.Basic.Ack):
            self.on_confirm(value)
        else:
            super()._process_frame(value)  # type: ignore[misc]

    @contextmanager
    def in_one_write(self) -> Iterator[None]:
        """What is said in the `with` block leaves together."""
        if self._held is not None:
            yield
            return
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if held:
                self._adapter_emit_data(b"".join(held))

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._held is not None:
            self._held.append(data)
        elif rest := self._unwritten(data):
            super()._adapter_emit_data(rest)  # type: ignore[misc]  # the stubs end at the public

    def _unwritten(self, data: bytes) -> bytes:
        """Write it, if nothing else waits to be written; what could not be is the loop's."""
        transport = self._transport
        if not self._is_plain() or transport.get_write_buffer_size():
            return data
        try:
            return data[transport._sock.send(data) :]
        except OSError:  # full, or lost: the loop will find the same, and knows what to do
            return data

    def _is_plain(self) -> bool:
        """Whether bytes can be read and written past pika's transport: it is open, without TLS."""
        transport = self._transport
        return (
            transport is not None
            and transport._state == transport._STATE_ACTIVE
            and not isinstance(transport._sock, ssl.SSLSocket)
        )

    def borrow(self) -> select.poll | None:
        """Have the loop not hear the broker; who gets this waits with it, and calls `hear`.

        None: it can't be borrowed.
        """
        if not self._is_plain():
            return None
        file, ear = self._transport._sock.fileno(), select.poll()
        ear.register(file, select.POLLIN)
        loop: Any = self.ioloop  # a `Loop`, where this is called
        loop.poller.ignore(file)
        return ear

    def hear(self) -> bool:
        """Read what the broker said, and act on it; False: it is for the loop to find out why not.

        `borrow` came before.
        """
        if not self._is_plain():
            return False
        try:
            data: bytes = self._transport._sock.recv(READ_B)
        except BlockingIOError:
            return True
        except OSError:
            return False
        try:
            self._on_data_available(data)  # type: ignore[attr-defined]
        except Exception:  # as pika's transport has it: whatever goes wrong ends the connection
            log.exception("What the broker said was not understood")
            self.abort()
        return data != b""

    def give_back(self) -> None:
        """Have the loop hear the broker again."""
        if self._is_plain():
            loop: Any = self.ioloop
            loop.poller.heed(self._transport._sock.fileno())

    def abort(self) -> None:
        """End it without a goodbye, which a broker in trouble may not answer."""
        if self._transport is not None:
            self._terminate_stream(StreamLostError("given up"))  # type: ignore[attr-defined]

    def send(self, frames: bytes) -> None:
        """Send frames that are encoded already."""
        self._adapter_emit_data(frames)


def without_properties(data: bytes) -> tuple[int, frame.Header] | None:
    """The frame that the bytes begin with, and how long it is, when it heads a message's content.

    Its properties are left out. pika can't read all that others may write there (a time after
    the year 9999, a number that is none), and gives up the connection: so the broker would
    deliver that message again and again, and no other.
    """
    kind, channel, size = struct.unpack_from(">BHL", data)
    if kind != spec.FRAME_HEADER:
        return None
    _, _, body_size = struct.unpack_from(">HHQ", data, spec.FRAME_HEADER_SIZE)
    end = spec.FRAME_HEADER_SIZE + size + spec.FRAME_END_SIZE
    return end, frame.Header(channel, body_size, pika.BasicProperties())


def parameters_of(address: Address, *, name: str, heartbeat_s: int) -> pika.ConnectionParameters:
    """How to connect to this address."""
    tls = None
    if address.tls:
        tls = pika.SSLOptions(ssl.create_default_context(), address.host)
    return pika.ConnectionParameters(
        host=address.host,
        port=address.port,
        virtual_host=address.vhost,
        credentials=pika.PlainCredentials(address.username, address.password),
        ssl_options=tls,
        heartbeat=heartbeat_s,
        socket_timeout=CONNECT_TIMEOUT_S,
        stack_timeout=CONNECT_TIMEOUT_S,
        client_properties={"connection_name": name},
    )
