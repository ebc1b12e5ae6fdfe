"""pika's connection as the bus uses it, and what the broker's refusals mean.

The `Connection` can hold back what it says and say it in one write, and can be ended
without a goodbye. Who waits for an answer waits for a `Future`, which `settle` fills.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pika
from pika.exceptions import ChannelClosedByBroker, StreamLostError

from labs.broker.address import Address
from labs.broker.explain import explain
from labs.errors import BadInput
from labs.job_queue.bus import NoSuchQueue

CONNECT_TIMEOUT_S = 5.0
NOT_FOUND = 404


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


class Connection(pika.SelectConnection):
    """pika's connection, which can hold back what it says and say it in one write.

    pika writes each frame by itself; a system call for each is half of what it costs.
    """

    _held: list[bytes] | None = None

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
        if self._held is None:
            super()._adapter_emit_data(data)  # type: ignore[misc]  # the stubs end at the public
        else:
            self._held.append(data)

    def abort(self) -> None:
        """End it without a goodbye, which a broker in trouble may not answer."""
        self._terminate_stream(StreamLostError("given up"))  # type: ignore[attr-defined]

    def send(self, frames: bytes) -> None:
        """Send frames that are encoded already."""
        self._adapter_emit_data(frames)


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
