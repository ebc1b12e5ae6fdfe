"""What all endpoints of the queue service share: the service, who waits, and what is asked.

`Desk` is one server's; its coroutines are one event loop's. `Asked` is one request behind the
guard: known who sends it, its body whole. A claim that waits is withdrawn when its client goes
away or the server stops; what it took meanwhile for somebody who has gone is handed back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from labs.errors import LabError
from labs.queue_service.auth import Principal
from labs.queue_service.messages import Claimed
from labs.queue_service.metrics import Metrics
from labs.queue_service.operations import Claim, Held, Nack, Operation
from labs.queue_service.problems import BadRequest, Wrong
from labs.queue_service.shapes_json import REMEDY, named, read_json
from labs.task_queue.api_guard import Gone
from labs.task_queue.errors import StoreUnreachable
from labs.task_queue.tasks import Json

A = TypeVar("A")

MOST_PARAMETERS = 20
READY_WITHIN_S = 5.0

logger = logging.getLogger(__name__)


class Service(Protocol):
    """What stands behind the API: `service.QueueService`."""

    on_commit: Callable[[int, float, Sequence[float]], None]

    @property
    def takes_writes(self) -> bool:
        """Whether the store does, as far as is known."""
        ...

    async def do(self, operation: Operation[A]) -> A:
        """Have an operation done; cancelled, a claim that waits takes nothing."""
        ...

    def ready(self) -> None:
        """Return if the store answers and takes writes. Raises StoreUnreachable."""
        ...


@dataclass(slots=True)
class Asked:
    """A request that was let in."""

    scope: Scope
    receive: Receive = field(repr=False)
    principal: Principal
    body: bytes = field(default=b"", repr=False)
    _value: Json = field(default=None, repr=False)

    def json(self) -> Json:
        """The body. Raises BadRequest: it is no JSON."""
        if self._value is None:
            self._value = read_json(self.body)
        return self._value

    def query(self) -> Mapping[str, str]:
        """What stands after the `?`. Raises BadRequest: it can't be read, or is there twice."""
        raw = self.scope["query_string"]
        if not raw:
            return {}
        try:
            pairs = parse_qsl(
                raw.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MOST_PARAMETERS,
            )
        except ValueError:
            raise _refused("query", "It can't be read: percent-encode UTF-8.") from None
        query = dict(pairs)
        if len(query) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise _refused(named((twice,)), "It is there twice.")
        return query

    def header(self, name: bytes) -> str | None:
        """A header's text. Raises BadRequest: it is there twice."""
        found = [value for key, value in self.scope["headers"] if key == name]
        if len(found) > 1:
            raise _refused(name.decode(), "It is there twice.")
        return found[0].decode("latin-1") if found else None

    async def gone(self) -> None:
        """Return when the client has gone."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


def _refused(name: str, detail: str) -> BadRequest:
    return BadRequest([Wrong(name, detail)], remedy=REMEDY)


class Desk:
    """What all endpoints share."""

    def __init__(self, service: Service, metrics: Metrics) -> None:
        self.service = service
        self.metrics = metrics
        service.on_commit = metrics.committed
        self._stopped = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asking: asyncio.Task[None] | None = None
        self._away = False

    async def do(self, operation: Operation[A]) -> A:
        """Have an operation done; the log says, once, when the store goes and when it is back."""
        try:
            answer = await self.service.do(operation)
        except StoreUnreachable as error:
            raise self.store_is_away(error) from error
        self.store_answers()
        return answer

    async def ready(self) -> None:
        """Return if requests are taken: one asks the store at a time, one that hangs too.

        Raises:
            StoreUnreachable: it does not answer, or the server is about to stop.
        """
        if self._stopped.is_set():
            raise StoreUnreachable(
                "The service is about to stop.", remedy="Ask another instance, or come again."
            )
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(asyncio.to_thread(self.service.ready))
        try:
            await asyncio.wait_for(asyncio.shield(self._asking), READY_WITHIN_S)
        except TimeoutError:
            late = StoreUnreachable(f"It has not answered within {READY_WITHIN_S:g} s.")
            raise self.store_is_away(late) from None
        except StoreUnreachable as error:
            raise self.store_is_away(error) from error
        self.store_answers()

    async def claim(self, claim: Claim, asked: Asked) -> Sequence[Claimed]:
        """What can be claimed, after waiting for it; nothing, if the server stops meanwhile.

        Raises:
            Gone: the client did not wait.
        """
        self._loop = asyncio.get_running_loop()
        claiming = asyncio.create_task(self.do(claim))
        leaving = asyncio.create_task(asked.gone())
        stopping = asyncio.create_task(self._stopped.wait())
        try:
            either = {claiming, leaving, stopping}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # an answer that has come meanwhile is not to be lost
            claiming.cancel()
            await asyncio.wait({claiming})
            claimed = () if claiming.cancelled() else claiming.result()
            if leaving.done():
                await self._hand_back(claimed)
                raise Gone
            return claimed
        finally:
            for task in (claiming, leaving, stopping):
                task.cancel()

    async def _hand_back(self, claimed: Sequence[Claimed]) -> None:
        """What nobody is there to take; were it lost, its lease would bring it back."""
        for one in claimed:
            held = Held(id=one.id, owner=one.owner, move=one.move)
            with suppress(LabError):
                await self.do(Nack(held=held, requeue=True))

    def stop(self) -> None:
        """Let nobody wait any more: the server is about to stop. From any thread."""
        if self._loop is None or self._loop.is_closed():
            self._stopped.set()
        else:
            self._loop.call_soon_threadsafe(self._stopped.set)

    def store_answers(self) -> None:
        """Say in the log that it is back, if it was away."""
        if self._away and self.service.takes_writes:
            self._away = False
            logger.warning("The store answers again.")

    def store_is_away(self, error: LabError) -> StoreUnreachable:
        """Say in the log that it is away: once, not for each request.

        Returns:
            What whoever has asked is told: not where the store is.
        """
        if not self._away:
            self._away = True
            logger.warning("The store does not answer; requests get 503 meanwhile. %s", error)
        return StoreUnreachable(
            "The store does not answer.",
            remedy="Come again in a moment; a build is not enqueued twice. The service goes on as "
            "soon as its store answers; its log says more.",
        )
