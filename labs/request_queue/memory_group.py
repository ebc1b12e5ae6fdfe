"""Consumer groups in memory: who has which partition, and how it passes to another.

A group says what each member should have; a member takes and gives in its own `poll`,
as with Kafka's cooperative rebalancing: what stays with it goes on undisturbed, and a
partition is taken by one only after the other has let it go, or was silent too long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labs.errors import BadInput
from labs.request_queue.log import NotCommitted, Partition, Record

if TYPE_CHECKING:
    from labs.request_queue.memory import MemoryLog

Told = Callable[[frozenset[Partition]], None] | None


@dataclass
class Row:
    """The records of one partition."""

    first: int = 0
    records: list[Record] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The offset that the next record will get."""
        return self.first + len(self.records)

    def delete_before(self, offset: int) -> None:
        """Delete the records below the offset."""
        gone = max(0, offset - self.first)
        del self.records[:gone]
        self.first += gone


class Group:
    """The members, who owns which partition, and how far the group has come in each."""

    def __init__(self, max_silence_s: float) -> None:
        self.max_silence_s = max_silence_s
        self.committed: dict[Partition, int] = {}
        self.owners: dict[Partition, MemoryConsumer] = {}
        self.members: list[MemoryConsumer] = []

    def join(self, member: MemoryConsumer) -> None:
        """Count the member in."""
        self.members.append(member)

    def leave(self, member: MemoryConsumer) -> None:
        """Count it out: what it had is free for others."""
        if member in self.members:
            self.members.remove(member)
        for partition in [known for known, owner in self.owners.items() if owner is member]:
            del self.owners[partition]

    def expel_the_silent(self) -> None:
        """Count out who has not polled for too long."""
        oldest = time.monotonic() - self.max_silence_s
        for member in [one for one in self.members if one.polled_at < oldest]:
            self.leave(member)

    def share_of(
        self, member: MemoryConsumer, topic: str, rows: Sequence[Partition]
    ) -> set[Partition]:
        """What the member should have of the topic: even shares, with as few moves as can be."""
        members = [one for one in self.members if topic in one.topics]
        had = {one: [known for known in rows if self.owners.get(known) is one] for one in members}
        by_wealth = sorted(members, key=lambda one: -len(had[one]))
        size, one_more = divmod(len(rows), len(members))
        quota = {one: size + (place < one_more) for place, one in enumerate(by_wealth)}
        kept = {one: had[one][: quota[one]] for one in members}
        spoken_for = {known for shares in kept.values() for known in shares}
        free = iter([known for known in rows if known not in spoken_for])
        for one in by_wealth:
            kept[one] += [next(free) for _ in range(quota[one] - len(kept[one]))]
        return set(kept[member])


class MemoryConsumer:
    """A `Consumer` of a `MemoryLog`: a member of a group."""

    def __init__(
        self,
        log: MemoryLog,
        group: Group,
        topics: Sequence[str],
        on_assigned: Told,
        on_revoked: Told,
        on_lost: Told,
    ) -> None:
        self.topics = frozenset(topics)
        self.polled_at = time.monotonic()
        self._log, self._group = log, group
        self._on_assigned, self._on_revoked = on_assigned, on_revoked
        self._on_lost = on_lost or on_revoked
        self._next: dict[Partition, int] = {}
        """The partitions that are ours, as far as we know, and what each gives next."""
        self._paused: set[Partition] = set()
        self._closed = False
        group.join(self)

    def poll(self, timeout_s: float) -> Record | None:
        """The next record, once what comes and goes is settled; None: none came in time."""
        self._must_be_open()
        deadline = time.monotonic() + timeout_s
        while True:
            if self._log.reachable:
                self._rebalance()
            with self._log.changed:
                self.polled_at = time.monotonic()
                if self._log.reachable and (record := self._take()):
                    return record
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._log.changed.wait(min(left, self._group.max_silence_s / 2))

    def commit(self, record: Record) -> None:
        """Remember that the group is done with this record."""
        with self._log.changed:
            why = (
                f"the log is down, and {record.partition} can't be committed in"
                if not self._log.reachable
                else f"{record.partition} is not this consumer's any more"
                if self._group.owners.get(record.partition) is not self
                else ""
            )
            if why:
                raise NotCommitted(
                    f"Offset {record.offset + 1} is not committed: {why}.",
                    remedy="The record comes again, here or elsewhere.",
                )
            self._group.committed[record.partition] = record.offset + 1

    def seek(self, record: Record) -> None:
        """Let this record be the next of its partition again."""
        if record.partition in self._next:
            self._next[record.partition] = record.offset

    def pause(self, *partitions: Partition) -> None:
        """Let `poll` give no records of these, but keep them."""
        self._paused |= set(partitions) & self._next.keys()

    def resume(self, *partitions: Partition) -> None:
        """Undo `pause`."""
        self._paused -= set(partitions)

    def assignment(self) -> frozenset[Partition]:
        """The partitions that are ours now."""
        return frozenset(self._next)

    def close(self) -> None:
        """Leave the group at once."""
        if self._closed:
            return
        self._closed = True
        self._give(self._on_revoked, frozenset(self._next))
        with self._log.changed:
            self._group.leave(self)
            self._log.changed.notify_all()

    def _must_be_open(self) -> None:
        if self._closed:
            raise BadInput("This consumer is closed.", remedy="Ask the log for another.")

    def _rebalance(self) -> None:
        """Lose, give, take: each with its callback, which runs without the log's lock."""
        with self._log.changed:
            self._group.expel_the_silent()
            expelled = self not in self._group.members
        if expelled:
            self._give(self._on_lost, frozenset(self._next))
            with self._log.changed:
                self.polled_at = time.monotonic()
                self._group.join(self)
        with self._log.changed:
            wanted = self._wanted()
        self._give(self._on_revoked, frozenset(self._next.keys() - wanted))
        with self._log.changed:
            taken = frozenset(known for known in wanted if known not in self._group.owners)
            for partition in taken:
                self._group.owners[partition] = self
                self._next[partition] = self._group.committed.get(partition, 0)
        if taken and self._on_assigned:
            self._on_assigned(taken)

    def _wanted(self) -> set[Partition]:
        wanted: set[Partition] = set()
        for topic in self.topics:
            wanted |= self._group.share_of(self, topic, self._log.partitions(topic))
        return wanted

    def _give(self, told: Told, partitions: frozenset[Partition]) -> None:
        if not partitions:
            return
        if told:
            told(partitions)
        with self._log.changed:
            for partition in partitions:
                del self._next[partition]
                self._paused.discard(partition)
                if self._group.owners.get(partition) is self:
                    del self._group.owners[partition]
            self._log.changed.notify_all()

    def _take(self) -> Record | None:
        for partition in list(self._next):
            row = self._log.rows[partition]
            offset = max(self._next[partition], row.first)
            if partition not in self._paused and offset < row.end:
                del self._next[partition]  # to the end: the others have their turn first
                self._next[partition] = offset + 1
                return row.records[offset - row.first]
        return None
