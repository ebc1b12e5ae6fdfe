"""What is stored in an S3 queue, counted and listed, when it has to be looked at as a whole.

A census lists every marker, a thousand to a request. A task that a crash left half moved has
two: then its object is read, and what does not count is cleared away before the counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import unquote

from labs.task_queue.s3_moves import Moves
from labs.task_queue.s3_tasks import BY_TIME, HOMES, Home, Seen
from labs.task_queue.stages import Stage


class Census:
    """All markers of a queue, at about one moment."""

    def __init__(self, moves: Moves, now: datetime) -> None:
        """List them, and mend what is half done."""
        self._moves, self._now = moves, now
        self.mended = 0
        """Tasks that had more than one marker."""
        listed = moves.all_of(lambda home: list(moves.listed_all(home)), list(Home))
        self._by_home: dict[Home, list[Seen]] = dict(zip(Home, listed, strict=True))
        self._mend()

    def _mend(self) -> None:
        once: set[str] = set()
        twice: set[str] = set()
        for listed in self._by_home.values():
            for seen in listed:
                place = seen.marker.place
                (twice if place in once else once).add(place)
        for home in (Home.NEW, Home.GONE):
            twice.update(seen.marker.place for seen in self._by_home[home])
        if not twice:
            return
        self.mended = len(twice)
        doubtful = []
        for home, listed in self._by_home.items():
            doubtful += [seen for seen in listed if seen.marker.place in twice]
            self._by_home[home] = [seen for seen in listed if seen.marker.place not in twice]
        counting = self._moves.counting(doubtful, self._now)
        found = {found.kept.place: found.kept for found in counting}
        new = {one.marker.place for one in doubtful if one.marker.home is Home.NEW}
        self._moves.tell_of_new([found[place] for place in new & found.keys()], self._now)
        for kept in found.values():
            self._by_home[kept.home].append(Seen(kept.marker, self._now))

    def sizes(self) -> dict[Stage, int]:
        """How many tasks are in each stage."""
        return {
            stage: sum(len(self._by_home[home]) for home in homes) for stage, homes in HOMES.items()
        }

    def ids(self, stage: Stage, after: str) -> list[str]:
        """The ids of those in a stage, in the order of the line, from a place on."""
        seen = [one for home in HOMES[stage] for one in self._by_home[home]]
        seen = [one for one in seen if one.marker.place > after]
        seen.sort(key=lambda one: one.marker.place)
        return ids_of(self._moves, seen)

    def bury(self) -> None:
        """Delete what purges have left."""
        gone = self._moves.counting(self._by_home[Home.GONE], self._now)
        self._moves.bury(gone)


def ids_of(moves: Moves, seen: Sequence[Seen]) -> list[str]:
    """The ids that the names in markers stand for; a digest's is read from the task."""
    digests = [one.marker.name for one in seen if one.marker.name.startswith("=")]
    founds = moves.read_all(digests)
    ids = {name: found.kept.id for name, found in zip(digests, founds, strict=True) if found}
    names = [one.marker.name for one in seen]
    return [ids.get(name, unquote(name)) for name in names if name in ids or name[0] != "="]


def of_place(moves: Moves, homes: Sequence[Home], after: str, limit: int) -> list[Seen]:
    """The first markers in these homes after a place in the line, in its order.

    A home that is listed by time is listed as a whole.
    """
    seen: list[Seen] = []
    for home in homes:
        if home in BY_TIME:
            seen += [one for one in moves.listed_all(home) if one.marker.place > after]
        else:
            seen += moves.listed(home, after=f"{home}/{after}~" if after else "", limit=limit)
    seen.sort(key=lambda one: one.marker.place)
    return seen[:limit]
