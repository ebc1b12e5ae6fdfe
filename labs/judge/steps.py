"""The steps of a trial, as frozen values: start, publish, wait, kill, freeze, restart.

Each has one method, `run`. A fault is placed by what has happened, never by the clock:
a copy is killed when it is a part of the way through a message's work, and whether
that message was still in its hands is looked at again while it stands still. A fault
that finds nothing to strike leaves a note `fault-missed`, and the trial goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from labs.errors import NotPossibleHere
from labs.judge.lives import Delivery
from labs.judge.trial import GaveUp, Trial

START_S = RECONNECT_S = 30.0
"""So long a program may take to be at work, or at work again."""
HUNG_S = 6.0
"""A program that is connected and does nothing at all for so long will not consume any more."""
SETTLES_S = 2.0
"""What is done is settled at once; so long may it take."""
LOOK_S = 0.2
WORTH_S = 0.15
"""Work shorter than this is no aim: a fault could come too late for it."""
SETTLED_S = 0.08
"""So soon after its beginning work is struck, where all work before it is done and settled."""
INTO_WORK = 0.3
"""So far into it, where it is not."""
LOOP_S = 2.5
"""So long a loop of redeliveries is watched: whether others are held up by it."""
NOTICES_S = 4.0
"""The longest agreed heartbeat with which a trial waits for the broker to notice a frozen peer."""


@dataclass(frozen=True)
class Start:
    """Start copies; none named: all of the trial."""

    copies: tuple[str, ...] = ()

    def run(self, trial: Trial) -> None:
        """Start each that does not run: where a kill missed its aim, the copy is still there."""
        for copy in self.copies or trial.plan.copies:
            if copy not in trial.programs or not trial.programs[copy].is_running:
                trial.start(copy)


@dataclass(frozen=True)
class Ready:
    """Wait until every copy that runs consumes the queue, or has polled it."""

    def run(self, trial: Trial) -> None:
        """Wait; a copy that never connected is noted."""
        try:
            trial.wait("ready", lambda: self._ready(trial), quiet_s=START_S)
        finally:
            note_never_connected(trial)

    def _ready(self, trial: Trial) -> bool:
        copies = list(trial.programs)
        if all(trial.history.is_consuming(copy) for copy in copies):
            return True
        if not all(trial.programs[copy].is_running for copy in copies):
            trial.give_up("ready", "all-ended" if not trial.running() else "one-ended")
        connected = all(trial.open_connections(copy) for copy in copies)
        if connected and trial.quiet_s() > HUNG_S:
            trial.give_up("ready", "quiet")
        return False


@dataclass(frozen=True)
class Publish:
    """Publish a wave to the queue, directly at the broker."""

    wave: int

    def run(self, trial: Trial) -> None:
        """Publish it."""
        trial.publish(self.wave)


@dataclass(frozen=True)
class Done:
    """Wait until all that was published is done and settled, and the queue is empty."""

    settled: bool = True

    def run(self, trial: Trial) -> None:
        """Wait for the one and then for the other."""
        done = trial.history.all_done
        trial.wait("done", lambda: done(trial.given))
        if self.settled:
            empty = every(LOOK_S, trial.is_empty)
            unsettled = trial.history.unacknowledged
            trial.wait("settled", lambda: not unsettled() and empty(), quiet_s=SETTLES_S)


@dataclass(frozen=True)
class KillAtWork:
    """Kill a copy in the middle of a message's work, after it has done some."""

    copy: str
    after: int = 1

    def run(self, trial: Trial) -> None:
        """Kill it where it holds a message; else leave a note."""

        def kill(aim: Delivery) -> None:
            trial.kill(self.copy, in_hand_data(trial, self.copy, aim))

        strike_at_work(trial, "kill", self.copy, self.after, kill)


@dataclass(frozen=True)
class FreezeAtWork:
    """Freeze a copy in the middle of a message's work until the other did what it held; thaw it."""

    copy: str
    after: int = 1

    def run(self, trial: Trial) -> None:
        """Freeze it only where the agreed heartbeat lets the broker notice soon."""
        heartbeat_s = agreed_heartbeat_s(trial, self.copy)
        if not 0 < heartbeat_s <= NOTICES_S:
            agreed = f"a heartbeat of {heartbeat_s} s" if heartbeat_s else "no heartbeat"
            why = f"with {agreed} agreed the broker does not notice in time that a peer is frozen"
            trial.note("fault-missed", fault="freeze", why=why)
            return

        def freeze(aim: Delivery) -> None:
            data = in_hand_data(trial, self.copy, aim)
            trial.programs[self.copy].freeze(data)
            held = [d for d in trial.history.in_hand(self.copy) if d.is_open]
            try:
                trial.wait(
                    "taken-over",
                    lambda: all(done_by_another(d, self.copy) for d in held),
                    quiet_s=4 * heartbeat_s + 4.0,
                    copies=[copy for copy in trial.programs if copy != self.copy],
                )
            finally:
                trial.programs[self.copy].thaw()

        strike_at_work(trial, "freeze", self.copy, self.after, freeze)


@dataclass(frozen=True)
class CloseByBroker:
    """The broker closes the copy's connections, by the management API, while it works."""

    copy: str = "A"

    def run(self, trial: Trial) -> None:
        """Close them where one holds a message; where that is not possible, leave a note."""

        def close(aim: Delivery) -> None:
            data = in_hand_data(trial, self.copy, aim)
            try:
                names = trial.ground.close_connections()
            except NotPossibleHere as reason:
                trial.note("not-possible-here", fault="close-by-broker", why=str(reason))
                return
            trial.journal.append(
                "fault", "close-by-broker", copy=self.copy, data=data | {"connections": list(names)}
            )
            if names:
                until_back(trial, self.copy)
            else:
                why = "the broker's list of connections did not have it"
                trial.note("fault-missed", fault="close-by-broker", why=why)

        strike_at_work(trial, "close-by-broker", self.copy, 1, close, stand_still=False)


@dataclass(frozen=True)
class Reset:
    """The network resets the copy's connections while it works."""

    copy: str = "A"

    def run(self, trial: Trial) -> None:
        """Cut them."""

        def reset(_: Delivery) -> None:
            before = len(trial.journal)
            trial.proxy.cut(self.copy)
            until_back(trial, self.copy, before)

        strike_at_work(trial, "cut", self.copy, 1, reset, stand_still=False)


@dataclass(frozen=True)
class Away:
    """The broker is away for a while: the connections end, and new ones are refused."""

    copy: str = "A"
    for_s: float = 2.0

    def run(self, trial: Trial) -> None:
        """Shut the door and cut, wait, open it."""

        def away(aim: Delivery) -> None:
            before = len(trial.journal)
            data = in_hand_data(trial, self.copy, aim) | {"door": self.copy, "for_s": self.for_s}
            trial.journal.append("fault", "away", copy=self.copy, data=data)
            trial.proxy.shut(self.copy)
            trial.proxy.cut(self.copy)
            trial.pause(self.for_s)
            trial.proxy.open(self.copy)
            trial.journal.append("fault", "back", copy=self.copy, data={"door": self.copy})
            until_back(trial, self.copy, before)

        strike_at_work(trial, "away", self.copy, 1, away, stand_still=False)


@dataclass(frozen=True)
class KillAfterLostAck:
    """Kill a copy as soon as an acknowledgement of it was lost on the way (by the fault `lose`)."""

    copy: str

    def run(self, trial: Trial) -> None:
        """Wait for the loss and kill it."""
        try:
            trial.wait("fault", lambda: trial.history.struck("lose"), copies=[self.copy])
        except GaveUp:
            trial.note("fault-missed", fault="lose", why="the copy sent no acknowledgement to lose")
            return
        trial.kill(self.copy, {"in_hand": [d.message.body for d in trial.in_work(self.copy)]})


@dataclass(frozen=True)
class DoneAtLength:
    """As Done, for long work: no use in waiting once it came back to the queue."""

    def run(self, trial: Trial) -> None:
        """Wait until all is done, or a message is delivered a second time."""

        def again() -> bool:
            return any(d.redelivered for d in trial.history.deliveries)

        trial.wait("done", lambda: trial.history.all_done(trial.given) or again())
        if not again():
            Done().run(trial)


@dataclass(frozen=True)
class DoneOrFailed:
    """Wait until the good messages are done and the bad ones are in the queue for what failed."""

    most_deliveries: int = 15
    """Whoever delivers a bad one so often has shown what there is to see."""

    def run(self, trial: Trial) -> None:
        """Wait; a loop of redeliveries is watched for a moment only."""
        bad = [body for body in trial.given if body.startswith("bad")]
        good = [body for body in trial.given if body not in bad]
        looping_since: list[float] = []
        settled = every(
            LOOK_S, lambda: trial.ready(trial.failed_queue) >= len(bad) and trial.is_empty()
        )

        def looping() -> bool:
            worst = max((len(trial.history.messages[b].deliveries) for b in bad), default=0)
            if worst > self.most_deliveries and not looping_since:
                looping_since.append(time.monotonic())
            return bool(looping_since) and time.monotonic() - looping_since[0] > LOOP_S

        def over() -> bool:
            if looping():
                return True
            finished = trial.history.all_done(good) and not trial.history.unacknowledged()
            return finished and settled()

        trial.wait("done", over)
        if looping_since:
            trial.give_up("settled", "too-long")


@dataclass(frozen=True)
class Feed:
    """Write a wave to a producer's standard input, each body a line."""

    wave: int
    crlf_at: int | None = None
    """This line of the wave (from 0) ends in CR LF."""

    def run(self, trial: Trial) -> None:
        """Write the lines."""
        for program in trial.programs.values():
            for number, body in enumerate(trial.bodies[self.wave]):
                program.write_line(body, "\r\n" if number == self.crlf_at else "\n")
                trial.given.append(body)


@dataclass(frozen=True)
class Sent:
    """Wait until the producer has said *sent* of all that it was given."""

    def run(self, trial: Trial) -> None:
        """Wait; whether it came or not, the next lines are for the producer to read."""
        sent = trial.history.all_sent
        away_s = RECONNECT_S if not trial.gave_up else 0.0
        try:
            trial.wait("sent", lambda: sent(trial.given), away_s=away_s)
        except GaveUp:
            note_never_connected(trial)
            if not trial.running():
                raise


@dataclass(frozen=True)
class EndOfInput:
    """End the producer's standard input, wait for its end, and watch for what comes after it."""

    WATCHED_S: ClassVar[float] = 0.3

    def run(self, trial: Trial) -> None:
        """Close it and wait."""
        for program in trial.programs.values():
            program.close_input()
        trial.wait("exit", lambda: not trial.running(), quiet_s=HUNG_S)
        trial.pause(self.WATCHED_S)


@dataclass(frozen=True)
class RestartBroker:
    """Restart the broker in an orderly way."""

    def run(self, trial: Trial) -> None:
        """Restart it; where that is not possible, leave a note."""
        try:
            how = trial.ground.restart()
        except NotPossibleHere as reason:
            trial.note("not-possible-here", fault="restart", why=str(reason))
            return
        trial.journal.append("fault", "restart", data={"how": how})


@dataclass(frozen=True)
class DeleteQueue:
    """Empty the queue, which counts, and delete it, so that a publish finds no queue."""

    def run(self, trial: Trial) -> None:
        """Take all out of it, and delete it."""
        left = trial.take_all(trial.queue, before_delete=True)
        trial.delete_queue()
        data = {"queue": trial.queue, "left": left}
        trial.journal.append("fault", "delete-queue", data=data)


@dataclass(frozen=True)
class Struck:
    """Look whether a fault of the wire has struck, and leave a note if it has not."""

    fault: str
    why: str
    not_for_transactions: bool = False

    def run(self, trial: Trial) -> None:
        """Look at what is on record."""
        trial.catch_up()
        if trial.history.struck(self.fault):
            return
        frames = (event.name for event in trial.history.events if event.kind == "frame")
        if self.not_for_transactions and "tx.select" in frames:
            why = "a transaction has no confirm that could be refused"
            trial.note("left-out", fault=self.fault, why=why)
            return
        trial.note("fault-missed", fault=self.fault, why=self.why)


# --- What several steps do --------------------------------------------------------------------


def strike_at_work(
    trial: Trial,
    fault: str,
    copy: str,
    after: int,
    strike: Callable[[Delivery], None],
    *,
    stand_still: bool = True,
) -> None:
    """Strike when the copy is a part of the way through a message's work.

    `after`: it has done so many messages before. `stand_still`: its processes are
    stopped for the last look whether it still holds the message.
    """
    aims: list[Delivery] = []
    try:
        while True:
            trial.wait("in-work", lambda: in_the_middle(trial, copy, after, aims), copies=[copy])
            if stand_still:
                trial.programs[copy].pause()
            else:
                trial.drain()
            trial.catch_up()
            if aims[0] in trial.history.in_hand(copy):
                break
            trial.programs[copy].resume()
    except GaveUp:
        if trial.programs[copy].is_running:
            why = "the copy was never seen in the middle of a message's work"
        else:
            why = "the copy had ended by itself"
        trial.note("fault-missed", fault=fault, why=why)
        if not trial.running():
            raise
        return
    strike(aims[0])


def in_the_middle(trial: Trial, copy: str, after: int, aims: list[Delivery]) -> bool:
    """Whether the copy is far enough into the work on a message, which is put into `aims`."""
    process = trial.history.process(copy)
    done = [said for said in trial.history.lines if said.process is process and said.delivery]
    hand = trial.history.in_hand(copy)
    if len(done) < after and len(hand) < 2:  # one that works on several does all of them at once
        return False
    if not hand or trial.history.work_s(hand[0].message.body) < WORTH_S:
        return False
    began_s = max([hand[0].event.at_s, *(said.event.at_s for said in done[-1:])])
    into_s = trial.now_s() - began_s
    if all(said.delivery.settled for said in done if said.delivery):
        enough_s = SETTLED_S
    else:  # perhaps it is about to settle what it has just done: that is another moment
        enough_s = INTO_WORK * trial.history.work_s(hand[0].message.body)
    if into_s < enough_s:
        return False
    aims[:] = hand[:1]
    return True


def in_hand_data(trial: Trial, copy: str, aim: Delivery) -> dict[str, object]:
    """What a fault strikes, for the journal."""
    hand = [delivery.message.body for delivery in trial.history.in_hand(copy)]
    return {"body": aim.message.body, "message_id": aim.message.message_id, "in_hand": hand}


def until_back(trial: Trial, copy: str, since: int | None = None) -> None:
    """Wait until the copy consumes again, or polls, after the event `since` (default: now)."""
    number = len(trial.journal) if since is None else since

    def back() -> bool:
        wire = trial.history.wire
        consumers = [
            c.connection.copy for c in wire.consumers if c.began.n >= number and not c.ended
        ]
        polls = [connection.copy for connection, event in wire.polls if event.n >= number]
        return copy in consumers or copy in polls

    trial.wait("again", back, quiet_s=HUNG_S, away_s=RECONNECT_S, copies=[copy])


def done_by_another(held: Delivery, copy: str) -> bool:
    """Whether a copy other than this one has done what was held."""
    return any(said.delivery and said.copy != copy for said in held.message.done)


def agreed_heartbeat_s(trial: Trial, copy: str) -> int:
    """The longest heartbeat agreed on the copy's open connections; 0: none on one of them."""
    agreed = [
        connection.heartbeat_s or 0
        for connection in trial.history.connections
        if connection.copy == copy and connection.ended is None
    ]
    return 0 if 0 in agreed else max(agreed, default=0)


def note_never_connected(trial: Trial) -> None:
    """Note each copy that runs and has opened no connection to the broker that it was given."""
    connected = {connection.copy for connection in trial.history.connections}
    for copy, program in trial.programs.items():
        noted = any(n.copy == copy for n in trial.history.noted("never-connected"))
        if copy not in connected and program.is_running and not noted:
            trial.note("never-connected", copy=copy, elsewhere=program.peers())


def every(interval_s: float, look: Callable[[], bool]) -> Callable[[], bool]:
    """Look at most once in so many seconds; in between it is not said to be so."""
    looked: list[float] = [0.0]

    def seen() -> bool:
        if time.monotonic() - looked[0] < interval_s:
            return False
        seen_now = look()
        looked[0] = time.monotonic()
        return seen_now

    return seen
