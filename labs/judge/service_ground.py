"""Where a trial on a queue service runs: the real service, over a SQLite file made for the trial.

It is the one of `labs.queue_service`, with all its rules, served on loopback in threads of the
judge's own process. A `ServiceGround` starts it, restarts it on what it has stored, and looks
in the end into its store for what came of each order.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from labs.errors import NotPossibleHere

if TYPE_CHECKING:  # the queue service is imported when there is one: other trials need none
    from labs.queue_service.service import QueueService

PAGE = 200


@dataclass(frozen=True)
class Stored:
    """A message in the service's store."""

    id: str
    order: str
    build: int | None
    state: str


class ServiceGround:
    """A context manager: entering starts the service, leaving ends it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = ""
        self._service: QueueService
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def restart(self) -> None:
        """End it in an orderly way, and start it anew: it has what it had stored, no more."""
        self._stack.close()
        self._start()

    def stored(self) -> Sequence[Stored]:
        """All messages that it has, the oldest first."""
        from labs.queue_service.operations import ListMessages

        page = self._service.call(ListMessages(limit=PAGE))
        found = list(page.messages)
        while page.next is not None:
            page = self._service.call(ListMessages(limit=PAGE, after=page.next))
            found += page.messages
        return [
            Stored(one.id, str(one.body.get("order", "")), one.build_id, str(one.state))
            for one in reversed(found)
        ]

    def _start(self) -> None:
        try:
            from labs.queue_service.api import create_app
            from labs.queue_service.server import serving
            from labs.queue_service.service import QueueService
        except ImportError as error:
            raise NotPossibleHere(
                f"There is no queue service here ({error}).",
                remedy="Install what it needs, as `make lab` does.",
            ) from error
        with ExitStack() as stack:
            self._service = QueueService.at(f"sqlite:///{self.path}")
            stack.callback(self._service.close)
            app = create_app(self._service)
            self.url = stack.enter_context(serving(app))
            self._stack = stack.pop_all()
