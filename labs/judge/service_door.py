"""The door of a queue service: HTTP that the judge listens to, with a fault here and there.

Each request is read whole, written down (`asked`), handed on to the service as it is, and
so is the answer. An answer stands in the journal (`answered`) before its first byte is sent,
and what the program had printed by then before that: so a line stands behind an answer
exactly if the program can have known of it. A connection has a thread; so has each fault.

An `asked` event's name is the method; its data: request (a number), path, order, build, key, and
`sum`, which tells its body from others. `answered`: request, status, created, replayed,
retry_after_s, whether it was heard, and which orders it shows to who only looks. Faults are
told with the number of the request that they struck.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from labs.errors import LabError, WaitedTooLong
from labs.journal import Journal
from labs.judge.service_faults import ServiceFault
from labs.judge.service_http import (
    HAND_ON_S,
    Answer,
    Asked,
    Link,
    Server,
    busy_answer,
    hand_on,
    handler_of,
    members,
)
from labs.waiting import wait_until

BACK_S = 10.0
"""So long it may take to have the same port again."""
LOOK_S = 0.01


class Service(Protocol):
    """What stands behind the door."""

    @property
    def url(self) -> str:
        """Where it listens now."""

    def restart(self) -> None:
        """End it, and start it anew on what it has stored."""


class Door:
    """A context manager: entering listens on a port of its own, leaving ends every connection.

    Args:
        service: what stands behind it.
        journal: where everything is written down.
        drain: called before: records what the program has printed up to now.
        orders: the names of the orders, in their order in the file.
        faults: what is to go wrong.
        copy: the copy of the program that comes through this door.
    """

    def __init__(
        self,
        service: Service,
        journal: Journal,
        drain: Callable[[], None],
        orders: Sequence[str],
        faults: Sequence[ServiceFault],
        copy: str,
    ) -> None:
        self.service, self.journal, self.copy = service, journal, copy
        self.closing = threading.Event()
        self.failure: LabError | None = None
        """What of the kit failed in a thread of the door."""
        self._drain = drain
        self._names = tuple(orders)
        self._faults = {orders[fault.order]: fault for fault in faults}
        self._lock = threading.Lock()
        self._restarting = threading.Lock()
        self._requests = self._under_way = 0
        self._tries: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._busy: tuple[float, int] = (0.0, 0)
        self._open: set[socket.socket] = set()
        self._server: Server
        self._port = 0

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        with suppress(WaitedTooLong):  # what is under way to the service shall be there
            wait_until(lambda: not self._under_way, HAND_ON_S, interval_s=LOOK_S)
        with self._restarting:
            self._deafen()

    @property
    def url(self) -> str:
        """What the program has as QUEUE_SERVICE_URL."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._open)

    # --- Listening ---------------------------------------------------------------------------

    def _listen(self) -> None:
        self._server = Server(("127.0.0.1", self._port), handler_of(self))
        self._port = self._server.server_port
        threading.Thread(
            target=self._server.serve_forever, args=(LOOK_S,), name="labs-door", daemon=True
        ).start()

    def _deafen(self) -> None:
        """Refuse connections, and end those that there are."""
        self._server.shutdown()
        self._server.server_close()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def entered(self, connection: socket.socket) -> None:
        """A client has connected."""
        self._open.add(connection)

    def left(self, connection: socket.socket) -> None:
        """It is gone."""
        self._open.discard(connection)

    # --- Requests ----------------------------------------------------------------------------

    def serve(self, asked: Asked, link: Link) -> None:
        """Serve one request, with its fault if it has one."""
        about, key = members(asked.body), asked.headers.get("idempotency-key")
        order = str(about["order"]) if "order" in about else None
        exchange = Exchange(self, asked, link, self._number(), order)
        fault = self._due(asked.method, order)
        self.tell(
            "asked",
            asked.method,
            request=exchange.number,
            path=asked.path[:200],
            order=order,
            build=_plain(about.get("buildId")),
            key=key[:255] if key is not None else None,
            sum=_sum(about, asked.body),
        )
        try:
            if fault is not None:
                fault.strike(exchange)
            elif self._busy_for_s():
                exchange.refuse()
            else:
                exchange.hand_on()
        except LabError as error:
            self.failure = error
            exchange.cut()
        finally:
            exchange.is_over()

    def _number(self) -> int:
        with self._lock:
            self._requests += 1
            self._under_way += 1
            return self._requests

    def over(self, method: str, order: str | None) -> None:
        """A request is not under way any more."""
        with self._lock:
            self._under_way -= 1
            if method == "POST" and order is not None:
                self._answered[order] += 1

    def _due(self, method: str, order: str | None) -> ServiceFault | None:
        """The fault of this order, if this is its first try."""
        if method != "POST" or order is None:
            return None
        with self._lock:
            self._tries[order] += 1
            return self._faults.get(order) if self._tries[order] == 1 else None

    def answered(self, order: str | None) -> int:
        """How many tries of this order are over."""
        with self._lock:
            return self._answered[order or ""]

    def shown_in(self, answer: Answer) -> list[str]:
        """The orders that are told of in an answer to whoever has looked."""
        text = answer.body.decode("utf-8", "replace") if answer.status == 200 else ""
        return [name for name in self._names if name in text]

    def tell(self, kind: str, name: str = "", **data: Any) -> None:
        """Write an event down, behind all that the program had printed before it."""
        self._drain()
        self.journal.append(kind, name, copy=self.copy, data=data)

    # --- What faults do to it ----------------------------------------------------------------

    def be_busy(self, for_s: int) -> None:
        """Refuse all requests for so long."""
        self._busy = (time.monotonic() + for_s, for_s)

    def _busy_for_s(self) -> int:
        return self._busy[1] if time.monotonic() < self._busy[0] else 0

    @property
    def busy_s(self) -> int:
        """How long a client is told to wait."""
        return self._busy[1]

    def restart(self, away_s: float) -> None:
        """Be away for so long, while the service is restarted; then listen on the same port."""
        with self._restarting:
            self._deafen()
            began = time.monotonic()
            self.service.restart()
            self.closing.wait(max(0.0, away_s - (time.monotonic() - began)))
            what = "the service's port"
            wait_until(self._listens_again, BACK_S, what=what, interval_s=LOOK_S)

    def _listens_again(self) -> bool:
        with suppress(OSError):
            self._listen()
            return True
        return False


@dataclass
class Exchange:
    """One request, and what can be done with it; each is written down."""

    door: Door
    asked: Asked
    link: Link
    number: int
    order: str | None
    _since: int = field(init=False)
    _over: bool = False

    def __post_init__(self) -> None:
        self._since = self.door.answered(self.order)

    def hand_on(self) -> None:
        """Ask the service, and give its answer to the program."""
        answer = self._ask()
        if answer is None:
            self.cut()
        else:
            self._give(answer)

    def commit(self) -> None:
        """Ask the service; the program hears nothing of the answer."""
        if (answer := self._ask()) is not None:
            self._tell_answer(answer, heard=False)

    def refuse(self) -> None:
        """Say that there is too much to do."""
        self._give(busy_answer(self.door.busy_s))

    def told(self, name: str, **data: Any) -> None:
        """Write down which fault has struck."""
        self.door.tell("fault", name, request=self.number, order=self.order, **data)

    def cut(self) -> None:
        """End the connection without a word."""
        self.link.cut()

    def hold(self) -> None:
        """Keep the connection open, and say nothing, until the trial is over."""
        self.is_over()
        self.door.closing.wait()
        self.cut()

    def is_over(self) -> None:
        """Nothing more will come of it; once."""
        if not self._over:
            self._over = True
            self.door.over(self.asked.method, self.order)

    def wait_for_next_try(self, most_s: float) -> bool:
        """Wait until another try of the order is over; False: the trial is, or it took too long."""
        door = self.door

        def over() -> bool:
            return door.answered(self.order) > self._since or door.closing.is_set()

        with suppress(WaitedTooLong):
            wait_until(over, most_s, what="another try", interval_s=LOOK_S)
        return door.answered(self.order) > self._since

    def _ask(self) -> Answer | None:
        """What the service says; None: it has gone away meanwhile."""
        return hand_on(self.door.service.url, self.asked)

    def _give(self, answer: Answer) -> None:
        self._tell_answer(answer, heard=True)
        self.link.give(answer)

    def _tell_answer(self, answer: Answer, *, heard: bool) -> None:
        shows = self.door.shown_in(answer) if self.asked.method != "POST" else []
        told = {**answer.told, "shows": shows}
        self.door.tell("answered", request=self.number, heard=heard, **told)


def _plain(build: Any) -> int | str | None:
    """A build id as it was given; what can't be one, as text."""
    return build if isinstance(build, int) or build is None else repr(build)[:100]


def _sum(members: Mapping[str, Any], body: bytes) -> str:
    """The same for the same JSON, however it is written."""
    text = json.dumps(members, sort_keys=True).encode() if members else body
    return hashlib.sha256(text).hexdigest()[:12]
