"""The proxy itself: the only sockets, and the only asyncio.

A `Proxy` runs an event loop in a thread of its own; its methods may be called from any
other thread and return when what they say is done. A *door* is a loopback port: who
comes in by it is known by its name, one door for each copy of a program. Each
connection that comes in gets one to the broker, and a `Conversation` between the two,
which decides what passes. Here bytes are carried, and closing, cutting and slowness.

A slow reader is not read for: while one side does not take what it is sent, or too
much waits because of a fault, the other is not read from.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from labs.journal import Journal
from labs.proxy.armory import Armory
from labs.proxy.conversation import Conversation
from labs.proxy.faults import BROKER, CLIENT, Fault, How, Side

T = TypeVar("T")
LOOPBACK = "127.0.0.1"
MOST_WAITING_B = 1024 * 1024
"""How much a stalled or late direction keeps before it is not read from any more."""
GOODBYE_S = 5.0
"""How long a side that was told of the end may take to hang up."""


@dataclass(frozen=True)
class Upstream:
    """Where the broker is."""

    host: str
    port: int
    tls: bool = False


@dataclass(frozen=True)
class Connection:
    """A connection that came in through a door."""

    number: int
    door: str
    broker_name: str
    """Its name in the broker's management API; empty before the broker was reached."""
    is_open: bool
    """Whether the client's side is open, and it was not cut."""


class Proxy:
    """Carries connections to a broker, and writes down what passes.

    Args:
        upstream: the broker.
        journal: what is appended to.
        faults: armed from the beginning.
        before_settle: called, in the proxy's thread, before a settling frame is recorded and
            passed on (`basic.ack`, `nack`, `reject`, `tx.commit` of the client; `basic.ack`,
            `nack`, `return` of the broker). It must not call the proxy.
        keep_bodies: record the text of short bodies.
    """

    def __init__(
        self,
        upstream: Upstream,
        journal: Journal,
        *,
        faults: Sequence[Fault] = (),
        before_settle: Callable[[], object] | None = None,
        keep_bodies: bool = True,
    ) -> None:
        self.upstream = upstream
        self.journal = journal
        self.armory = Armory(faults)
        self.before_settle = before_settle
        self.keep_bodies = keep_bodies
        self._doors: dict[str, _Door] = {}
        self._tunnels: list[_Tunnel] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, door: str, port: int = 0) -> int:
        """Listen at this door, and return the port: after `shut`, the same one again.

        Raises:
            OSError: the port is somebody else's.
        """
        return self._do(self._open(door, port))

    def shut(self, door: str) -> None:
        """Refuse who comes to this door from now on; connections stay."""
        self._do(self._doors[door].shut())

    def cut(self, door: str | None = None, *, how: How = "reset") -> int:
        """Cut the connections of this door (None: all) now; how many there were."""
        return self._do(self._cut(door, how))

    def connections(self, door: str | None = None) -> tuple[Connection, ...]:
        """All connections there ever were through this door (None: all), in order."""
        return tuple(t.connection for t in tuple(self._tunnels) if door in (None, t.door))

    def add(self, fault: Fault) -> None:
        """Arm one more fault."""
        self._do(self._add(fault))

    def release(self, fault: Fault) -> None:
        """End a fault that lasts, or a stall; one that isn't armed any more is no mistake."""
        self._do(self._release(fault))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self, name: str, port: int) -> int:
        door = self._doors.get(name)
        if door is None:
            door = self._doors[name] = _Door(name, port)
        await door.open(self._come_in)
        return door.port

    def _come_in(self, door: str) -> _End:
        tunnel = _Tunnel(self, len(self._tunnels) + 1, door)
        self._tunnels.append(tunnel)
        return tunnel.client

    async def _close(self) -> None:
        for door in self._doors.values():
            await door.shut()
            door.leave()
        for tunnel in self._tunnels:
            tunnel.finish("proxy", "closed")
        for _ in range(2):  # what is aborted is closed in the loop's next turn
            await asyncio.sleep(0)

    async def _cut(self, door: str | None, how: How) -> int:
        struck = [t for t in self._tunnels if door in (None, t.door) and t.is_open]
        for tunnel in struck:
            tunnel.conversation.tell_fault("cut", how=how)
            tunnel.conversation.sever(how)
            tunnel.flush()
        return len(struck)

    async def _add(self, fault: Fault) -> None:
        self.armory.add(fault)

    async def _release(self, fault: Fault) -> None:
        self.armory.release(fault)
        for tunnel in self._tunnels:
            if tunnel.is_open:
                tunnel.conversation.release(fault, self._loop.time())
                tunnel.flush()


class _Door:
    """A loopback port that is listened to, or not."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        # Bound and not listening: refuses who comes, and lets nobody else have the port meanwhile.
        self._keeper = _bound(port)
        self.port: int = self._keeper.getsockname()[1]
        self._server: asyncio.Server | None = None

    async def open(self, come_in: Callable[[str], asyncio.Protocol]) -> None:
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: come_in(self.name), sock=_bound(self.port), backlog=1024
            )

    async def shut(self) -> None:
        if self._server:
            self._server.close()
            self._server = None

    def leave(self) -> None:
        self._keeper.close()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
    except OSError:
        bound.close()
        raise
    return bound


class _End(asyncio.Protocol):
    """One of a tunnel's two sockets: what comes from it goes to the tunnel."""

    def __init__(self, tunnel: _Tunnel, side: Side) -> None:
        self.tunnel = tunnel
        self.side = side
        self.transport: asyncio.Transport | None = None
        self.has_ended = False
        """It sends no more."""
        self.is_lost = False
        self._was_told = False
        self._pauses: set[str] = set()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.tunnel.made(self)

    def data_received(self, data: bytes) -> None:
        self.tunnel.received(self, data)

    def eof_received(self) -> bool:
        self.tunnel.ended(self, "closed")
        # Keep it open to be written to; TLS knows no such thing, and warns who asks for it.
        return self.transport is not None and not self.transport.get_extra_info("ssl_object")

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self.tunnel.lost(self, "reset" if exc else "closed")

    def pause_writing(self) -> None:
        self.tunnel.other(self).pause("the other is slow")

    def resume_writing(self) -> None:
        self.tunnel.other(self).resume("the other is slow")

    # What the tunnel does to it

    def pause(self, why: str) -> None:
        """Read no more, for this reason."""
        self._pauses.add(why)
        if self.transport and not self.is_lost:
            self.transport.pause_reading()

    def resume(self, why: str) -> None:
        """This reason is gone, if there was one; read on if it was the last."""
        if why not in self._pauses:
            return
        self._pauses.remove(why)
        if self.transport and not self._pauses and not self.is_lost:
            self.transport.resume_reading()

    def send(self, data: bytes) -> None:
        if self.transport and not self.is_lost:
            self.transport.write(data)

    def say_end(self) -> None:
        """Tell it that no more comes."""
        if self._was_told or self.is_lost or not self.transport:
            return
        self._was_told = True
        if self.has_ended or not self.transport.can_write_eof():
            self.close()
        else:
            self.transport.write_eof()

    def reset(self) -> None:
        """Break the connection off: the peer's kernel is told that it was reset."""
        if self.transport and not self.is_lost:
            raw = self.transport.get_extra_info("socket")
            with suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    def close(self) -> None:
        """Close it once: TLS that is closed twice can't be used any more, before Python 3.12."""
        if self.transport and not self.transport.is_closing():
            self.transport.close()

    def abort(self) -> None:
        """Close it at once."""
        if self.transport and not self.is_lost:
            with suppress(AttributeError):  # TLS that its peer has closed meanwhile, likewise
                self.transport.abort()


class _Tunnel:
    """A connection: the client's socket, the broker's, and the conversation between them."""

    def __init__(self, proxy: Proxy, number: int, door: str) -> None:
        self.door = door
        self.conversation = Conversation(
            number,
            door,
            proxy.armory,
            proxy.journal,
            before_settle=proxy.before_settle,
            keep_bodies=proxy.keep_bodies,
        )
        self.client, self.broker = _End(self, CLIENT), _End(self, BROKER)
        self._upstream = proxy.upstream
        self._journal = proxy.journal
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._broker_name = ""
        self._is_over = False
        self._is_cut = False
        self._first_end: tuple[str, str] | None = None
        self._early: list[bytes] = []
        """What the client sent before the broker was reached."""
        self._early_end = ""
        """How it ended by then, if it did."""

    @property
    def is_open(self) -> bool:
        """Whether the client's side is open, and it was not cut."""
        return not (self._is_over or self._is_cut or self.client.has_ended or self.client.is_lost)

    @property
    def connection(self) -> Connection:
        """As others see it."""
        return Connection(self.conversation.number, self.door, self._broker_name, self.is_open)

    def other(self, end: _End) -> _End:
        """The other end."""
        return self.broker if end is self.client else self.client

    def made(self, end: _End) -> None:
        """This end is connected."""
        if end is self.client:
            end.pause("the broker is not reached yet")
            self._connecting = self._loop.create_task(self._connect())
            return
        assert end.transport is not None
        near = end.transport.get_extra_info("sockname")
        # A broker that has gone again has no name any more.
        far = end.transport.get_extra_info("peername") or (self._upstream.host, self._upstream.port)
        self._broker_name = f"{near[0]}:{near[1]} -> {far[0]}:{far[1]}"
        port = self._client_port()
        self._tell("connected", client_port=port, broker_name=self._broker_name)
        early, self._early = self._early, []
        for data in early:
            self.received(self.client, data)
        if self._early_end:
            self.ended(self.client, self._early_end)
        self.client.resume("the broker is not reached yet")

    async def _connect(self) -> None:
        context = ssl.create_default_context() if self._upstream.tls else None
        try:
            await self._loop.create_connection(
                lambda: self.broker, self._upstream.host, self._upstream.port, ssl=context
            )
        except OSError as error:  # an ssl.SSLError is one too
            self._end_of("broker", "unreachable", why=str(error))
            self.client.reset()

    def received(self, end: _End, data: bytes) -> None:
        """This end sent bytes."""
        if self.broker.transport is None:  # before 3.12, who is paused when made is read once more
            self._early.append(data)
            return
        self.conversation.receive(end.side, data, self._loop.time())
        self.flush()

    def ended(self, end: _End, how: str) -> None:
        """This end sends no more."""
        end.has_ended = True
        if self._is_cut:
            end.abort()  # the other is not to know
            return
        if self.broker.transport is None:
            self._early_end = how
            return
        self._first_end = self._first_end or (end.side, how)
        self.conversation.end(end.side, self._loop.time())
        self.flush()

    def lost(self, end: _End, how: str) -> None:
        """This end is gone."""
        if end is self.client and self.broker.transport is None and self._connecting:
            self._connecting.cancel()
        self._first_end = self._first_end or (end.side, how)
        if end is self.broker and how == "reset" and not self._is_cut:
            self.client.reset()
        elif not end.has_ended:
            self.ended(end, how)
        if self.other(end).is_lost or self.other(end).transport is None:
            self._end_of(*self._first_end)

    def flush(self) -> None:
        """Send what is to be sent, and come again when time must have passed."""
        conversation = self.conversation
        for link, source, target in (
            (conversation.to_broker, self.client, self.broker),
            (conversation.to_client, self.broker, self.client),
        ):
            if data := link.take():
                target.send(data)
            if link.is_finished:
                target.say_end()
            if link.waiting_b > MOST_WAITING_B:
                source.pause("too much waits")
            else:
                source.resume("too much waits")
        if conversation.is_finished and self._first_end:
            self.finish(*self._first_end)
            return
        due_s, now_s = conversation.due_s, self._loop.time()
        if conversation.cut_at_s is not None and conversation.cut_at_s <= now_s:
            self._cut(conversation.cut_how)
        elif due_s is not None:
            if self._timer:
                self._timer.cancel()
            self._timer = self._loop.call_at(due_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.conversation.tick(self._loop.time())
        self.flush()

    def _cut(self, how: How) -> None:
        """Cut both ends, or leave both in the dark."""
        if self._is_cut:
            return
        self._is_cut = True
        self.conversation.cut_at_s = None
        self._end_of("proxy", how)
        if how == "silent":
            return
        self.client.reset()
        # Not reset: what has passed to the broker before the cut must not be lost on the way.
        self.broker.say_end()
        self._loop.call_later(GOODBYE_S, self.broker.abort)

    def finish(self, by: str, how: str) -> None:
        """Close both ends."""
        if self._timer:
            self._timer.cancel()
        if self._connecting and not self._connecting.done():
            self._connecting.cancel()
        if self.client.transport:
            self._end_of(*(self._first_end or (by, how)))
        for end in (self.client, self.broker):
            if by == "proxy":
                end.abort()
            elif end.transport:
                end.close()

    def _end_of(self, by: str, how: str, **more: Any) -> None:
        """The connection is over: put that on record once."""
        if not self._is_over:
            self._is_over = True
            self._tell("disconnected", by=by, how=how, **more)

    def _client_port(self) -> int:
        assert self.client.transport is not None
        port: int = self.client.transport.get_extra_info("peername")[1]
        return port

    def _tell(self, kind: str, **data: Any) -> None:
        self._journal.append(kind, copy=self.door, connection=self.conversation.number, data=data)
