"""A team of workers on one queue, alive on the page.

`Workers` starts the processes, waits until all of them consume, shows what they
say side by side while a thread keeps that up to date, and ends them with its
`with` block. `flags` is the rule by which keywords become flags of qprocessor.py.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from labs.broker.address import Address
from labs.errors import BadInput, WaitedTooLong, WorkerFailed
from labs.notebook.display import INTERVAL_S, Live, LivePicture, Piece, Progress, panes
from labs.notebook.events import Event, WorkerEvent
from labs.notebook.leftovers import WorkerNotes
from labs.notebook.record import Record
from labs.notebook.wire import Wire
from labs.notebook.worker import Worker
from labs.waiting import wait_until

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")
START_TIMEOUT_S = 30.0


class Workers(Record):
    """Several workers on one queue; a mapping by name: `workers["alice"]`."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        queue: str,
        program: Path,
        options: Mapping[str, Any],
        address: Address | None,
        notes: WorkerNotes,
        notebook: str,
        wire: Wire | None = None,
    ) -> None:
        if not program.is_file():
            raise BadInput(
                f"There is no file {str(program)!r} to run as a worker.",
                remedy="Give its path from the top of the checkout, such as qprocessor.py.",
            )
        self.queue = queue
        self._acknowledge = bool(options.get("acknowledge"))
        self._all: dict[str, Worker] = {}
        self._live = Live()
        self._pictures: list[LivePicture] = []
        self._changed = threading.Event()
        self._closed = False
        self._painter = threading.Thread(target=self._paint, name="labs-painter", daemon=True)
        self._painter.start()
        command = [sys.executable, str(program), "--json", "--queue", queue, *flags(options)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}

        def start(name: str) -> Worker:
            url = wire.url_of(name) if wire else address.url if address else None
            worker = Worker(
                name,
                [*command, "--name", name],
                environment | ({"AMQP_URL": url} if url else {}),
                changed=self._changed.set,
                ended=notes.forget,
                befalls=partial(wire.befalls, name) if wire else None,
            )
            notes.note(worker.pid, notebook)
            return worker

        self._start(names, start)

    def __getitem__(self, name: str) -> Worker:
        if name not in self._all:
            raise BadInput(
                f"No worker is called {name!r}.", remedy=f"There are {', '.join(self.names)}."
            )
        return self._all[name]

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    @property
    def names(self) -> list[str]:
        """Who they are."""
        return list(self._all)

    @property
    def events(self) -> tuple[WorkerEvent, ...]:
        """All that happened to any of them so far, in order of time."""
        every = [event for worker in self for event in worker.events]
        return tuple(sorted(every, key=lambda event: event.time))

    @property
    def shares(self) -> dict[str, int]:
        """How many messages each has done."""
        return {worker.name: worker.tally(Event.DONE) for worker in self}

    @property
    def in_hand(self) -> int:
        """How many messages they have received and not acknowledged, by their own words."""
        return sum(worker.in_hand for worker in self) if self._acknowledge else 0

    def tally(self, *events: Event) -> int:
        """How many events of these sorts there were."""
        return sum(worker.tally(*events) for worker in self)

    def stop(self) -> None:
        """Ask all to finish, wait until they have ended, and leave their last state on the page."""
        for worker in self:
            worker.ask_to_stop()
        for worker in self:
            worker.stop()
        self._closed = True
        self._changed.set()
        self._painter.join(5.0)
        self._show_now()
        while self._pictures:
            self._pictures.pop().finish()

    def keep(self, picture: LivePicture) -> None:
        """A picture of this team that is to be finished when the team stops."""
        self._pictures.append(picture)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self, names: Sequence[str], start: Callable[[str], Worker]) -> None:
        """Start one after the other, each when the one before consumes.

        So the broker, which deals messages in the order of the consumers, begins with the first.
        """
        progress = Progress("Workers started", len(names))
        try:
            for started, name in enumerate(names):
                worker = self._all[name] = start(name)
                self._wait_until_consuming(worker, partial(progress.update, started))
        except BaseException:
            self.stop()
            raise
        finally:
            progress.finish(sum(worker.is_consuming for worker in self))
            self._show_now()

    def _wait_until_consuming(self, worker: Worker, waiting: Callable[[], None]) -> None:
        def consumes() -> bool:
            waiting()
            ended = not worker.is_running  # asked first: its last words may come after
            if not worker.is_consuming and ended:
                self._give_up("it never consumed", nobody_left=True)
            return worker.is_consuming

        try:
            wait_until(consumes, START_TIMEOUT_S, interval_s=0.02)
        except WaitedTooLong:
            raise WorkerFailed(
                f"{worker.name} did not start within {START_TIMEOUT_S:g} s.",
                remedy="Is the broker busy, or stopped? Run `labs doctor`.",
            ) from None

    def _nobody_left(self) -> bool:
        return not any(worker.is_running for worker in self)

    def _give_up(self, reached: str, *, nobody_left: bool) -> None:
        for worker in self:
            if (failure := worker.failure) is not None:
                raise failure
        if nobody_left:
            raise WorkerFailed(
                f"No worker is left ({reached}), so the rest will not happen.",
                remedy="Start workers again: what was not acknowledged waits for them.",
            )

    def _piece(self) -> Piece:
        return panes([worker.pane() for worker in self])

    def _show_now(self) -> None:
        self._live.show(self._piece(), now=True)

    def _paint(self) -> None:
        """Keep the page up to date; runs in a thread of its own."""
        pause = threading.Event()
        while not self._closed:
            self._changed.wait()
            self._changed.clear()
            with contextlib.suppress(Exception):  # a page that went away must not stop the work
                self._live.show(self._piece())
            pause.wait(INTERVAL_S)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return self._piece()._repr_mimebundle_()

    def __repr__(self) -> str:
        return self._piece().text


def flags(options: Mapping[str, Any]) -> list[str]:
    """Keywords as flags: `lose_every=3` is `--lose-every 3`, `acknowledge=True` is `--acknowledge`.

    False and None leave the flag out; `durable=False` is `--transient`.
    """
    words: list[str] = []
    for keyword, value in options.items():
        flag = "--" + keyword.replace("_", "-")
        if keyword == "durable" and value is False:
            words.append("--transient")
        elif value is True:
            words.append(flag)
        elif value is not False and value is not None:
            words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return words


def names_of(who: tuple[int | str, ...]) -> list[str]:
    """`()` is alice, `(3,)` alice, bob and carol, `("x", "y")` x and y."""
    if not who:
        return [NAMES[0]]
    if len(who) == 1 and isinstance(who[0], int):
        if not 1 <= who[0] <= len(NAMES):
            raise BadInput(
                f"{who[0]} workers?", remedy=f"Any number from 1 to {len(NAMES)} will do."
            )
        return list(NAMES[: who[0]])
    names = [str(name) for name in who]
    if odd := [name for name in names if not name or name.startswith("-")]:
        raise BadInput(f"A worker can't be called {odd[0]!r}.", remedy="Give it a plain name.")
    if len(set(names)) < len(names):
        raise BadInput(f"Two workers have the same name: {names}.", remedy="Name each differently.")
    return names


def told_apart(workers: Iterable[Workers | Worker]) -> dict[str, list[WorkerEvent]]:
    """Each worker's events by its name; a second alice is `alice (2)`."""
    events: dict[str, list[WorkerEvent]] = {}
    for several in workers:
        for worker in several if isinstance(several, Workers) else [several]:
            name, n = worker.name, 1
            while name in events:
                n += 1
                name = f"{worker.name} ({n})"
            events[name] = [replace(event, worker=name) for event in worker.events]
    return events
