"""One trial on a partitioned log: program, log and journal meet here, with no proxy between.

What a program says to a Kafka broker is not watched on the wire. The judge looks,
all the time, at how far the group has come, and each time that a commit is new it first
reads the program's output to its end, and what is on the topic for what failed: so
a `committed` event stands in the journal behind the lines that were printed before it.
How copies are kept and waited for is said in `labs.judge.copies`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from labs.journal import Event, Journal
from labs.judge.bodies import make_bodies
from labs.judge.copies import Copies, trouble_noted, write_first
from labs.judge.log_ground import LogGround
from labs.judge.plan import Plan, Setting

PARTITIONS = 4
KEYS = 2
"""So many keys a partition."""
NAMES = tuple(f"vnf-{number}" for number in range(10, 90))
"""What the requests are about; most are never used."""
SESSION_S = 2.0
"""So long without a heartbeat, and the group takes a member for dead."""
LOOK_S = 0.02
PEERS_S = 0.5


def run_log_trial(plan: Plan[LogTrial], setting: Setting) -> Sequence[Event]:
    """Run one trial from beginning to end; its journal.

    What fails of the kit or the log is a note in the journal: it is not the learner's fault.

    Raises:
        CannotStart: the learner's command can't be run.
        Cancelled: the check is to end.
    """
    journal = Journal()
    bodies = make_bodies(f"{setting.seed}/{setting.exercise}/{plan.name}", plan.waves)
    ground = LogGround(f"{setting.exercise}-{bodies[0][0][0].lower()}", PARTITIONS)
    with trouble_noted(journal, plan, setting, topic=ground.topic, group=ground.group), ground:
        LogTrial(plan, setting, ground, journal, bodies).run()
    return journal.events


class LogTrial(Copies):
    """A trial on a log while it runs."""

    def __init__(
        self,
        plan: Plan[LogTrial],
        setting: Setting,
        ground: LogGround,
        journal: Journal,
        bodies: list[list[str]],
    ) -> None:
        super().__init__(plan, setting, journal, bodies)
        self.ground = ground
        source = random.Random(f"{setting.seed}/{plan.name}/keys")
        self._keys = _endless_keys(ground, source)
        self._committed: dict[int, int] = {}
        self._looked = 0.0
        self._peers: dict[str, tuple[float, list[str]]] = {}

    def begin(self) -> Event:
        """Say which log it is."""
        return write_first(
            self.journal,
            self.plan,
            self._setting,
            topic=self.ground.topic,
            group=self.ground.group,
            partitions=PARTITIONS,
            broker="librdkafka's own cluster",
        )

    @contextmanager
    def stage(self) -> Iterator[None]:
        """There is nothing between the copies and the log."""
        yield

    def environment(self, copy: str) -> Mapping[str, str]:
        """Where the log is, what to read as whom, and when a member counts as dead."""
        del copy
        return {
            "KAFKA_BOOTSTRAP": self.ground.bootstrap,
            "TOPIC": self.ground.topic,
            "GROUP": self.ground.group,
            "SESSION_TIMEOUT_MS": f"{SESSION_S * 1000:.0f}",
        }

    def append(self, number: int) -> None:
        """Append a wave, each request with a key, over all partitions."""
        for body in self.bodies[number]:
            key, since_s = next(self._keys), round(self.now_s(), 3)
            at = self.ground.append(body, key)  # it may be read before we hear of it
            data = {"body": body, "key": key, "partition": at.partition, "offset": at.offset}
            data |= {"wave": number + 1, "since_s": since_s}
            self.journal.append("published", data=data)
            self.given.append(body)

    # --- Looking at the log ------------------------------------------------------------------

    def catch_up(self) -> None:
        """Look at the log now and then, and take in what has happened."""
        if time.monotonic() - self._looked > LOOK_S:
            self.look()
            self._looked = time.monotonic()
        super().catch_up()

    def look(self) -> None:
        """Put each new commit on record, behind all that the program had printed before it."""
        committed = self.ground.committed()
        new = {p: offset for p, offset in committed.items() if self._committed.get(p) != offset}
        if not new:
            return
        self.drain()
        self._look_at_failed()
        for partition, offset in sorted(new.items()):
            data = {"group": self.ground.group, "partition": partition, "offset": offset}
            self.journal.append("committed", data=data)
        self._committed |= new

    def look_a_last_time(self) -> None:
        """See what was committed as the copies ended, and what is on the topic for what failed."""
        self.look()
        self._look_at_failed()
        super().catch_up()

    def _look_at_failed(self) -> None:
        for record in self.ground.failed():
            body = (record.value or b"").decode("utf-8", "replace")
            key = (record.key or b"").decode("utf-8", "replace")
            data = {"topic": self.ground.failed_topic, "body": body, "key": key}
            self.journal.append("appended", data=data)

    def all_done(self) -> bool:
        """Whether every request is done, or, where it can't be done, was laid aside."""
        waits = [body for body in self.given if not self.history.is_done(body)]
        bad = [body for body in waits if body.startswith("bad")]
        if len(bad) < len(waits):
            return False
        if bad:
            self._look_at_failed()
            super().catch_up()
        return all(self.history.messages[body].appended for body in bad)

    def all_committed(self) -> bool:
        """Whether the group has come to the end of every partition."""
        places = [m.place for m in self.history.messages.values() if m.place]
        ends = {
            p.partition: max(o.offset for o in places if o.partition == p.partition) + 1
            for p in places
        }
        return all(self._committed.get(partition) == end for partition, end in ends.items())

    # --- What the copies are at --------------------------------------------------------------

    def is_connected(self, copy: str) -> bool:
        """Whether one of its processes is connected to the log; looked up twice a second."""
        if not self.programs[copy].is_running:
            return False
        looked, peers = self._peers.get(copy, (0.0, []))
        if time.monotonic() - looked > PEERS_S:
            peers = self.programs[copy].peers()
            self._peers[copy] = (time.monotonic(), peers)
        return any(address in peers for address in self.ground.bootstrap.split(","))

    def cut_off(self, copy: str) -> None:
        """The group gives a dead member up by itself."""

    def longest_work_s(self) -> float:
        """The longest work that may be in somebody's hand: nobody tells what is."""
        waits = (body for body in self.given if not self.history.is_done(body))
        return max(map(self.history.work_s, waits), default=0.0)


def _endless_keys(ground: LogGround, source: random.Random) -> Iterator[str]:
    """A key for each request: in each round every partition once, in an order of its own."""
    lanes = [ground.keys_of(number, NAMES)[:KEYS] for number in range(ground.num_partitions)]
    while True:
        for lane in source.sample(lanes, len(lanes)):
            yield source.choice(lane)
