"""`Lab`: all that a notebook calls, in one object.

The code that teaches pika is pika itself, in the notebook. This object does the
rest: it finds the broker (for a lesson that needs one), starts workers as processes,
watches queues, keeps predictions, draws, and cleans up. What it changes outside the
kernel (processes, queues, files) it notes in `.labs/`, so that a notebook starts clean
whatever happened to the last one.
"""

from __future__ import annotations

import atexit
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labs.broker import state
from labs.broker.address import Address
from labs.broker.connection import connected, count, log_in
from labs.broker.locate import locate, own_container, own_node
from labs.broker.state import ROOT, FoundBroker, Source, labs_home
from labs.errors import BadInput, NotPossibleHere, WaitedTooLong
from labs.journal import Event
from labs.notebook import failures
from labs.notebook.attempts import Observed, observed_rows, told_rows
from labs.notebook.builds import Builds
from labs.notebook.display import LivePicture, Progress, busy, show
from labs.notebook.events import timeline_of
from labs.notebook.leftovers import QueueNotes, WorkerNotes
from labs.notebook.predictions import Prediction, Predictions, asked, compared
from labs.notebook.servers import S, Servers
from labs.notebook.watching import Watch, management_tells
from labs.notebook.wire import Wire
from labs.notebook.worker import Worker
from labs.notebook.workers import Workers, names_of, told_apart
from labs.pictures.attempts import draw_attempts
from labs.pictures.builds_reading import Messages
from labs.pictures.picture import Picture
from labs.pictures.plots import queue_plot
from labs.pictures.sequence import draw_sequence
from labs.pictures.timeline import draw_timeline
from labs.waiting import wait_until

WHOSE = {
    Source.SERVER: "a server given by its URL",
    Source.NATIVE: "this lab's own",
    Source.DOCKER: "this lab's own, in Docker",
}
NO_BROKER = "This lesson needs no broker, so its lab has none."
NOT_OURS = "This broker was not started by this lab, so the lab can't restart it."


class Lab:
    """One notebook's lab.

    Args:
        notebook: the notebook's name; predictions, queues and workers are noted under it.
        broker: whether the lesson needs one. Without, whatever asks for it is refused.

    Raises:
        BrokerMissing, BrokerUnreachable, BrokerFailed: there is no broker to work with.
    """

    def __init__(self, notebook: str, *, broker: bool = True) -> None:
        failures.install()
        home = labs_home()
        self.notebook = notebook
        self._processes = WorkerNotes(home / "workers")
        self._predictions = Predictions(home / "predictions.json", notebook)
        self._pace = _pace()
        self._teams: list[Workers] = []
        self._watches: list[Watch | Builds] = []
        self._wires: list[Wire] = []
        self._servers = Servers()
        self._folder = home / "files" / notebook
        self._broker: FoundBroker | None = None
        self._management = False
        left = self._processes.end_left_behind(notebook)
        shutil.rmtree(self._folder, ignore_errors=True)
        if broker:
            self._find_broker()
        self._queues = QueueNotes(home / "notebook-queues.json", self.shown, notebook)
        queues = self._delete_remembered()
        atexit.register(self._die_with_kernel)
        if left or queues:
            print(f"Cleaned up after the last run: {_counted(left, queues)}.")

    def _find_broker(self) -> None:
        with busy("Looking for the broker, or starting it"):
            self._broker = locate()
        facts = log_in(self.address)
        self._management = management_tells(self.address)
        print(f"{facts.product} {facts.version} at {self.shown} ({WHOSE[self._broker.source]})")

    @property
    def address(self) -> Address:
        """Where the broker is.

        Raises:
            NotPossibleHere: the lesson needs none.
        """
        if self._broker is None:
            raise NotPossibleHere(NO_BROKER, remedy="Make it anew without `broker=False`.")
        return self._broker.address

    @property
    def url(self) -> str:
        """The broker's URL with its password, for `pika.URLParameters(lab.url)`."""
        return self.address.url

    @property
    def shown(self) -> str:
        """The broker's URL without its password, for people."""
        return self.address.shown if self._broker else "no broker"

    def fresh(self, queue: str) -> str:
        """Delete the queue if it is there, so that one can begin anew; return its name.

        `clean_up` (or the next run of the notebook) deletes it again.
        """
        self._queues.note(queue)
        with connected(self.address) as connection:
            connection.channel().queue_delete(queue)
        return queue

    def count(self, queue: str) -> int:
        """How many messages are ready: in the queue, with no worker; 0 if there is no queue."""
        with connected(self.address) as connection:
            seen = count(connection, queue)
        return seen.ready if seen else 0

    def exists(self, queue: str) -> bool:
        """Whether there is such a queue."""
        with connected(self.address) as connection:
            return count(connection, queue) is not None

    def wait_until_ready(self, queue: str, messages: int, timeout_s: float = 30.0) -> None:
        """Wait until exactly so many messages are ready in the queue.

        Raises:
            WaitedTooLong: there were more or fewer for `timeout_s` seconds.
        """
        progress = Progress(f"Messages ready in {queue!r}", messages)
        with connected(self.address) as connection:

            def ready() -> int:
                seen = count(connection, queue)
                return seen.ready if seen else 0

            def so_many() -> bool:
                seen = ready()
                progress.update(seen)
                return seen == messages

            try:
                wait_until(so_many, timeout_s)
            except WaitedTooLong:
                raise WaitedTooLong(
                    f"After {timeout_s:g} s there are {ready()} messages ready in {queue!r}, "
                    f"not {messages}.",
                    remedy="Does a worker hold them, or has one taken them away?",
                ) from None
            finally:
                progress.finish(ready())

    def workers(
        self,
        *who: int | str,
        queue: str,
        program: str | Path = "qprocessor.py",
        wire: Wire | None = None,
        **options: Any,
    ) -> Workers:
        """Start workers on a queue, as processes, and return when all of them consume.

        Args:
            who: how many, or their names; default one, alice.
            queue: where they get their messages.
            program: the worker's file, from the top of the checkout; a copy of qprocessor.py too.
            wire: let them talk to the broker over this wire, so that it is on record.
            options: any flag of qprocessor.py: `acknowledge=True`, `lose_every=3`, `delay=0.2`,
                `prefetch=1`, `crash_every=4`, `durable=True`, `reconnect=True`, `heartbeat=5`…

        Raises:
            WorkerFailed: a worker did not start; with what it said.
        """
        if self._broker:
            self._queues.note(queue)
        if self._pace != 1:
            options["delay"] = float(options.get("delay", 1.0)) * self._pace
        team = Workers(
            names_of(who),
            queue=queue,
            program=ROOT / program,
            options=options,
            address=self.address if self._broker else None,
            notes=self._processes,
            notebook=self.notebook,
            wire=wire,
        )
        self._teams.append(team)
        return team

    def serve(self, server: S) -> S | None:
        """Start a server of the lab's own; it ends with `clean_up`, or with the kernel.

        None: it can't be had here. Then why is printed, and the lesson goes on without it.
        """
        return self._servers.start(server)

    def folder(self) -> Path:
        """An empty folder for the notebook's files; `clean_up`, or the next run, removes it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def watch(self, queue: str) -> Watch:
        """Look at a queue ten times a second for the length of a `with` block."""

        def in_hand() -> int:
            return sum(team.in_hand for team in self._teams if team.queue == queue)

        watch = Watch(queue, self.address, in_hand=in_hand, management=self._management)
        self._watches.append(watch)
        return watch

    def builds(self, messages: Messages, *, live: bool = False) -> Builds:
        """Look at the builds of a queue service for the length of a `with` block.

        `messages`: what to call for the messages as they stand, such as a call of a client.
        `live`: show their picture at once and again and again until the block ends.
        """
        builds = Builds(messages)
        self._watches.append(builds)
        if live:
            builds.live()
        return builds

    def timeline(self, *workers: Workers | Worker, live: bool = False) -> Picture | None:
        """Who worked on which message when; of several teams, or of single workers, too.

        `live`: show it at once and again and again until the first team stops, and return None.
        """

        def draw() -> Picture:
            named = told_apart(workers)
            events = [event for told in named.values() for event in told]
            return draw_timeline(timeline_of(events, named, now=time.time()))

        if not live:
            return draw()
        keeper = next((team for team in workers if isinstance(team, Workers)), None)
        if keeper is None:
            raise BadInput("Only a team's timeline can be live.", remedy="Leave `live` out.")
        keeper.keep(LivePicture(draw, every_s=0.5))
        return None

    def attempts(
        self,
        attempts: Iterable[Observed],
        *,
        by_type: bool = False,
        queued: Mapping[str, float] | None = None,
    ) -> Picture:
        """Attempts over time, a row a job (or a type), from what a job queue's observer got.

        `queued`: when a job was queued (`time.time()`), by its job_id.
        """
        return draw_attempts(observed_rows(attempts, by_type=by_type, queued=queued))

    def attempts_of(self, *workers: Workers | Worker) -> Picture:
        """The same from what workers told, who are processes of their own: a row a body.

        An attempt whose worker was killed is lost.
        """
        named = told_apart(workers)
        events = [event for told in named.values() for event in told]
        timeline = timeline_of(events, named, now=time.time())
        return draw_attempts(told_rows(timeline), length_s=timeline.length_s)

    def plot(self, watch: Watch, *, live: bool = False) -> Picture | None:
        """The queue over time. `live`: draw it now and again until the watch ends."""

        def draw() -> Picture:
            return queue_plot(watch.queue, watch.samples, unacknowledged_label=watch.source)

        if not live:
            return draw()
        watch.keep(LivePicture(draw, every_s=1.0))
        return None

    def wire(self) -> Wire:
        """Record what goes over the wire, from now to the end of a `with` block (or `stop`).

        Connect to `wire.url` in place of `lab.url`; give `wire=wire` to `lab.workers`.
        """
        wire = Wire(self.address)
        self._wires.append(wire)
        return wire

    def sequence(self, what: Wire | Sequence[Event], *, message: str | None = None) -> Picture:
        """What went over a wire, as a sequence diagram; `message`: mark this body's life.

        Of a wire all is drawn; `wire.events`, taken earlier, is what it had heard by then.
        """
        events = what.events if isinstance(what, Wire) else what
        return draw_sequence(events, highlight=message)

    def predict(self, key: str, question: str, answer: Any) -> None:
        """Keep the learner's answer to a question, to be shown beside the outcome later."""
        prediction = Prediction(question, answer)
        self._predictions.record(key, prediction)
        show(asked(prediction))

    def outcome(self, key: str, outcome: Any, surprise: str = "") -> None:
        """Show the prediction beside what happened; `surprise` is said where they differ."""
        show(compared(self._predictions.find(key), outcome, surprise))

    def needs(self, what: str) -> bool:
        """Whether something is possible here, "restart the broker" or "the management API".

        If it is not, it says why.
        """
        possible: dict[str, Callable[[], str]] = {
            "restart the broker": lambda: "" if self._is_ours else NOT_OURS,
            "the management API": lambda: (
                "" if self._management else "This user may not ask the management API."
            ),
        }
        if what not in possible:
            raise BadInput(
                f"The lab doesn't know {what!r}.", remedy=f"Say one of {list(possible)}."
            )
        why_not = possible[what]()
        if why_not:
            print(why_not)
        return not why_not

    def restart_broker(self) -> None:
        """Restart the lab's own broker and wait until it is ready.

        Raises:
            NotPossibleHere: the broker is not this lab's own, such as on a class server.
        """
        if self._broker is None or not self._is_ours:
            raise NotPossibleHere(NOT_OURS, remedy="Read on: the notebook says what one would see.")
        with busy("The broker restarts"):
            ours = own_node() if self._broker.source is Source.NATIVE else own_container()
            self._broker = FoundBroker(ours.restart(), self._broker.source)
            state.remember(self._broker)

    @property
    def _is_ours(self) -> bool:
        return self._broker is not None and self._broker.is_ours

    def clean_up(self) -> None:
        """Stop all workers, end servers, delete queues and files of this notebook, and say so."""
        running = self._end_workers()
        servers = self._servers.end()
        shutil.rmtree(self._folder, ignore_errors=True)
        queues = self._delete_remembered()
        print(f"Cleaned up: {_counted(running, queues, servers)}.")

    def _end_workers(self) -> int:
        running = 0
        for watch in self._watches:
            watch.stop()
        for team in self._teams:
            running += sum(worker.is_running for worker in team)
            team.stop()
        for wire in self._wires:
            wire.stop()
        self._teams.clear()
        self._watches.clear()
        self._wires.clear()
        return running

    def _die_with_kernel(self) -> None:
        """No time for goodbyes: Jupyter gives a kernel five seconds."""
        for team in self._teams:
            for worker in team:
                worker.kill()

    def _delete_remembered(self) -> list[str]:
        """Delete this notebook's queues that are there; return their names."""
        deleted: list[str] = []
        if self._broker is None:
            return deleted
        with connected(self.address) as connection:
            for queue in self._queues.noted():
                if count(connection, queue) is not None:
                    connection.channel().queue_delete(queue)
                    deleted.append(queue)
        self._queues.forget()
        return deleted

    def __repr__(self) -> str:
        return f"<lab {self.notebook!r} at {self.shown}>"


def _pace() -> float:
    """By how much all pretended work is shortened: for runs that nobody watches."""
    text = os.environ.get("LABS_PACE", "1")
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"LABS_PACE is {text!r}.", remedy="Make it a number, such as 0.2.") from None


def _counted(workers: int, queues: Sequence[str], servers: Sequence[str] = ()) -> str:
    """`2 workers, queues work, hello`; what there was none of is left out."""
    parts = []
    if workers:
        parts.append(f"{workers} worker{'s' if workers > 1 else ''} stopped")
    if queues:
        parts.append(f"queue{'s' if len(queues) > 1 else ''} {', '.join(queues)} deleted")
    if servers:
        parts.append(f"{' and '.join(servers)} ended")
    return ", ".join(parts) or "nothing was left"
