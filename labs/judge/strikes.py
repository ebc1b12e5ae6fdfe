"""The faults of a trial that are not the wire's, as frozen values: kill, freeze, close, restart.

Each has one method, `run`. A fault is placed by what has happened, never by the clock:
a copy is killed when it is a part of the way through a message's work, and whether
that message was still in its hands is looked at again while it stands still. A fault
that finds nothing to strike leaves a note `fault-missed`, and the trial goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labs.errors import NotPossibleHere
from labs.judge.lives import Delivery
from labs.judge.plan import GaveUp
from labs.judge.steps import HUNG_S, RECONNECT_S
from labs.judge.trial import Trial

WORTH_S = 0.15
"""Work shorter than this is no aim: a fault could come too late for it."""
SETTLED_S = 0.08
"""So soon after its beginning work is struck, where all work before it is done and settled."""
INTO_WORK, HALF = 0.3, 0.5
"""So far into it, where it is not."""
RECORDED_S = 0.5
"""So long it may take to write down what was done."""
NOTICES_S = 4.0
"""The longest agreed heartbeat with which a trial waits for the broker to notice a frozen peer."""


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
class KillAfterLostAck:
    """Kill a copy as soon as an acknowledgement of it was lost on the way, by a fault."""

    copy: str
    fault: str = "lose"

    def run(self, trial: Trial) -> None:
        """Wait for the loss and kill it, though not between an effect and the record of it."""
        try:
            trial.wait("fault", lambda: trial.history.struck(self.fault), copies=[self.copy])
            while True:
                trial.programs[self.copy].pause()
                trial.catch_up()
                if not is_between(trial, self.copy):
                    break
                trial.programs[self.copy].resume()
                trial.wait("fault", lambda: not is_between(trial, self.copy), copies=[self.copy])
        except GaveUp:
            why = "the copy sent no acknowledgement to lose"
            trial.note("fault-missed", fault=self.fault, why=why, by_chance=True)
            return
        trial.kill(self.copy, {"in_hand": [d.message.body for d in trial.in_work(self.copy)]})


@dataclass(frozen=True)
class CloseByBroker:
    """The broker closes the copy's connections, by the management API, while it works."""

    copy: str = "A"

    def run(self, trial: Trial) -> None:
        """Close them where one holds a message; where that is not possible, leave a note."""

        def close(aim: Delivery) -> None:
            data = in_hand_data(trial, self.copy, aim)
            try:
                names = trial.ground.connections()
            except NotPossibleHere as reason:
                trial.note("not-possible-here", fault="close-by-broker", why=str(reason))
                return
            if not names:
                why = "the broker's list of connections did not have it"
                trial.note("fault-missed", fault="close-by-broker", why=why, by_chance=True)
                return
            # On record before it is done: a quick program must not be back before it.
            before = len(trial.journal)
            data["connections"] = list(names)
            trial.journal.append("fault", "close-by-broker", copy=self.copy, data=data)
            trial.ground.close_connections()
            until_back(trial, self.copy, before)

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
        left = trial.queues.take_all(trial.queues.name, before_delete=True)
        trial.queues.delete()
        data = {"queue": trial.queues.name, "left": left}
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


# --- What several of them do ------------------------------------------------------------------


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
            if aims[0] in trial.history.in_hand(copy) and not is_between(trial, copy):
                break
            trial.programs[copy].resume()
    except GaveUp:
        if trial.programs[copy].is_running:
            why = "the copy was never seen in the middle of a message's work"
        else:
            why = "the copy had ended by itself"
        by_chance = trial.programs[copy].is_running
        trial.note("fault-missed", fault=fault, why=why, by_chance=by_chance)
        if not trial.running():
            raise
        return
    strike(aims[0])


def is_between(trial: Trial, copy: str) -> bool:
    """Whether a copy that keeps records may have said `done` and not written it down yet.

    No program can close that gap for a line that it prints, and none is to be struck in it. Who
    has settled the message is through; who does not settle is given a moment.
    """
    process = trial.history.process(copy)
    return trial.plan.keeps_state and any(
        said.delivery
        and not (said.delivery.settled or said.delivery.unheard)
        and trial.now_s() - said.event.at_s < RECORDED_S
        for said in trial.history.lines
        if said.process is process
    )


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
    if trial.plan.keeps_state:  # whoever writes something down before the work has done so
        enough_s = HALF * trial.history.work_s(hand[0].message.body)
    elif all(said.delivery.settled for said in done if said.delivery):
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
